"""Connections, the configured ways to carriers: `/postdate/v1/Connections`, for the main account only.

`Settings` is a JSON object; what it has depends on the kind. In an update the settings that are given change, null
takes one away, and the others stay. Secrets are kept encrypted and never come back: what is set shows as asterisks.
"""

import re
from typing import Any

import msgspec

from postdate.api.configuration import all_owned, dates_iso, owned, page_v1, read_flag, sid_for
from postdate.api.endpoint import Answer, Request
from postdate.api.senders import read_mps
from postdate.api.twilio import Form, message_json, parse_send, shown
from postdate.connectors.kinds import (
    KINDS,
    InvalidConnection,
    Kind,
    kind_of,
    part_settings,
    read_settings,
    secret_names,
    setting_fields,
)
from postdate.core.address import Channel
from postdate.core.errors import Rejected
from postdate.core.instant import format_iso_exact
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Connection, Sender
from postdate.core.sender import channel_of
from postdate.flow.directory import changed
from postdate.store.contract import AlreadyExists

HIDDEN = "********"
BUILT_IN = ("sandbox", "http")
_PATH = "/postdate/v1/Connections"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_TEST_BODY = "Postdate: a test of this connection."


async def list_all(request: Request) -> Answer:
    """Return the connections."""
    _only_main(request)
    return page_v1(request, "connections", all_owned(request, Connection), lambda found: _json(request, found))


async def list_kinds(request: Request) -> Answer:
    """Return the kinds of connections, and what can be set of each."""
    return Answer(200, {"kinds": [_kind_json(kind) for kind in KINDS.values()]})


async def create(request: Request) -> Answer:
    """Add a connection; it is opened at once."""
    _only_main(request)
    form, directory, at = request.form, request.parts.directory, request.parts.clock.now()
    kind = _kind(form.text("Kind"))
    new = Connection(
        sid=sid_for("CX", at),
        account_sid=request.account.sid,
        name=_name(form.text("Name")),
        kind=kind.name,
        sealed=directory.seal("{}"),
        created_at=at,
        updated_at=at,
    )
    new = _amended(request, new, kind)
    try:
        async with directory.changing:
            await directory.put(new)
    except AlreadyExists:
        raise Rejected(20001, f"There is a connection named {new.name} already: names are of one each.") from None
    return Answer(201, _json(request, new))


async def fetch(request: Request) -> Answer:
    """Return one connection, and how it is doing."""
    return Answer(200, _json(request, _found(request)))


async def update(request: Request) -> Answer:
    """Change a connection; what is under way is finished with the old settings."""
    directory = request.parts.directory
    async with directory.changing:
        before = _found(request)
        after = _amended(request, before, kind_of(before.kind))
        await directory.put(after)
    return Answer(200, _json(request, after))


async def delete(request: Request) -> Answer:
    """Remove a connection that no sender names any more."""
    directory = request.parts.directory
    async with directory.changing:
        gone = _found(request)
        using = [sender.address for sender in directory.every(Sender) if sender.connection == gone.name]
        if using:
            more = f" and {len(using) - 1} more" if len(using) > 1 else ""
            raise Rejected(20001, f"{gone.name} is used by {using[0]}{more}: choose another Connection there first.")
        await directory.remove(gone.sid)
    return Answer(204)


async def send_test(request: Request) -> Answer:
    """Send one message by this connection, from a sender that has it; it is a message like any other."""
    found, form = _found(request), request.form
    to = form.text("To")
    if to is None:
        raise Rejected(20001, "Say whom the test goes to: To, such as +14155550100.")
    sender = _test_sender(request, found, to, form.text("From"))
    given = {"To": [to], "From": [sender.address], "Body": [form.text("Body") or _TEST_BODY]}
    command = parse_send(Form(given))  # it is a message like any other, and refused like any other
    return Answer(201, message_json(await request.parts.ingest.accept(request.account, command)))


def _test_sender(request: Request, found: Connection, to: str, wanted: str | None) -> Sender:
    senders = [sender for sender in all_owned(request, Sender) if sender.connection == found.name]
    if wanted is not None:
        senders = [sender for sender in senders if sender.address == wanted]
    else:
        senders = [sender for sender in senders if channel_of(sender.address) is channel_of(to)]
    if not senders:
        raise Rejected(
            20001,
            f"No sender of yours goes out by {found.name}: register one with Connection={found.name}, or change one.",
        )
    return senders[0]


# -- reading -----------------------------------------------------------------------------------------------------------


def _only_main(request: Request) -> None:
    account = request.account
    if request.actor.sid != account.sid or account.owner_sid != account.sid:
        raise Rejected(20003, "Connections are the operator's: use the main account's credentials.", 403)


