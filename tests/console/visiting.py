"""A node with its console over real HTTP, and people with browsers that know no JavaScript.

A `Person` keeps cookies as a browser does and sends forms as they stand in the page: with their hidden fields. Time for
sessions and limits is `watch`, a frozen clock that tests move.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
from argon2 import PasswordHasher
from yarl import URL

from postdate.api.configuration import sid_for
from postdate.clock import TestClock, breathe
from postdate.console.app import Console
from postdate.console.roles import accounts_of
from postdate.core.instant import SECOND, Instant
from postdate.core.resources import Account, Role, User
from postdate.node import Node
from postdate.settings import load

PASSWORD = "correct horse battery staple"
START = Instant(1_900_000_000 * SECOND)
_FORM = re.compile(r'<form method="post" action="([^"]*)".*?</form>', re.S)
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')
_TOKEN = re.compile(r'name="_token" value="([0-9a-f]{64})"')

Fields = Mapping[str, str]


@cache
def _hashed() -> str:
    # As cheap as it gets, since a hash says itself what it costs to check: what people choose costs what it should.
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a browser got."""

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: Sequence[str]

    @property
    def location(self) -> str:
        """Return where it is sent to, below /console."""
        assert self.status == 303, self
        return self.headers["Location"].removeprefix("/console")

    def hidden(self, action: str) -> dict[str, str]:
        """Return the hidden fields of the form with this action."""
        for found in _FORM.finditer(self.text):
            if found[1] == f"/console{action}":
                return {unescape(name): unescape(value) for name, value in _HIDDEN.findall(found[0])}
        raise AssertionError(f"no form for {action} in {self.text}")


@dataclass(slots=True)
class Person:
    """Somebody with a browser."""

    url: str
    browser: aiohttp.ClientSession
    user: User | None = None
    language: str = "en"

    async def get(self, path: str, headers: Fields | None = None) -> Seen:
        """Open a page."""
        return await self.ask("GET", path, headers=headers)

    async def post(self, path: str, form: Fields, headers: Fields | None = None) -> Seen:
        """Send a form just so, without a token of its own."""
        return await self.ask("POST", path, form, headers)

    async def send(self, page: str, action: str, **form: str) -> Seen:
        """Open a page and send its form with this action, filled in."""
        opened = await self.get(page)
        return await self.post(action, {**opened.hidden(action), **form})

    async def do(self, action: str, **form: str) -> Seen:
        """Send what a button would, with the token that every page has."""
        return await self.post(action, {"_token": await self.token(), **form})

    async def token(self) -> str:
        """Return the token of this browser's forms."""
        found = _TOKEN.search((await self.get("/profile" if self.user else "/sign-in")).text)
        assert found is not None
        return found[1]

    async def ask(self, method: str, path: str, form: Fields | None = None, headers: Fields | None = None) -> Seen:
        """Make one request; redirects are not followed."""
        given = {"accept": "text/html", "accept-language": self.language, **(headers or {})}
        async with self.browser.request(
            method, f"{self.url}/console{path}", data=form, headers=given, allow_redirects=False
        ) as answer:
            text = await answer.text()
            return Seen(answer.status, answer.headers, text, answer.headers.getall("Set-Cookie", []))

    async def sign_in(self, name: str, password: str = PASSWORD, goal: str = "") -> Seen:
        """Sign in by the form."""
        return await self.send(f"/sign-in{goal}", "/sign-in", Name=name, Password=password)


@dataclass(slots=True)
class Place:
    """A running node with its console, and the people who look at it."""

    node: Node
    url: str
    watch: TestClock
    people: list[Person] = field(default_factory=list)

    @property
    def console(self) -> Console:
        """Return the node's console."""
        return self.node.console

    @property
    def account(self) -> Account:
        """Return the main account."""
        return self.node.first_account()[0]

    async def pass_time(self, micros: int) -> None:
        """Let the machine's time pass, for sessions and limits."""
        await self.watch.advance_to(Instant(self.watch.now() + micros), breathe)

    def somebody(self) -> Person:
        """Return somebody with a new browser."""
        jar = aiohttp.CookieJar(unsafe=True)  # an address is a host here
        person = Person(self.url, aiohttp.ClientSession(cookie_jar=jar))
        self.people.append(person)
        return person

    async def user(self, name: str, role: Role | None = Role.OWNER, **changes: Any) -> User:
        """Make a user with the password PASSWORD."""
        directory, at = self.node.directory, self.node.clock.now()
        fields: dict[str, Any] = {
            "sid": sid_for("US", at),
            "name": name,
            "roles": {self.account.sid: role} if role is not None else {},
            "password_hash": _hashed(),
            "created_at": at,
            "updated_at": at,
        }
        made = User(**(fields | changes))
        await directory.put(made)
        return made

    async def signed_in(self, role: Role = Role.OWNER, name: str = "", **changes: Any) -> Person:
        """Return somebody who is signed in."""
        user = await self.user(name or role.title(), role, **changes)
        return await self.browser_of(user)

    async def browser_of(self, user: User) -> Person:
        """Return a new browser in which a user is signed in: without the form, since a password costs time to check."""
        person = self.somebody()
        account = accounts_of(self.node.directory, user)[0]
        token = await self.console.tools.sessions.begin(user, account.sid, "127.0.0.1")
        person.browser.cookie_jar.update_cookies({"postdate-session": token}, URL(self.url))
        person.user = user
        return person

    async def subaccount(self, name: str = "Branch") -> Account:
        """Make a subaccount of the main account."""
        at, directory = self.node.clock.now(), self.node.directory
        sid = sid_for("AC", at)
        account = Account(
            sid=sid,
            owner_sid=self.account.sid,
            friendly_name=name,
            sealed_token=directory.seal("token of a subaccount"),
            created_at=at,
            updated_at=at,
        )
        await directory.put(account)
        return account

    def find(self, user: User) -> User:
        """Return a user as he is now."""
        found = self.node.directory.find(User, user.sid)
        assert found is not None
        return found


@asynccontextmanager
async def a_place(folder: Path, **settings: Any) -> AsyncIterator[Place]:
    """Run a node with its console on a free port, messages and sessions on frozen clocks."""
    given = {"data": folder, "port": 0, "test_clock": True, "allow_networks": "127.0.0.0/8", **settings}
    watch = TestClock(START, frozen=True)
    async with Node(load(**given), TestClock(START, frozen=True)) as node:
        node.watch = watch
        port = await node.listen()
        place = Place(node, f"http://127.0.0.1:{port}", watch)
        try:
            yield place
        finally:
            for person in place.people:
                await person.browser.close()
            await node.advance_to(Instant(node.clock.now() + 2 * SECOND))
