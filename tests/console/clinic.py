"""What a clinic has set up: messaging services, senders of every type, and ways to carriers in several states.

All of it is made by the forms of the console, as the clinic's owner would; the answers are checked on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from postdate.core.resources import Connection, Sender, Service
from tests.console.visiting import Person, Place

HOSTILE = "<script>alert(1)</script>"
HOSTILE_TOO = '"><img src=x onerror=alert(2)>'
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamten"[:64]
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Clinic:
    """Who set it up, and what there is."""

    owner: Person
    services: Sequence[Service]
    senders: Sequence[Sender]
    connections: Sequence[Connection]

    def service(self, name: str = "Appointment reminders") -> Service:
        """Return a messaging service."""
        return next(one for one in self.services if one.friendly_name == name)

    def sender(self, address: str) -> Sender:
        """Return a sender."""
        return next(one for one in self.senders if one.address == address)

    def connection(self, name: str) -> Connection:
        """Return a connection."""
        return next(one for one in self.connections if one.name == name)


async def add_connection(owner: Person, kind: str, name: str, **settings: str) -> str:
    """Add a connection by its form; return its SID."""
    given = {f"Settings.{key}": value for key, value in settings.items()}
    seen = await owner.do(f"/connections/new/{kind}", Name=name, Doubt="hold", Mps="0", **given)
    assert seen.status == 303, seen.text
    return seen.location.rpartition("/")[2]


async def add_sender(owner: Person, **form: str) -> str:
    """Register a sender by its form; return its SID."""
    seen = await owner.do("/numbers/new", **{"Kind": "phone_number", "Mms": "true", "Mps": "1", **form})
    assert seen.status == 303, seen.text
    return seen.location.rpartition("/")[2]


async def add_service(owner: Person, name: str, usecase: str = "notifications") -> str:
    """Create a messaging service by its form; return its SID."""
    seen = await owner.do("/services/new", FriendlyName=name, Usecase=usecase)
    assert seen.status == 303, seen.text
    return seen.location.split("/")[2]


async def set_up_clinic(place: Place, carrier_url: str = "http://127.0.0.1:1/messages") -> Clinic:
    """Set up a clinic; `carrier_url` is where its gateway is."""
    owner = await place.signed_in(name="Aiko Tanaka")
    await add_connection(owner, "plain-http", "clinic-gateway", url=carrier_url, token="hush")
    smpp = {"host": HOST, "port": "1", "system_id": "clinic01", "password": "hush", "in_flight": "20"}
    await add_connection(owner, "smpp", "acme-smpp", **smpp)
    paused = await add_connection(
        owner, "twilio", "twilio-backup", account_sid=f"AC{1:032}", auth_token="hush", base_url="http://127.0.0.1:1"
    )
    await owner.do(f"/connections/{paused}/pause", Paused="true")
    reminders = await add_service(owner, "Appointment reminders")
    await add_service(owner, "Vaccination campaign", "marketing")
    await add_service(owner, LONG, "discussion")
    await add_service(owner, HOSTILE, "poll")
    for form in (
        {"PhoneNumber": "+14155550100", "FriendlyName": "Reception", "Connection": "clinic-gateway", "Mps": "10"},
        {"PhoneNumber": "+14155550101", "FriendlyName": "Dr. Mori's practice", "Connection": "acme-smpp", "Mps": "0.5"},
        {"PhoneNumber": "+819012345678", "FriendlyName": "渋谷クリニック 受付", "Mms": "false"},
        {"Kind": "short_code", "ShortCode": "72345", "IsoCountry": "US", "FriendlyName": "Clinic line", "Mps": "100"},
        {"Kind": "channel", "Channel": "whatsapp", "Address": "+14155550100", "FriendlyName": "WhatsApp reception"},
    ):
        await add_sender(owner, MessagingServiceSid=reminders, **form)
    for form in (
        {"PhoneNumber": "+14155550102", "FriendlyName": HOSTILE_TOO, "Mps": "0"},
        {"PhoneNumber": "+14155550103", "FriendlyName": LONG},
    ):
        await add_sender(owner, **form)
    await owner.do(f"/services/{reminders}/senders/alpha", AlphaSender="CLINIC", IsoCountryCode="GB", Mps="5")
    await owner.do(f"/services/{reminders}/schedule", ScheduleWindow="5m..35d")
    await place.node.connections.settled()
    every = place.node.directory.every
    return Clinic(owner, every(Service), every(Sender), every(Connection))
