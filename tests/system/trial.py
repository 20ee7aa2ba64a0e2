"""One crash test from the outside: a carrier and a nursery of lives in processes of their own, a customer in this one.

`Trial` starts and ends the lives and gathers the history. Whoever uses it says what the customer does and when a life
ends. Only processes it started are ended, by their id.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

import postdate
from postdate.clock import SystemClock, breathe
from postdate.core.instant import Instant
from postdate.core.message import Status
from tests.held_ports import held_ports
from tests.system.checker import CALLED_BACK, report, violations
from tests.system.customer import Customer, Wish, calling, listening
from tests.system.history import (
    Books,
    Claim,
    Diary,
    End,
    History,
    Kept,
    Life,
    Reply,
    Submission,
    digest,
    write,
)
from tests.system.node_process import ACCOUNT, AUTH_TOKEN, MOST_SECONDS

HERE = Path(__file__).parent
TOKEN = "the-token-of-the-carrier"
SETTLED_WITHIN = 45.0
STARTED_WITHIN = 30.0
SLOW_MS = 25
MOST_TRIES = 5

# Two senders without a rate behind one service, one with a rate behind another, and one for very long messages.
FREE = ("+14155550111", "+14155550112")
PACED = "+14155550121"
SLOW = "+14155550131"
RATES = {PACED: 50.0, SLOW: 10.0}
LONG = "Please bring " + "x" * 1_480
LONG_SEGMENTS = 10


@dataclass(slots=True)
class Birth:
    """A life under way."""

    number: int
    began_at: Instant
    failpoint: str | None
    pid: int = 0
    ready_at: Instant | None = None
    ended_at: Instant | None = None
    status: int | None = None


class Nursery:
    """The process that forks the lives, and what it says of them."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, diary: Diary) -> None:
        self._process = process
        self._folder = folder
        self._diary = diary
        self._clock = SystemClock()
        self._changed = asyncio.Condition()
        self._life: Birth | None = None
        self.up = asyncio.Event()  # the node answers requests, as far as is known
        self.lives = 0

    async def listen(self) -> None:
        """Hear what the nursery says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            await self._hear(json.loads(line))

    async def _hear(self, told: dict[str, Any]) -> None:
        life = self._life
        assert life is not None, told
        async with self._changed:
            if "born" in told:
                life.pid = told["born"]
            elif "ready" in told:
                life.ready_at = self._clock.now()
                self.up.set()
            else:
                self.up.clear()
                life.ended_at, life.status = self._clock.now(), told["status"]
            self._changed.notify_all()

    async def begin(self, failpoint: str | None = None) -> Birth:
        """Begin a life; return when it is born, not when it is ready."""
        assert self._process.stdin is not None
        self.lives += 1
        life = self._life = Birth(self.lives, self._clock.now(), failpoint)
        log = str(self._folder / f"claims-{life.number}.jsonl")
        orders = {"life": life.number, "failpoint": failpoint, "log": log}
        self._process.stdin.write(json.dumps(orders).encode() + b"\n")
        await self._until(lambda: life.pid != 0)
        return life

    async def ready(self, life: Birth) -> bool:
        """Say whether the life answers requests; False where it ended before."""
        await self._until(lambda: life.ready_at is not None or life.ended_at is not None)
        return life.ended_at is None

    async def ended(self, life: Birth) -> None:
        """Return when it has ended."""
        await self._until(lambda: life.ended_at is not None)

    def end(self, life: Birth, how: signal.Signals) -> None:
        """Kill or stop it, unless it has ended."""
        self.up.clear()
        if life.ended_at is None:
            os.kill(life.pid, how)

    async def note(self, life: Birth) -> None:
        """Wait for the end of a life and write it into the diary; it must have ended by a signal or in order."""
        await self.ended(life)
        assert life.ended_at is not None
        assert life.status in (0, -signal.SIGKILL), f"life {life.number} ended with {life.status}: {self.errors()}"
        end = End.KILLED if life.status else End.STOPPED
        self._diary.lives.append(Life(life.number, life.began_at, life.ready_at, life.ended_at, end, life.failpoint))

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(STARTED_WITHIN), self._changed:
            await self._changed.wait_for(reached)

    def errors(self) -> str:
        """Return the last words of the lives."""
        return (self._folder / "errors.txt").read_text()[-4_000:]


@dataclass(slots=True)
class Trial:
    """A node that can be killed, its customer, its carrier, and what is noted of them."""

    folder: Path
    seed: int
    doubt: str
    diary: Diary
    nursery: Nursery
    customer: Customer
    url: str
    service: str = ""
    paced_service: str = ""

    async def kill(self, life: Birth) -> None:
        """Kill a life at once, and note its end."""
        self.nursery.end(life, signal.SIGKILL)
        await self.nursery.note(life)

    async def configure(self) -> None:
        """Let one life make services and senders, and stop in order."""
        life = await self.nursery.begin()
        assert await self.nursery.ready(life), self.nursery.errors()
        make = self.customer.make
        self.service = await make("/v1/Services", FriendlyName="Free")
        self.paced_service = await make("/v1/Services", FriendlyName="Paced")
        for address, service in ((FREE[0], self.service), (FREE[1], self.service), (PACED, self.paced_service)):
            mps = f"{RATES.get(address, 0):g}"
            number = await make("/IncomingPhoneNumbers.json", PhoneNumber=address, Mps=mps)
            await make(f"/v1/Services/{service}/PhoneNumbers", PhoneNumberSid=number)
        await make("/IncomingPhoneNumbers.json", PhoneNumber=SLOW, Mps=f"{RATES[SLOW]:g}")
        self.nursery.end(life, signal.SIGTERM)
        await self.nursery.note(life)

    # -- what a customer does who does not give up ---------------------------------------------------------------------

    async def have(self, made: Wish) -> str | None:
        """Ask a node that is up for a message, again where the answer was lost and it has a key; return its SID."""
        if not self.nursery.up.is_set():
            return None
        for _ in range(MOST_TRIES):
            answer = await self.customer.create(made)
            if answer.body is not None:
                return str(answer.body["sid"]) if answer.reply is Reply.OK else None
            if made.key is None:
                return None
            await self.nursery.up.wait()
        return None

    async def cancel(self, sid: str, tries: int) -> None:
        """Cancel once the node is there to hear it; try again where no answer came."""
        for _ in range(tries):
            await self.nursery.up.wait()
            if (await self.customer.cancel(sid)).body is not None:
                return

    # -- the end -----------------------------------------------------------------------------------------------------

    async def finish(self, life: Birth) -> History:
        """Wait until all is settled and told, stop the node in order, and return the history."""
        listed = await self._settled()
        self.nursery.end(life, signal.SIGTERM)
        await self.nursery.note(life)
        kept, books = self._read_store(listed)
        return History(
            seed=self.seed,
            doubt=self.doubt,
            rates=RATES,
            orders=tuple(self.diary.orders),
            creates=tuple(self.diary.creates),
            cancels=tuple(self.diary.cancels),
            reads=tuple(self.diary.reads),
            told=tuple(self.diary.told),
            submissions=tuple(self.submissions()),
            claims=tuple(self._claims()),
            lives=tuple(self.diary.lives),
            kept=kept,
            books=books,
        )

    async def _settled(self) -> dict[Status, int]:
        """Return how many messages of each status are listed, once they are settled, or when it has taken too long."""
        try:
            async with asyncio.timeout(SETTLED_WITHIN):
                while await self._unsettled() or self._untold(await self.customer.listed()):
                    await breathe(0.1)
        except TimeoutError:
            pass  # the checker says what is missing
        return dict(Counter(Status(message["status"]) for message in await self.customer.listed()))

    async def _unsettled(self) -> bool:
        at_carrier = {submission.sid for submission in self.submissions()}
        for status in (Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED, Status.SENT):
            if await self.customer.listed(status):
                return True
        sending = await self.customer.listed(Status.SENDING)
        return any(not message["in_doubt"] or message["sid"] in at_carrier for message in sending)

    def _untold(self, listed: list[Any]) -> bool:
        told = {(told.sid, told.status) for told in self.diary.told}
        return any(m["status"] in CALLED_BACK and (m["sid"], m["status"]) not in told for m in listed)

    def submissions(self) -> list[Submission]:
        """Return what the carrier has."""
        lines = [json.loads(line) for line in (self.folder / "carrier.jsonl").read_text().splitlines()]
        return [
            Submission(
                line["sid"], line["attempt"], line["received_at"], line["to"], line["from"], line["body_sha256"],
                line["idempotency_key"],
            )
            for line in lines
        ]  # fmt: skip

    def _claims(self) -> list[Claim]:
        """Return all claims; the last of a life may lack its end."""
        found: list[Claim] = []
        for path in sorted(self.folder.glob("claims-*.jsonl")):
            asked: list[dict[str, Any]] = []
            for line in path.read_bytes().splitlines():
                noted = json.loads(line)
                if "at" in noted:
                    asked.append(noted)
                else:
                    asked[-1]["done_at"] = noted["done_at"]
            found += [Claim(c["life"], c["at"], c.get("done_at"), tuple(c["sids"])) for c in asked]
        return found

    def _read_store(self, listed: dict[Status, int]) -> tuple[tuple[Kept, ...], Books]:
        """Read the store itself, past the node."""
        db = apsw.Connection(str(self.folder / "data" / "postdate.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            rows: list[Any] = list(
                db.execute("SELECT sid, status, doubt_at, error_code, recipient, sender, body FROM messages")
            )
            kept = tuple(
                Kept(sid, Status(status), doubt_at is not None, code, to, sender, digest(body))
                for sid, status, doubt_at, code, to, sender, body in rows
            )
            timers: list[Any] = list(db.execute("SELECT sid FROM timers"))
            ((count, outbox),) = db.execute(
                "SELECT (SELECT coalesce(sum(scheduled), 0) FROM scheduled_counts), (SELECT count(*) FROM callbacks)"
            )
            return kept, Books(tuple(sid for (sid,) in timers), int(str(count)), int(str(outbox)), listed)
        finally:
            db.close()


def check(trial: Trial, history: History) -> None:
    """Fail where the history breaks a promise: with its stories, and the file that holds it."""
    found = violations(history)
    if found:
        path = trial.folder / "history.json"
        write(history, path)
        raise AssertionError(
            f"{report(history, found)}\n\nThe history is in {path}; check it again with\n"
            f"python -m tests.system.checker {path}\nThe seed was POSTDATE_KILL_SEED={history.seed}"
        )


# --- processes -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _process(*command: str, errors: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python program until its stdin closes, with our packages."""
    paths = [str(Path(postdate.__file__).parent.parent), str(HERE.parent.parent)]
    with errors.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def trying(folder: Path, doubt: str, seed: int) -> AsyncIterator[Trial]:
    """Run a carrier and a nursery in a folder, and listen to callbacks; no life has begun."""
    with held_ports(1) as (port,):
        async with _trying_on(port, folder, doubt, seed) as trial:
            yield trial


