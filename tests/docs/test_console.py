"""What the manual says of the console's screens, roles and limits is so."""

import pytest

from postdate.console.app import SCREENS
from postdate.console.attempts import FIRST_WAIT, FREE_OF_ADDRESS, FREE_OF_NAME, LONGEST_WAIT
from postdate.console.languages import translate
from postdate.console.links import VALID_FOR
from postdate.console.page import Screen
from postdate.console.screens.agenda import MOST_AT_ONCE
from postdate.console.sessions import LONGEST, LONGEST_IDLE
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND
from postdate.core.resources import Role
from tests.docs.pages import manual, rows

PAGE = manual("console")
PLACES = [screen for screen in SCREENS if screen.nav is not None]


@pytest.mark.parametrize("screen", PLACES, ids=lambda screen: screen.name)
def test_every_screen_is_in_the_manual_with_its_role(screen: Screen) -> None:
    name, role = translate("en", f"{screen.name}.title"), translate("en", f"frame.role.{screen.pages[0].role}")
    assert [row[1] for row in rows(PAGE) if row[0] == name] == [role], f"docs/manual/console.md: | {name} | {role} | …"


def test_the_manual_has_no_screen_or_role_that_does_not_exist() -> None:
    names = {translate("en", f"{screen.name}.title") for screen in PLACES}
    roles = {translate("en", f"frame.role.{role}") for role in Role}
    assert {row[0] for row in rows(PAGE)} - {"screen", "role", "---"} == names | roles


def test_the_limits_of_the_manual_are_those_of_the_console() -> None:
    assert (FREE_OF_NAME, FREE_OF_ADDRESS, FIRST_WAIT, LONGEST_WAIT) == (5, 20, 2 * SECOND, 15 * MINUTE)
    assert (LONGEST_IDLE, LONGEST, VALID_FOR, MOST_AT_ONCE) == (12 * HOUR, 7 * DAY, 1 * HOUR, 2_000)
