"""Small things that several screens write: lengths of time, sizes, days, and UTC beside a time."""

from postdate.console import languages
from postdate.console.times import in_utc, local, same_day, written
from postdate.console.view import View
from postdate.core.callback import redacted
from postdate.core.instant import MILLISECOND, SECOND, Instant

_KIBI = 1_024


class Words:
    """What a template asks for as `words`, in the language and zone of the viewer."""

    def __init__(self, view: View) -> None:
        self._view = view

    def knows(self, key: str) -> bool:
        """Say whether the catalogues have a text at `key`."""
        return languages.knows(key)

    def utc(self, at: Instant) -> str:
        """Return UTC to stand beside a time; nothing where the viewer's own time is UTC."""
        if self._view.is_utc:
            return ""
        return in_utc(at, "clock" if same_day(at, self._view.zone) else "second")

    def hour(self, at: Instant) -> str:
        """Return the time of day, such as 14:00."""
        return f"{local(at, self._view.zone):%H:%M}"

    def short_day(self, at: Instant) -> tuple[str, str]:
        """Return the day of the week, and the day without its year, as a calendar has them."""
        zone, language = self._view.zone, self._view.language
        weekday = written(at, zone, language, "weekday")
        if language == "ja":  # 2026/11/26(木)
            return weekday[-2], weekday[5:10]
        name, _, day = weekday.partition(", ")  # Thu, 26 Nov 2026
        return name, day.rpartition(" ")[0]

    def number(self, value: int) -> str:
        """Return a whole number with its thousands apart."""
        return f"{value:,}"

    def took(self, micros: int) -> str:
        """Return how long something took, such as `35 ms` or `1.2 s`."""
        if micros < SECOND:
            return f"{round(micros / MILLISECOND)} ms"
        return f"{micros / SECOND:.1f} s"

    def size(self, octets: int) -> str:
        """Return a size, such as `812 B`, `3 KB` or `1.4 MB`."""
        if octets < _KIBI:
            return f"{octets} B"
        if octets < _KIBI * _KIBI:
            return f"{round(octets / _KIBI)} KB"
        return f"{octets / _KIBI / _KIBI:.1f} MB"

    def place_of(self, url: str) -> str:
        """Return a customer's URL without user info and secrets in its query."""
        return redacted(url)
