"""Times as viewers read them: zones, day changes, languages, UTC beside."""

from zoneinfo import ZoneInfo

import pytest

from postdate.console.times import in_utc, same_day, written, zone_named, zone_names
from postdate.core.instant import Instant, parse_instant
from tests.console.visiting import Place

AT = parse_instant("2026-11-25T22:30:05.999999Z")
TOKYO, NEW_YORK, UTC = ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York"), ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("zone", "language", "style", "text"),
    [
        (TOKYO, "en", "second", "26 Nov 2026 07:30:05"),
        (TOKYO, "ja", "second", "2026/11/26 07:30:05"),
        (NEW_YORK, "en", "minute", "25 Nov 2026 17:30"),
        (UTC, "en", "clock", "22:30:05"),
        (TOKYO, "en", "weekday", "Thu, 26 Nov 2026"),
        (TOKYO, "ja", "weekday", "2026/11/26(木)"),
        (UTC, "en", "day", "25 Nov 2026"),
    ],
)
def test_a_time_is_written_as_people_there_write_it(zone: ZoneInfo, language: str, style: str, text: str) -> None:
    assert written(AT, zone, language, style) == text


def test_utc_has_its_day_where_that_is_another() -> None:
    assert in_utc(AT) == "2026-11-25 22:30:05 UTC"
    assert in_utc(AT, "clock") == "22:30:05 UTC"
    assert not same_day(AT, TOKYO)
    assert same_day(AT, NEW_YORK)


@pytest.mark.parametrize("name", [None, "", "../../etc/passwd", "Mars/Base", "asia/tokyo\0", "/etc/localtime"])
def test_what_is_no_zone_is_none(name: str | None) -> None:
    assert zone_named(name) is None


def test_every_zone_to_choose_is_one() -> None:
    assert "Asia/Tokyo" in zone_names()
    assert "UTC" in zone_names()
    assert all(zone_named(name) is not None for name in zone_names())


@pytest.mark.parametrize(
    ("setting", "cookie", "shown"),
    [
        ("Asia/Tokyo", "America/New_York", "18 Mar 2030 02:46"),
        (None, "America/New_York", "17 Mar 2030 13:46"),
        (None, "..%2Fetc", "17 Mar 2030 17:46 UTC"),
        (None, "", "17 Mar 2030 17:46 UTC"),
    ],
)
async def test_the_zone_is_the_users_else_the_browsers_else_utc(
    place: Place, setting: str | None, cookie: str, shown: str
) -> None:
    person = await place.signed_in(zone=setting, created_at=Instant(0))
    if cookie:
        person.browser.cookie_jar.update_cookies({"postdate-zone": cookie})
    page = (await person.get("/profile")).text
    assert f">{shown}</time>" in page
    assert 'title="2030-03-17 17:46:40 UTC"' in page
