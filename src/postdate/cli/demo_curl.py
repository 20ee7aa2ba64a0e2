"""The demo's Twilio user: the commands of Twilio's announcement, run as they are printed, but for the base URL.

Where there is no curl, the same form goes out by the command line's own client.
"""

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from postdate.cli.client import Client
from postdate.cli.command import Trouble
from postdate.cli.credentials import ACCOUNT_SID, AUTH_TOKEN, URL, Credentials
from postdate.cli.record import Record

ACCOUNT_PATH: Final = f"/2010-04-01/Accounts/${ACCOUNT_SID}"
_SECONDS: Final = 30.0
_SPECIAL: Final = frozenset('$`"\\')


@dataclass(frozen=True, slots=True)
class Post:
    """A form to be posted; the path names the account as a shell does."""

    path: str
    fields: Sequence[tuple[str, str]]

    def command(self) -> str:
        """Return it as a Twilio user writes it."""
        assert not _SPECIAL & set("".join(value for _, value in self.fields)), "it would mean something to a shell"
        lines = [f"curl -X POST ${URL}{self.path}"]
        lines += [f'--data-urlencode "{name}={value}"' for name, value in self.fields]
        lines.append(f"-u ${ACCOUNT_SID}:${AUTH_TOKEN}")
        return " \\\n".join(lines)


class TwilioUser:
    """Posts forms to a node, with curl where the machine has it."""

    def __init__(self, credentials: Credentials, home: Path) -> None:
        self._credentials = credentials
        self._client = Client(credentials)
        self._home = home
        self.has_curl = shutil.which("curl") is not None

    async def post(self, post: Post) -> Record:
        """Return the answer; raise Trouble where there is none, or it says no."""
        if self.has_curl:
            return await self._by_curl(post)
        path = post.path.replace(f"${ACCOUNT_SID}", self._credentials.account_sid)
        return Record.parse(await asyncio.to_thread(self._client.post, path, post.fields))

    async def _by_curl(self, post: Post) -> Record:
        given = {
            URL: self._credentials.url,
            ACCOUNT_SID: self._credentials.account_sid,
            AUTH_TOKEN: self._credentials.auth_token,
            "HOME": str(self._home),  # no .curlrc of the person's
            "NO_PROXY": "127.0.0.1",
        }
        curl = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            post.command(),
            env={"PATH": os.environ.get("PATH", os.defpath), **given},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                body, complaint = await curl.communicate()
        except TimeoutError:
            curl.kill()
            raise Trouble(f"curl had no answer after {_SECONDS:g} seconds:\n{post.command()}") from None
        try:
            answer = Record.parse(body)
        except ValueError:
            raise Trouble(f"curl brought no answer:\n{post.command()}\n{complaint.decode()}") from None
        if "code" in answer:
            raise Trouble(f"{post.command()}\nwas refused: {answer.text('code')} {answer.text('message')}")
        return answer