def _found(request: Request) -> Connection:
    """Return the connection that the URL names, by SID or by name."""
    _only_main(request)
    asked = request.params["sid"]
    named = request.parts.directory.connection(asked)
    if named is not None and named.account_sid == request.account.sid:
        return named
    return owned(request, Connection, asked, "connection")


def _name(text: str | None) -> str:
    if text is None or not _NAME.fullmatch(text) or text in BUILT_IN:
        raise Rejected(
            20001,
            "A Name has up to 32 small letters, digits and -, such as acme-smpp, "
            f"and is none of {', '.join(BUILT_IN)}: {shown(text or '')} is not one.",
        )
    return text


def _kind(text: str | None) -> Kind:
    try:
        return kind_of(text or "")
    except InvalidConnection as error:
        raise Rejected(20001, f"Kind: {error}") from None


def _amended(request: Request, before: Connection, kind: Kind) -> Connection:
    """Return the connection as the form leaves it; its settings have been read as its connector reads them."""
    form, directory = request.form, request.parts.directory
    hidden = msgspec.json.decode(directory.unseal(before.sealed))
    settings = {**before.settings, **hidden} | _settings(form, kind)
    settings = {name: value for name, value in settings.items() if value is not None}
    try:
        read = msgspec.to_builtins(read_settings(kind, settings))
    except InvalidConnection as error:
        raise Rejected(20001, str(error)) from None
    public, secrets = part_settings(kind, {name: read[name] for name in settings})
    return changed(
        before,
        doubt=_doubt(form, kind, before.doubt),
        mps=read_mps(form, before.mps),
        paused=read_flag(form, "Paused", before.paused),
        settings=public,
        # Sealed anew each time, and so another text: only where something changed.
        sealed=before.sealed if secrets == hidden else directory.seal(msgspec.json.encode(secrets).decode()),
        updated_at=request.parts.clock.now(),
    )


def _settings(form: Form, kind: Kind) -> dict[str, Any]:
    """Return what is given; asterisks in a secret, as they come back, change nothing."""
    text = form.text("Settings")
    if text is None:
        return {}
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise Rejected(20001, 'Settings must be a JSON object, such as {"host": "smsc.example"}.') from None
    hidden = secret_names(kind)
    return {name: value for name, value in given.items() if not (name in hidden and value == HIDDEN)}


def _doubt(form: Form, kind: Kind, before: DoubtPolicy) -> DoubtPolicy:
    text = form.choice("Doubt", *DoubtPolicy)
    if text is None:
        return before
    policy = DoubtPolicy(text)
    if policy is DoubtPolicy.QUERY and not kind.can_ask:
        raise Rejected(20001, f"{kind.title} cannot be asked about a message: Doubt is hold or retry there.")
    return policy


# -- answering ---------------------------------------------------------------------------------------------------------


def _json(request: Request, found: Connection) -> dict[str, Any]:
    parts = request.parts
    hidden = msgspec.json.decode(parts.directory.unseal(found.sealed), type=dict[str, Any])
    condition, opened = parts.connections.condition(found.name), parts.connections.find(found.name)
    at = parts.clock.monotonic()
    kind = KINDS.get(found.kind)
    last = condition.last_error_at
    return {
        "sid": found.sid,
        "account_sid": found.account_sid,
        "name": found.name,
        "kind": found.kind,
        "title": kind.title if kind is not None else found.kind,
        "doubt": found.doubt,
        "mps": found.mps,
        "paused": found.paused,
        "settings": found.settings | dict.fromkeys(hidden, HIDDEN),
        "state": "paused" if found.paused else condition.state,
        "links": condition.links,
        "last_error": condition.last_error or None,
        "last_error_at": format_iso_exact(last) if last is not None else None,
        "details": condition.details,
        "in_flight": opened.traffic.in_flight if opened is not None else 0,
        "rate": opened.traffic.rate(at) if opened is not None else 0.0,
        "limit": opened.pace.limit if opened is not None else found.mps,
        "throttled": opened is not None and opened.pace.is_slowed,
        "outcomes": dict(opened.traffic.outcomes) if opened is not None else {},
        "events_url": parts.events_url(found) if kind is not None and kind.calls_us else None,
        **dates_iso(found.created_at, found.updated_at),
        "url": f"{parts.base_url()}{_PATH}/{found.sid}",
    }


def _kind_json(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "title": kind.title,
        "channels": [channel for channel in Channel if channel in kind.channels],
        "media": kind.media,
        "receipts": kind.receipts,
        "inbound": kind.inbound,
        "knows_key": kind.knows_key,
        "can_ask": kind.can_ask,
        "checked": kind.checked,
        "settings": [
            {
                "name": field.name,
                "description": field.description,
                "secret": field.secret,
                "required": field.default is None,
                "default": msgspec.json.decode(field.default) if field.default is not None else None,
            }
            for field in setting_fields(kind)
        ],
    }
