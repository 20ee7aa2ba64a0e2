"""A clinic that reminds its patients through the node: what fills the screens of messages in tests.

Everything is sent as a customer sends it, by the simulated carrier; the clinic's own web server hears the callbacks and
has the QR code. Magic recipients are those of the sandbox.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from postdate.api.configuration import sid_for
from postdate.cli.demo_clinic import Clinic
from postdate.core.address import SenderKind
from postdate.core.commands import SendMessage
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.message import Message, Options
from postdate.core.resources import Sender, Service
from tests.console.visiting import Place

NUMBER = "+15005550006"
PATIENT = "+14155550100"
UNKNOWN, UNREACHABLE, REFUSED, BUSY, DOUBTED = (f"+1500555000{n}" for n in (1, 2, 3, 5, 7))
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eevil\u202c RTL \u200f",
    "W" * 400,
    "🎉👩\u200d👩\u200d👧\u200d👦",
    "one\ntwo\r\n\n\nfive",
    "{{ 7*7 }}{% raw %}",
    "=cmd|'/C calc'!A0",
)


@dataclass(slots=True)
class Reminders:
    """The clinic's account in a node: a service with one number, and what tells its messages to its server."""

    place: Place
    clinic: Clinic
    service: Service

    @property
    def now(self) -> Instant:
        """Return the node's time."""
        return self.place.node.clock.now()

    async def write(self, body: str = "Hi", to: str = PATIENT, ahead: int = 0, **changes: Any) -> Message:
        """Send a message, at once or `ahead` microseconds later; return it as it was accepted."""
        asked: dict[str, Any] = {
            "recipient": to,
            "body": body,
            "service_sid": self.service.sid,
            "callback_url": self.clinic.status_url,
            "send_at": Instant(self.now + ahead) if ahead else None,
            "options": Options(),
        }
        return await self.place.node.ingest.accept(self.place.account, SendMessage(**(asked | changes)))

    def tagged(self, **tags: str) -> Options:
        """Return options with tags."""
        return Options(tags=tags)

    async def wait(self, micros: int = 10 * SECOND) -> None:
        """Let the node's time pass, with all that happens in it."""
        await self.place.node.advance_to(Instant(self.now + micros))

    async def answer(self, body: str, patient: str = PATIENT) -> None:
        """Let a patient write back from the handset."""
        await self.place.node.sandbox.reply(patient, NUMBER, body)

    async def now_of(self, sid: str) -> Message:
        """Return a message as it is now."""
        found = await self.place.node.store.message(self.place.account.sid, sid)
        assert found is not None
        return found

    async def sent(self, body: str = "Hi", to: str = PATIENT, **changes: Any) -> Message:
        """Send a message and wait until all is settled; return it as it is then."""
        message = await self.write(body, to, **changes)
        await self.wait()
        return await self.now_of(message.sid)

    async def day(self) -> dict[str, Message]:
        """Let a day of a clinic happen: a message in every state, by the name of the state."""
        made = {
            "undelivered": await self.write("鈴木様、検査結果が届きました。お電話ください。", UNREACHABLE),
            "failed": await self.write("Hi Dmitri, your crown is ready.", REFUSED),
            "busy": await self.write("Hi Eve, please rinse twice a day.", BUSY),
            "doubt": await self.write("Hi Grace, your crown is ready: please call us.", DOUBTED),
            "picture": await self.write("Show this code at the desk.", media_urls=(self.clinic.picture_url,)),
            "long": await self.write("Dear Ann, thank you for your visit to Hikari Dental today. " * 5),
        }
        for n, body in enumerate(HOSTILE):
            made[f"hostile-{n}"] = await self.write(body, f"+1415555011{n}")
        await self.wait()
        made["canceled"] = await self.write("佐藤様、ご予約は明日 14:00 です。", ahead=2 * HOUR)
        await self.place.node.ingest.cancel(self.place.account, made["canceled"].sid)
        made["scheduled"] = await self.write("Hi Ann, your check-up is tomorrow at 14:00.", ahead=26 * HOUR)
        for n in range(12):
            await self.write(
                "田中様、ご予約は明日です。変更はお電話ください。", f"+8190123456{n:02}", 2 * HOUR + n * HOUR // 2
            )
        return {name: await self.now_of(message.sid) for name, message in made.items()}


@asynccontextmanager
async def a_clinic(place: Place) -> AsyncIterator[Reminders]:
    """Give a place the clinic: its server, its messaging service, and a number in its pool without a limit."""
    at, account = place.node.clock.now(), place.account
    dates: dict[str, Any] = {"created_at": at, "updated_at": at}
    service = Service(sid=sid_for("MG", at), account_sid=account.sid, friendly_name="Appointment reminders", **dates)
    number = Sender(
        sid=sid_for("PN", at), account_sid=account.sid, kind=SenderKind.PHONE_NUMBER, address=NUMBER,
        friendly_name="Front desk", mps=0.0, service_sid=service.sid, added_at=at, **dates,
    )  # fmt: skip
    async with Clinic(place.node.clock) as clinic:
        clinic.auth_token = place.node.first_account()[1]
        await place.node.directory.put(service)
        await place.node.directory.put(number)
        yield Reminders(place, clinic, service)