@asynccontextmanager
async def _trying_on(port: int, folder: Path, doubt: str, seed: int) -> AsyncIterator[Trial]:
    diary = Diary()
    receipts = f"http://127.0.0.1:{port}/postdate/v1/Connections/http/Events"
    carrier = [str(HERE / "carrier.py"), "--log", str(folder / "carrier.jsonl"), "--slow-ms", str(SLOW_MS)]
    carrier += ["--max-seconds", str(MOST_SECONDS)]
    errors = folder / "errors.txt"
    async with (
        _process(*carrier, "--receipts", receipts, "--token", TOKEN, errors=errors) as carrying,
        listening(AUTH_TOKEN, diary) as url,
        calling(port, ACCOUNT, AUTH_TOKEN, diary) as customer,
    ):
        assert carrying.stdout is not None
        place = f"http://127.0.0.1:{int(await carrying.stdout.readline())}/messages"
        command = [str(HERE / "node_process.py"), str(folder / "data"), str(port), place, TOKEN, doubt]
        async with _process(*command, errors=errors) as process:
            nursery = Nursery(process, folder, diary)
            hearing = asyncio.create_task(nursery.listen())
            try:
                yield Trial(folder, seed, doubt, diary, nursery, customer, url)
            finally:
                hearing.cancel()
                await asyncio.wait([hearing])
