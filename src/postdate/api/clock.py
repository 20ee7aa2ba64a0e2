"""The test clock, `/postdate/v1/TestClock`: for developers of reminder flows, where the node was started with one."""

from postdate.api.endpoint import Answer, Request
from postdate.api.twilio import read_instant
from postdate.clock import TestClock
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, InvalidDuration, format_iso_exact, parse_duration, parse_instant

# Nothing later can be written as a date.
_END = parse_instant("9999-12-31T23:59:59.999999Z")


def _clock(request: Request) -> TestClock:
    clock = request.parts.clock
    if not isinstance(clock, TestClock):
        raise Rejected(20404, "This node runs on the real clock: start it with --test-clock to move its time.")
    return clock


async def fetch(request: Request) -> Answer:
    """Return the time by the test clock, and whether it stands still."""
    clock = _clock(request)
    return Answer(200, {"now": format_iso_exact(clock.now()), "frozen": clock.frozen})


async def move(request: Request) -> Answer:
    """Freeze or resume the clock, or advance it; what happens in between has happened, in order, before the answer."""
    clock, form = _clock(request), request.form
    frozen = form.flag("Freeze")
    target = _target(request, clock)
    if frozen is None and target is None:
        raise Rejected(20001, "Say AdvanceBy (such as PT2H), AdvanceTo (such as 2030-01-01T14:00:00Z) or Freeze.")
    if frozen is True:
        clock.freeze()
    if target is not None:
        if target < clock.now():
            raise Rejected(20001, f"The test clock never goes back: it shows {format_iso_exact(clock.now())}.")
        await request.parts.advance_to(target)
    if frozen is False:
        clock.resume()
    return await fetch(request)


def _target(request: Request, clock: TestClock) -> Instant | None:
    by, to = request.form.text("AdvanceBy"), request.form.text("AdvanceTo")
    if by is not None and to is not None:
        raise Rejected(20001, "Say AdvanceBy or AdvanceTo, not both.")
    if to is not None:
        return read_instant("AdvanceTo", to)
    if by is None:
        return None
    try:
        target = Instant(clock.now() + parse_duration(by))
    except InvalidDuration as error:
        raise Rejected(20001, f"AdvanceBy: {error}") from None
    if target > _END:
        raise Rejected(20001, f"AdvanceBy: the test clock ends at {format_iso_exact(_END)}.")
    return target
