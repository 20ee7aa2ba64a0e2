"""The senders of a messaging service: `/v1/Services/{MG}/PhoneNumbers`, `/ShortCodes`, `/ChannelSenders` and the rest.

A sender is in one service only. Numbers, short codes and channel senders exist apart from it: they join, and are free
again when they leave. An alpha sender is made in its service, for all countries or for one, and ends when it leaves;
`Mps` and `Connection` (ours) say how it sends.
Postdate registers no campaigns with US carriers: `/Compliance/Usa2p` is an empty list.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from postdate.api.channel_senders import type_of
from postdate.api.configuration import dates_iso, page_v1
from postdate.api.endpoint import Answer, Request
from postdate.api.senders import new_sender
from postdate.api.services import found_service, service_url
from postdate.api.twilio import Form, shown
from postdate.core.address import InvalidAddress, SenderKind, parse_sender
from postdate.core.errors import Rejected
from postdate.core.instant import Instant
from postdate.core.resources import Sender, Service
from postdate.flow.directory import changed
from postdate.store.contract import Cursor

MOST_NUMBERS = 400
_NUMBERED = frozenset({SenderKind.PHONE_NUMBER, SenderKind.SHORT_CODE})
_COUNTRY = re.compile(r"[A-Za-z]{2}")

Describe = Callable[[Sender], dict[str, Any]]


def _capabilities(sender: Sender) -> list[str]:
    return ["SMS", "MMS"] if sender.mms else ["SMS"]


def _check_room(pool: Sequence[Sender], kind: SenderKind) -> None:
    """Raise Rejected (21714) where a pool is full: numbers and short codes share the room, other kinds have theirs."""
    kinds = _NUMBERED if kind in _NUMBERED else {kind}
    if sum(sender.kind in kinds for sender in pool) >= MOST_NUMBERS:
        raise Rejected(21714)


class Pool:
    """One kind of sender of a messaging service; `segment` is its place in the URL, `key` its name in a list."""

    def __init__(self, segment: str, key: str, kind: SenderKind, describe: Describe) -> None:
        self.segment = segment
        self.key = key
        self.kind = kind
        self._describe = describe

    def shows(self, sender: Sender, query: Form) -> bool:
        """Say whether a sender of the service is in this list."""
        return sender.kind is self.kind

    def as_json(self, request: Request, sender: Sender) -> dict[str, Any]:
        """Return a sender as this resource shows it; it was made when it was added to the service."""
        added_at = sender.added_at or sender.created_at
        url = service_url(request, sender.service_sid or "")
        return {
            "sid": sender.sid,
            "account_sid": sender.account_sid,
            "service_sid": sender.service_sid,
            **dates_iso(added_at, added_at),
            **self._describe(sender),
            "url": f"{url}/{self.segment}/{sender.sid}",
        }

    async def list_all(self, request: Request) -> Answer:
        """Return the senders of this kind, in the order they were added."""
        service = _service(request)
        pool = request.parts.directory.pool(service.sid)
        rows = [sender for sender in pool if self.shows(sender, request.query)]
        return page_v1(
            request, self.key, rows, lambda sender: self.as_json(request, sender), _place_in_pool, ("IsoCountryCode",)
        )

    async def fetch(self, request: Request) -> Answer:
        """Return one sender of the service."""
        return Answer(200, self.as_json(request, self.found(request)))

    def found(self, request: Request) -> Sender:
        """Return the sender that the URL names; raise Rejected (21711) where it is not in the service."""
        service, sid = _service(request), request.params["sid"]
        for sender in request.parts.directory.pool(service.sid):
            if sender.sid == sid and self.shows(sender, Form({})):
                return sender
        raise Rejected(21711, f"The sender {shown(sid)} is not among the {self.segment} of this messaging service.")


class JoinedPool(Pool):
    """Senders that exist apart from the service; `parameter` names the one to add."""

    def __init__(self, segment: str, key: str, kind: SenderKind, parameter: str, describe: Describe) -> None:
        super().__init__(segment, key, kind, describe)
        self._parameter = parameter

    async def create(self, request: Request) -> Answer:
        """Add a sender of the account to the service: 201, or 200 where it was in it already."""
        directory, at = request.parts.directory, request.parts.clock.now()
        async with directory.changing:
            service, sender = _service(request), self._named(request)
            if sender.service_sid == service.sid:
                return Answer(200, self.as_json(request, sender))
            if sender.service_sid is not None:
                raise Rejected(21712)
            _check_room(directory.pool(service.sid), self.kind)
            joined = changed(sender, service_sid=service.sid, added_at=at, updated_at=at)
            await directory.put(joined)
        return Answer(201, self.as_json(request, joined))

    def _named(self, request: Request) -> Sender:
        sid = request.form.text(self._parameter)
        if sid is None:
            raise Rejected(20001, f"A {self._parameter} is missing: name the sender to add.")
        sender = request.parts.directory.find(Sender, sid)
        if sender is None or sender.account_sid != request.account.sid or sender.kind is not self.kind:
            code = 21421 if self.kind is SenderKind.PHONE_NUMBER else 20404
            raise Rejected(code, f"The {self._parameter} {shown(sid)} names no such sender of this account.")
        return sender

    async def delete(self, request: Request) -> Answer:
        """Take a sender out of the service: it is free for another."""
        directory, at = request.parts.directory, request.parts.clock.now()
        async with directory.changing:
            await directory.put(changed(self.found(request), service_sid=None, added_at=None, updated_at=at))
        return Answer(204)


class AlphaPool(Pool):
    """Alpha senders for all countries: made here, for this service alone."""

    async def create(self, request: Request) -> Answer:
        """Make an alpha sender; raise Rejected (21710) where the service has it already."""
        directory, at = request.parts.directory, request.parts.clock.now()
        async with directory.changing:
            service = _service(request)
            name, country = _alpha(request.form), self.country_of(request.form)
            pool = directory.pool(service.sid)
            if any(s.kind is self.kind and (s.address, s.country) == (name, country) for s in pool):
                raise Rejected(21710, f"The alpha sender {name} is in this messaging service already.")
            _check_room(pool, self.kind)
            plain = new_sender(request, self.kind, name, country)
            sender = changed(plain, mms=False, service_sid=service.sid, added_at=at)
            await directory.put(sender)
        return Answer(201, self.as_json(request, sender))

    async def delete(self, request: Request) -> Answer:
        """Remove an alpha sender."""
        directory = request.parts.directory
        async with directory.changing:
            await directory.remove(self.found(request).sid)
        return Answer(204)

    def country_of(self, form: Form) -> str:
        """Return the country that a new one is for, "" for all."""
        return ""

    def shows(self, sender: Sender, query: Form) -> bool:
        """Say whether a sender is in this list: those for one country are in the other."""
        return sender.kind is self.kind and sender.country == ""


class DestinationAlphaPool(AlphaPool):
    """Alpha senders for one country each (`IsoCountryCode`), and those for all."""

    def country_of(self, form: Form) -> str:
        """Return the country that a new one is for, "" for all; raise Rejected (20001) where it is none."""
        country = form.text("IsoCountryCode") or ""
        if country and not _COUNTRY.fullmatch(country):
            raise Rejected(20001, f"An IsoCountryCode has two letters, such as FR, not {shown(country)}.")
        return country.upper()

    def shows(self, sender: Sender, query: Form) -> bool:
        """Say whether a sender is in this list: an alpha sender, for the country that is asked for."""
        country = query.text("IsoCountryCode")
        return sender.kind is self.kind and (country is None or sender.country == country.upper())


class ChannelPool(JoinedPool):
    """Senders on WhatsApp and other channels; Twilio names the service differently here."""

    def as_json(self, request: Request, sender: Sender) -> dict[str, Any]:
        """Return a sender as this resource shows it."""
        shown_as = super().as_json(request, sender)
        shown_as["messaging_service_sid"] = shown_as.pop("service_sid")
        return shown_as


def _service(request: Request) -> Service:
    return found_service(request, request.params["service_sid"])


def _place_in_pool(sender: Sender) -> Cursor:
    return Cursor(sender.added_at or Instant(0), sender.sid)


def _alpha(form: Form) -> str:
    text = form.text("AlphaSender")
    if text is None:
        raise Rejected(21708)
    try:
        found = parse_sender(text)
    except InvalidAddress:
        raise Rejected(21709) from None
    if found.kind is not SenderKind.ALPHA:
        raise Rejected(21709)
    return str(found)


# -- the pools -------------------------------------------------------------------------------------------------------


def _number(sender: Sender) -> dict[str, Any]:
    return {
        "phone_number": sender.address,
        "country_code": sender.country,
        "capabilities": _capabilities(sender),
    }


def _code(sender: Sender) -> dict[str, Any]:
    return {"short_code": sender.address, "country_code": sender.country, "capabilities": _capabilities(sender)}


def _alpha_json(sender: Sender) -> dict[str, Any]:
    return {"alpha_sender": sender.address, "capabilities": _capabilities(sender)}


def _destination_json(sender: Sender) -> dict[str, Any]:
    return {**_alpha_json(sender), "iso_country_code": sender.country}


def _channel(sender: Sender) -> dict[str, Any]:
    return {"sender": sender.address, "sender_type": type_of(sender), "country_code": sender.country}


PHONE_NUMBERS = JoinedPool("PhoneNumbers", "phone_numbers", SenderKind.PHONE_NUMBER, "PhoneNumberSid", _number)
SHORT_CODES = JoinedPool("ShortCodes", "short_codes", SenderKind.SHORT_CODE, "ShortCodeSid", _code)
CHANNEL_SENDERS = ChannelPool("ChannelSenders", "senders", SenderKind.CHANNEL, "Sid", _channel)
ALPHA_SENDERS = AlphaPool("AlphaSenders", "alpha_senders", SenderKind.ALPHA, _alpha_json)
DESTINATION_ALPHA_SENDERS = DestinationAlphaPool(
    "DestinationAlphaSenders", "alpha_senders", SenderKind.ALPHA, _destination_json
)


# -- campaigns -------------------------------------------------------------------------------------------------------


async def list_campaigns(request: Request) -> Answer:
    """Return an empty list, in Twilio's shape."""
    _service(request)
    return page_v1(request, "compliance", (), lambda campaign: campaign)


async def fetch_campaign(request: Request) -> Answer:
    """Say that there is none."""
    _service(request)
    raise Rejected(20404, f"The campaign {shown(request.params['sid'])} was not found: Postdate registers none.")


async def campaign_usecases(request: Request) -> Answer:
    """Return the use cases of campaigns that can be registered here: none."""
    _service(request)
    return Answer(200, {"us_app_to_person_usecases": []})
