"""A point in time as a person chooses it: a day, a time of day and a zone, three fields of a form.

A time that the clock of the zone skips is refused, with the first that there is after it. One that comes twice is asked
back: `Turn` says which of the two is meant.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from postdate.console.local_times import NoLocalTime, read_local
from postdate.console.times import local, zone_named
from postdate.console.view import View
from postdate.core.errors import Rejected
from postdate.core.instant import SECOND, Instant

_TURNS = ("first", "second")


@dataclass(frozen=True, slots=True)
class ChosenTime:
    """What stands in the fields and what it means; `at` is None where `problem`, a text, says why it means nothing.

    `twice` are both points in time where the clock shows this time twice.
    """

    zone: ZoneInfo
    at: Instant | None = None
    problem: str = ""
    twice: tuple[Instant, ...] = ()

    def needed(self) -> Instant:
        """Return the point in time; raise Rejected where there is none."""
        if self.at is None:
            raise Rejected(20001, self.problem)
        return self.at


def read_chosen(view: View) -> ChosenTime:
    """Read the fields Day, Time, Zone and Turn of the form that was sent."""
    form = view.form
    zone = zone_named(form.text("Zone")) or view.zone
    day, clock = (form.text("Day") or "").strip(), (form.text("Time") or "").strip()
    if not day or not clock:
        return ChosenTime(zone, problem=view.t("when.missing"))
    try:
        at = read_local(f"{day}T{clock}", zone)
    except NoLocalTime as wrong:
        return ChosenTime(zone, problem=_no_time(view, f"{day}T{clock}", zone, wrong.skipped))
    earlier = _the_first(at, zone)
    if earlier is None:
        return ChosenTime(zone, at)
    turn = form.text("Turn")
    if turn not in _TURNS:
        return ChosenTime(zone, problem=view.t("when.twice", time=clock, zone=zone.key), twice=(earlier, at))
    return ChosenTime(zone, earlier if turn == "first" else at, twice=(earlier, at))


def _no_time(view: View, text: str, zone: ZoneInfo, skipped: bool) -> str:
    if not skipped:
        return view.t("when.unreadable")
    naive = datetime.fromisoformat(text)
    # With the offset from before the change the clock has gone on by as much as it skips.
    after = local(Instant(int(naive.replace(tzinfo=zone, fold=0).timestamp()) * SECOND), zone)
    return view.t("when.skipped", time=f"{naive:%H:%M}", zone=zone.key, after=f"{after:%H:%M}")


def _the_first(at: Instant, zone: ZoneInfo) -> Instant | None:
    """Return when the clock showed the same before, where it shows it twice."""
    naive = local(at, zone).replace(tzinfo=None)
    first = naive.replace(tzinfo=zone, fold=0)
    second = naive.replace(tzinfo=zone, fold=1)
    back = (first.utcoffset() or timedelta()) - (second.utcoffset() or timedelta())
    return Instant(at - back // timedelta(microseconds=1)) if back else None
