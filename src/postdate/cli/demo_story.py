"""What happens in the demo: Twilio's announcement, step by step, against a real node over real HTTP.

A reminder by SMS 24 hours before an appointment and an MMS with a QR code 3 hours before it; the appointment is called
off, so the MMS is canceled. Another patient keeps hers, and the QR code arrives. The story checks itself as it goes.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from postdate.cli.credentials import Credentials
from postdate.cli.demo_clinic import Clinic
from postdate.cli.demo_curl import ACCOUNT_PATH, Post, TwilioUser
from postdate.cli.demo_report import Change, Report, day_and_time
from postdate.cli.record import Record
from postdate.clock import SystemClock, TestClock
from postdate.connectors.sandbox_handsets import Received
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, format_iso
from postdate.node import Node
from postdate.settings import Settings

SENDER: Final = "+15005550006"
PATIENT: Final = "+14155550101"
OTHER_PATIENT: Final = "+14155550102"
REMINDER: Final = "This is a reminder about your appointment tomorrow at 3PM with Dr. Strange"
CHECK_IN: Final = "Your appointment with Dr. Strange is today. Show this code to check in."


async def tell_story(report: Report) -> None:
    """Run the demo; raise Trouble where a step cannot be taken. What is wrong at the end is in the report."""
    clock = TestClock(Instant(SystemClock().now() // MINUTE * MINUTE), frozen=True)
    with tempfile.TemporaryDirectory(prefix="postdate-demo-") as name:
        folder = Path(name)
        async with Clinic(clock) as clinic, Node(_settings(folder), clock) as node:
            port = await node.listen()
            account, clinic.auth_token = node.first_account()
            user = TwilioUser(Credentials(f"http://127.0.0.1:{port}", account.sid, clinic.auth_token), folder)
            await _Story(report, node, clock, clinic, user).run()


def _settings(folder: Path) -> Settings:
    """Return the settings as they come, whatever the person's environment says."""
    usual = {name: setting.default for name, setting in Settings.model_fields.items()}
    return Settings(**{**usual, "data": folder, "port": 0, "test_clock": True, "allow_networks": "127.0.0.0/8"})


@dataclass(frozen=True, slots=True)
class _Scheduled:
    sid: str
    name: str
    send_at: Instant
    made_at: Instant


