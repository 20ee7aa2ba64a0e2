"""What WhatsApp's Cloud API tells: statuses of messages, messages from handsets, and its numbers of errors.

Checked against the schemas of Meta's OpenAPI document. Statuses may come in any order. Of media in inbound messages a
link comes along, which tells whoever has the access token where they are. Reactions, places and contacts, and people
who show a name in place of their number, are not heard.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import UNKNOWN_FAILURE, BadEvent
from postdate.connectors.providers.reading import MOST_EVENTS, Id, LongText, decode_event, known_sid
from postdate.core.message import Event

_DIGITS: Final = re.compile(r"[0-9]{5,20}")
_MEDIUM_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,128}")

# Meta's numbers, and what the customer is told: as Twilio translates them where it does.
CODES: Final = {
    33: 21606,
    130429: 63018,
    130472: 63032,
    130497: 30004,
    131021: 63024,
    131026: 63024,
    131030: 63024,
    131047: 63016,
    131048: 63018,
    131049: 63049,
    131050: 21610,
    131051: 63021,
    131052: 63019,
    131053: 63019,
    131056: 63018,
    132000: 63028,
    132001: 63027,
    132005: 63021,
    132007: 63021,
    132012: 63028,
    132015: 63027,
    132016: 63027,
}
_STATUSES: Final = {
    "delivered": Event.DELIVER,
    "read": Event.READ,
    "played": Event.READ,
    "failed": Event.UNDELIVER,
}


class GraphError(msgspec.Struct):
    """An error of Meta's."""

    code: int
    error_subcode: int | None = None


class _Status(msgspec.Struct):
    id: Id
    status: str
    biz_opaque_callback_data: str | None = None
    errors: list[GraphError] = msgspec.field(default_factory=list)


class _Text(msgspec.Struct):
    body: LongText


class _Medium(msgspec.Struct):
    id: str = ""
    caption: LongText = ""


class _Button(msgspec.Struct):
    text: LongText


class _Choice(msgspec.Struct):
    title: LongText


class _Interactive(msgspec.Struct):
    button_reply: _Choice | None = None
    list_reply: _Choice | None = None


class _Message(msgspec.Struct):
    id: Id
    type: str
    sender: str | None = msgspec.field(name="from", default=None)
    text: _Text | None = None
    button: _Button | None = None
    interactive: _Interactive | None = None
    image: _Medium | None = None
    video: _Medium | None = None
    audio: _Medium | None = None
    document: _Medium | None = None
    sticker: _Medium | None = None

    @property
    def medium(self) -> _Medium | None:
        media = (self.image, self.video, self.audio, self.document, self.sticker)
        return next((medium for medium in media if medium is not None), None)


class _Number(msgspec.Struct):
    display_phone_number: str = ""


class _Value(msgspec.Struct):
    metadata: _Number = msgspec.field(default_factory=_Number)
    statuses: list[_Status] = msgspec.field(default_factory=list)
    messages: list[_Message] = msgspec.field(default_factory=list)


class _Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class _Entry(msgspec.Struct):
    changes: list[_Change]


class _Webhook(msgspec.Struct):
    entry: list[_Entry]


def read_webhook(body: bytes, sid: str | None, graph: str) -> list[CarrierEvent]:
    """Read what Meta POSTed, all of it or BadEvent; `sid` is the message that the URL was made for, if any.

    `graph` is the address of the Graph API with its version: below it are media by their ids.
    """
    events: list[CarrierEvent] = []
    for value in _values(decode_event(body, _Webhook)):
        events += (receipt for status in value.statuses if (receipt := _receipt(status, sid)) is not None)
        ours = "".join(filter(str.isdigit, value.metadata.display_phone_number))
        events += (inbound for message in value.messages if (inbound := _inbound(message, ours, graph)) is not None)
        if len(events) > MOST_EVENTS:
            raise BadEvent(f"There are more than {MOST_EVENTS:,} events; send fewer at a time.")
    return events


def _values(told: _Webhook) -> Iterator[_Value]:
    for entry in told.entry:
        for change in entry.changes:
            if change.field == "messages":
                yield decode_event(bytes(change.value), _Value)


def _receipt(told: _Status, sid: str | None) -> Receipt | None:
    event = _STATUSES.get(told.status)
    if event is None:
        return None  # sent, and what later versions add
    code = None
    if event is Event.UNDELIVER:
        code = next((CODES[error.code] for error in told.errors if error.code in CODES), UNKNOWN_FAILURE)
    return Receipt(told.id, event, code, known_sid(sid, told.biz_opaque_callback_data))


def _inbound(told: _Message, ours: str, graph: str) -> Inbound | None:
    body, medium = _said(told), told.medium
    if body is None or told.sender is None or not _DIGITS.fullmatch(told.sender) or not _DIGITS.fullmatch(ours):
        return None
    media = (f"{graph}/{medium.id}",) if medium is not None and _MEDIUM_ID.fullmatch(medium.id) else ()
    return Inbound(f"whatsapp:+{told.sender}", f"whatsapp:+{ours}", body, media_urls=media, carrier_ref=told.id)


def _said(told: _Message) -> str | None:
    match told:
        case _Message(text=_Text(body)) | _Message(button=_Button(body)):
            return body
        case _Message(interactive=_Interactive(button_reply=_Choice(title)) | _Interactive(list_reply=_Choice(title))):
            return title
    return told.medium.caption if told.medium is not None else None
