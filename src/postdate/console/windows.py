"""Schedule windows in words: how far ahead one may schedule, and between which times that is now."""

from dataclasses import dataclass
from typing import Final

from postdate.console.view import View
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, ScheduleWindow

_UNITS: Final = (("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND))
_LATEST_SHOWN: Final = 3_650 * DAY  # what is further away is said in words only


@dataclass(frozen=True, slots=True)
class WindowInWords:
    """A window as it is written, as it is said, and its two ends as of now; `last` None: open, or very far away."""

    text: str
    says: str
    first: Instant
    last: Instant | None


def in_words(view: View, text: str) -> WindowInWords:
    """Return a window that the API has taken as a person reads it."""
    window = ScheduleWindow.parse(text)
    if window.latest is None:
        says = view.t("services.window_from", earliest=_span(view, window.earliest))
        says = says if window.earliest else view.t("services.window_open")
    elif window.earliest == 0:
        says = view.t("services.window_until", latest=_span(view, window.latest))
    else:
        says = view.t(
            "services.window_between", earliest=_span(view, window.earliest), latest=_span(view, window.latest)
        )
    near = window.latest is not None and window.latest <= _LATEST_SHOWN
    last = Instant(view.now + window.latest) if near and window.latest is not None else None
    return WindowInWords(str(window), says, Instant(view.now + window.earliest), last)


def _span(view: View, micros: int) -> str:
    for name, unit in _UNITS:
        if micros % unit == 0 and micros:
            return view.t(f"services.spans.{name}", count=micros // unit)
    return view.t("services.spans.millisecond", count=micros // 1_000)
