"""Whatever the library Apprise reaches: handed over, but never confirmed.

Apprise says yes or no and nothing more: it gives no id of the carrier's, no receipt and no error code. A yes is
Accepted, with our own SID as the reference. A no may be a refusal, a carrier that was not reached, or an answer that
was lost on the way, and only its log tells them apart; so it is InDoubt, unless Apprise says that it tried nothing.

Apprise blocks, and each of its objects waits between two messages: every message has an object and a thread of its own,
and our rates are the only ones. It is an extra of this package, loaded when a connection needs it.
"""

import asyncio
import importlib.util
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Final

from msgspec import Meta

from postdate.clock import Clock
from postdate.connectors.contract import Condition, OnEvent, State, Submission
from postdate.connectors.errands import Errand, Errands, show
from postdate.connectors.providers.contract import UNKNOWN_FAILURE, HttpSettings, Secret
from postdate.connectors.providers.template import Template
from postdate.core.address import Channel
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused

INSTALL: Final = "the package apprise is not installed: pip install 'postdate[apprise]', then start again"

_VALUES: Final = ("to", "from")
_EXAMPLE: Final = {"to": "+15005550006", "from": "+15005550001"}


class AppriseSettings(HttpSettings, frozen=True, kw_only=True):
    """Which service Apprise is to reach, and how."""

    url: Annotated[Secret, Meta(description="Apprise URL with {to}, and {from} or {to|digits} where it wants them.")]
    in_flight: Annotated[int, Meta(ge=1, le=32, description="Most messages under way at once: a thread each.")] = 4
    timeout: Annotated[float, Meta(ge=0.1, le=120, description="Seconds to wait for Apprise's answer.")] = 30.0

    def __post_init__(self) -> None:
        """Raise ValueError where the URL is no template of one recipient's."""
        if "to" not in Template(self.url, _VALUES, "url").names:
            raise ValueError("url must hold {to}, where the recipient's number stands")


class AppriseConnector:
    """Hands messages to one service through Apprise; see the module for what is known afterwards."""

    def __init__(self, settings: AppriseSettings, clock: Clock) -> None:
        """Raise ValueError where Apprise is not installed or does not know the URL."""
        self.condition = Condition()
        self.condition.at_once = settings.in_flight
        self._clock = clock
        self._url = Template(settings.url, _VALUES, "url")
        self._timeout = settings.timeout
        self._threads = settings.in_flight
        self._executor: ThreadPoolExecutor | None = None
        self._errands = Errands(clock, settings.in_flight, self._carry)
        if importlib.util.find_spec("apprise") is None:
            raise ValueError(INSTALL)
        if not _is_known(self._url.fill(_EXAMPLE)):
            raise ValueError("url is none that Apprise knows; its documentation has a page for each service")

    @property
    def idle(self) -> bool:
        """Say whether nothing is under way or about to be; what waits for its `not_before` does not count."""
        return self._errands.idle

    async def open(self, on_event: OnEvent) -> None:
        """Start; no event ever comes."""
        # Its lines hold numbers and what carriers answer.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        # Threads of its own: the loop's are few, and names are looked up in them.
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="apprise")
        self.condition.state = State.READY
        self._errands.open()

    def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each. What was not begun when nobody asks any more never leaves."""
        return self._errands.submit(batch)

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        await self._errands.drain()

    async def close(self) -> None:
        """Stop; what Apprise has taken ends as InDoubt, all else as Unreachable."""
        self.condition.state = State.CLOSED
        await self._errands.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _carry(self, errand: Errand) -> None:
        assert self._executor is not None
        submission = errand.submission
        if submission.channel is not Channel.SMS:
            errand.outcome = Refused(21612, "this connection carries SMS only")
            return
        text = "\n".join([submission.body, *(attachment.url for attachment in submission.attachments)]).strip("\n")
        try:
            text.encode()
            url = self._url.fill({"to": submission.recipient, "from": submission.sender})
        except UnicodeEncodeError:
            errand.outcome = Refused(UNKNOWN_FAILURE, "its text holds half a character, which has no form in UTF-8")
            return
        job = self._executor.submit(_send, url, text)
        answer = asyncio.wrap_future(job)
        answer.add_done_callback(_look_at)
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.wait([answer])
            errand.outcome = _outcome(answer, submission)
        except TimeoutError:
            self._give_up(errand, job)
            errand.broke_off("Apprise did not answer in time")
        except asyncio.CancelledError:
            self._give_up(errand, job)
            raise
        assert errand.outcome is not None
        show(self.condition, errand.outcome, self._clock.now())

    def _give_up(self, errand: Errand, job: "Future[str]") -> None:
        # A thread that runs cannot be stopped: it may still send.
        errand.left = not job.cancelled() and not job.cancel()


def _is_known(url: str) -> bool:
    import apprise

    known = apprise.Apprise()
    return bool(known.add(url)) and len(known) == 1


def _send(url: str, text: str) -> str:
    """Hand one message to Apprise, in a thread; return the name of its result."""
    import apprise

    service = apprise.Apprise()
    service.add(url)
    return str(service.notify(body=text).status.name)


def _look_at(answer: "asyncio.Future[str]") -> None:
    """Keep asyncio from logging what a service raised after we stopped waiting: its text may hold the URL."""
    if not answer.cancelled():
        answer.exception()


def _outcome(answer: "asyncio.Future[str]", submission: Submission) -> Outcome:
    if answer.exception() is not None:
        return InDoubt("Apprise failed, which does not say whether the message was sent")
    match answer.result():
        case "SUCCESS":
            return Accepted(submission.sid)
        case "NOMATCH":
            return Refused(UNKNOWN_FAILURE, "Apprise knows no service for this recipient: nothing was sent")
        case _:
            return InDoubt("Apprise reports a failure, which does not say whether the message was sent")