class _Story:
    def __init__(self, report: Report, node: Node, clock: TestClock, clinic: Clinic, user: TwilioUser) -> None:
        self._report = report
        self._node = node
        self._clock = clock
        self._clinic = clinic
        self._user = user
        self._start = clock.now()
        # In three days at 3 PM: whenever the demo runs, that is within the announcement's 60 minutes to 7 days.
        self._appointment = Instant(self._start // DAY * DAY + 3 * DAY + 15 * HOUR)
        self._service = ""

    async def run(self) -> None:
        """Tell the four parts."""
        self._introduce()
        await self._set_up()
        reminder, check_in = await self._schedule()
        await self._call_off(reminder, check_in)
        await self._keep()

    def _introduce(self) -> None:
        self._report.note(
            "A clinic reminds its patients. Everything below is real: a node with its store on disk, HTTP, curl, "
            "signed callbacks. Only the carrier is simulated, and the time is a test clock's, which "
            "POST /postdate/v1/TestClock moves."
        )
        if not self._user.has_curl:
            self._report.note("There is no curl here, so the commands are sent as they would be by curl.")

    async def _post(self, path: str, *fields: tuple[str, str]) -> Record:
        post = Post(path, fields)
        at = self._clock.now()
        answer = await self._user.post(post)
        self._report.ran(at, post, answer)
        return answer

    # -- 1 -----------------------------------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        self._report.part("1  A messaging service, with a number in its sender pool")
        service = await self._post(
            "/v1/Services", ("FriendlyName", "Clinic"), ("StatusCallback", self._clinic.status_url)
        )
        number = await self._post(f"{ACCOUNT_PATH}/IncomingPhoneNumbers.json", ("PhoneNumber", SENDER))
        self._service = service.text("sid")
        added = await self._post(f"/v1/Services/{self._service}/PhoneNumbers", ("PhoneNumberSid", number.text("sid")))
        self._report.check("The number is in the sender pool of the service", added.text("phone_number") == SENDER)

    # -- 2 -----------------------------------------------------------------------------------------------------------

    async def _schedule(self) -> tuple[_Scheduled, _Scheduled]:
        self._report.part("2  Two messages for an appointment, scheduled days ahead")
        self._report.note(f"The appointment: {day_and_time(self._appointment)} UTC.")
        reminder = await self._scheduled("SMS reminder", PATIENT, REMINDER, Instant(self._appointment - 24 * HOUR))
        check_in = await self._scheduled(
            "MMS check-in",
            PATIENT,
            CHECK_IN,
            Instant(self._appointment - 3 * HOUR),
            ("MediaUrl", self._clinic.picture_url),
        )
        return reminder, check_in

    async def _scheduled(
        self, name: str, patient: str, body: str, send_at: Instant, *media: tuple[str, str]
    ) -> _Scheduled:
        made_at = self._clock.now()
        answer = await self._post(
            f"{ACCOUNT_PATH}/Messages.json",
            *media,
            ("Body", body),
            ("MessagingServiceSid", self._service),
            ("To", patient),
            ("ScheduleType", "fixed"),
            ("SendAt", format_iso(send_at)),
        )
        sid = answer.text("sid")
        self._report.check(
            f"The {name} for {patient} is scheduled",
            answer.text("status") == "scheduled" and sid.startswith("MM" if media else "SM"),
        )
        return _Scheduled(sid, name, send_at, made_at)

    # -- 3 -----------------------------------------------------------------------------------------------------------

    async def _call_off(self, reminder: _Scheduled, check_in: _Scheduled) -> None:
        self._report.part("3  The reminder goes out; then the appointment is called off")
        await self._advance(Instant(reminder.send_at - 1 * SECOND), "a second before the reminder is due")
        self._report.check("Nothing leaves before its time", not self._inbox(PATIENT))
        await self._advance(Instant(reminder.send_at + 1 * HOUR), "an hour after it: the patient calls")
        called_off_at = self._clock.now()
        # As the announcement writes it: without .json.
        answer = await self._post(f"{ACCOUNT_PATH}/Messages/{check_in.sid}", ("Status", "canceled"))
        self._report.check("The MMS check-in is canceled", answer.text("status") == "canceled")
        await self._advance(Instant(self._appointment + 1 * HOUR), "the appointment is over")
        self._report.timeline(self._learned(reminder, check_in))
        inbox = self._inbox(PATIENT)
        self._report.handset(PATIENT, inbox, self._clinic.qr)
        self._report.note(f"The MMS was canceled at {day_and_time(called_off_at)}: it never arrived.")
        self._check_called_off(reminder, check_in, inbox)

    def _check_called_off(self, reminder: _Scheduled, check_in: _Scheduled, inbox: Sequence[Received]) -> None:
        check = self._report.check
        check("The reminder arrived, once, at its SendAt", (reminder.sid, reminder.send_at) in _places(inbox))
        check("The canceled MMS never arrived", len(inbox) == 1 and inbox[0].sid != check_in.sid)
        check("Its picture was never fetched", not self._clinic.fetched_at)
        check("The reminder was queued, sent, delivered", self._told(reminder) == ["queued", "sent", "delivered"])
        check("The MMS was canceled, and nothing else", self._told(check_in) == ["canceled"])

    # -- 4 -----------------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        self._report.part("4  Another patient comes an hour later than planned, and keeps it")
        planned = Instant(self._appointment + 1 * DAY - 3 * HOUR)
        send_at = Instant(planned + 1 * HOUR)
        picture = ("MediaUrl", self._clinic.picture_url)
        check_in = await self._scheduled("MMS check-in", OTHER_PATIENT, CHECK_IN, planned, picture)
        # What Twilio's scheduling has no way to do: another time, the same message.
        moved = await self._post(f"{ACCOUNT_PATH}/Messages/{check_in.sid}.json", ("SendAt", format_iso(send_at)))
        self._report.check(
            "The message was moved by an hour and kept its SID",
            (moved.text("sid"), moved.text("send_at")) == (check_in.sid, format_iso(send_at)),
        )
        await self._advance(Instant(send_at + 1 * MINUTE), "three hours before her appointment")
        self._report.timeline(self._learned(check_in))
        inbox = self._inbox(OTHER_PATIENT)
        self._report.handset(OTHER_PATIENT, inbox, self._clinic.qr)
        self._check_kept(check_in, send_at, inbox)

    def _check_kept(self, check_in: _Scheduled, send_at: Instant, inbox: Sequence[Received]) -> None:
        pictures = [(one.content_type, one.body) for received in inbox for one in received.attachments]
        check = self._report.check
        check("The other patient received her MMS, once, at the new time", _places(inbox) == [(check_in.sid, send_at)])
        check("The QR code arrived byte for byte", pictures == [("image/png", self._clinic.picture)])
        check("Its picture was fetched when it was due, not before", self._clinic.fetched_at == [send_at])
        check("It was queued, sent, delivered", self._told(check_in) == ["queued", "sent", "delivered"])
        told = self._clinic.told
        check(f"All {len(told)} callbacks carried the right signature", all(one.verified for one in told))

    # -- time and what came of it ------------------------------------------------------------------------------------

    async def _advance(self, target: Instant, why: str) -> None:
        """Move the clock as its user does, over HTTP."""
        before = self._clock.now()
        await self._user.post(Post("/postdate/v1/TestClock", [("AdvanceTo", format_iso(target))]))
        self._report.moved(before, self._clock.now(), why)

    def _inbox(self, patient: str) -> Sequence[Received]:
        return self._node.sandbox.inbox(patient)

    def _told(self, message: _Scheduled) -> list[str]:
        return [told.status for told in self._clinic.told if told.message_sid == message.sid]

    def _learned(self, *messages: _Scheduled) -> list[Change]:
        changes = [Change(one.made_at, one.sid, one.name, "scheduled", None) for one in messages]
        names = {one.sid: one.name for one in messages}
        changes += [
            Change(told.at, told.message_sid, names[told.message_sid], told.status, told.verified)
            for told in self._clinic.told
            if told.message_sid in names
        ]
        return sorted(changes, key=lambda change: change.at)


def _places(inbox: Sequence[Received]) -> list[tuple[str, Instant]]:
    return [(received.sid, received.at) for received in inbox]
