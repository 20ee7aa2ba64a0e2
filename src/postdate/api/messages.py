"""Messages, their media and feedback: `/2010-04-01/Accounts/{AC}/Messages`."""

from typing import Any

from postdate.api.endpoint import Answer, Request
from postdate.api.paging import listing, page_of, read_page, v2010
from postdate.api.twilio import API_VERSION, message_json, parse_send, read_instant, shown
from postdate.core.address import InvalidAddress, parse_recipient
from postdate.core.doubt import Verdict
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, InvalidInstant, format_rfc2822, parse_date_filter
from postdate.core.message import FINAL, Message, Status
from postdate.store.contract import Amendment, Cursor, MediaRow, MessageQuery

LONGEST_KEY = 255

_FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>", "Status", "MessagingServiceSid", "SendAt<", "SendAt>")


async def create(request: Request) -> Answer:
    """Accept a message, to be sent at once or at its SendAt: 201 once it is on disk."""
    if not request.parts.directory.is_active(request.account):
        raise Rejected(20005)  # its parent may act on it, not send for it
    command = parse_send(request.form, _idempotency_key(request))
    message = await request.parts.ingest.accept(request.account, command)
    return Answer(201, message_json(message))


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get(b"idempotency-key", b"")
    if len(key) > LONGEST_KEY:
        raise Rejected(20001, f"An Idempotency-Key has at most {LONGEST_KEY} characters, not {len(key)}.")
    return key.decode("latin-1") or None


async def fetch(request: Request) -> Answer:
    """Return one message."""
    return Answer(200, message_json(await _found(request)))


async def _found(request: Request) -> Message:
    sid = request.params["sid"]
    message = await request.parts.store.message(request.account.sid, sid)
    if message is None:
        raise Rejected(20404, f"The message {shown(sid)} was not found.")
    return message


async def update(request: Request) -> Answer:
    """Cancel (`Status=canceled`), redact (`Body=`), move (`SendAt`, ours) or resolve (`InDoubt`, ours) a message."""
    form, ingest, sid = request.form, request.parts.ingest, request.params["sid"]
    status, send_at, body = form.one("Status"), form.text("SendAt"), form.one("Body")
    verdict = form.choice("InDoubt", *Verdict)
    if status is not None:
        if status != "canceled":
            raise Rejected(20001, f"The only Status that can be set is 'canceled', not {shown(status)}.")
        return Answer(200, message_json(await ingest.cancel(request.account, sid)))
    if send_at is not None:
        moved = await ingest.reschedule(request.account, sid, read_instant("SendAt", send_at))
        return Answer(200, message_json(moved))
    if verdict is not None:
        return Answer(200, message_json(await ingest.resolve(request.account, sid, Verdict(verdict))))
    if body is None:
        return Answer(200, message_json(await _found(request)))
    if body:
        raise Rejected(20001, "The Body of a message can only be emptied (Body=), which redacts it.")
    return Answer(200, message_json(await _redact(request)))


async def _redact(request: Request) -> Message:
    message = await _found(request)
    if message.status not in FINAL:
        raise Rejected(20009, f"The message is {message.status}: its body can be emptied once it is final.")
    store, at = request.parts.store, request.parts.clock.now()
    return await store.amend(request.account.sid, message.sid, Amendment(redact=True), at) or message


async def delete(request: Request) -> Answer:
    """Delete a message that is final, with its media."""
    message = await _found(request)
    if not await request.parts.store.delete(request.account.sid, message.sid):
        message = await _found(request)  # another request may have deleted it meanwhile
        raise Rejected(20009, f"The message is {message.status}: cancel it or wait before you delete it.")
    return Answer(204)


# -- lists -------------------------------------------------------------------------------------------------------------


async def list_all(request: Request) -> Answer:
    """Return a page of messages, newest first, by date sent or else date created."""
    page = read_page(request.query)
    query = _query(request)
    rows = await request.parts.store.messages(
        MessageQuery(**query, after=page.after, reverse=page.reverse, limit=page.size + 1)
    )
    found = listing(page, rows, lambda m: Cursor(m.listed_at, m.sid), message_json)
    filters = {name: value for name in _FILTERS if (value := request.query.text(name)) is not None}
    path = f"/{API_VERSION}/Accounts/{request.account.sid}/Messages.json"
    return Answer(200, v2010("messages", page, found, path, filters))


def _query(request: Request) -> dict[str, Any]:
    given = request.query
    sent_from, sent_before = _sent(request)
    status = given.choice("Status", *Status)
    return {
        "account_sid": request.account.sid,
        "recipient": _address(given.text("To")),
        "sender": _address(given.text("From")),
        "status": status,
        "service_sid": given.text("MessagingServiceSid"),
        "sent_from": sent_from,
        "sent_before": sent_before,
        "due_from": _instant(given.text("SendAt>")),
        "due_before": _instant(given.text("SendAt<")),
    }


def _address(text: str | None) -> str | None:
    """Return an address as it is stored; what is no address is looked for as it is, and not found."""
    if text is None:
        return None
    try:
        return str(parse_recipient(text))
    except InvalidAddress:
        return text


def _instant(text: str | None) -> Instant | None:
    return None if text is None else read_instant("SendAt", text)


def _sent(request: Request) -> tuple[Instant | None, Instant | None]:
    """Return the range of sending asked for: `<` is on or before, `>` on or after, a date is a whole GMT day."""
    sent_from: Instant | None = None
    sent_before: Instant | None = None
    try:
        if (day := request.query.text("DateSent")) is not None:
            sent_from, sent_before = parse_date_filter(day)
        if (before := request.query.text("DateSent<")) is not None:
            sent_before = min(sent_before or Instant(2**62), parse_date_filter(before)[1])
        if (since := request.query.text("DateSent>")) is not None:
            sent_from = max(sent_from or Instant(0), parse_date_filter(since)[0])
    except InvalidInstant as error:
        raise Rejected(20001, f"DateSent: {error}") from None
    return sent_from, sent_before


# -- media -------------------------------------------------------------------------------------------------------------


def _media_uri(row: MediaRow) -> str:
    return f"/{API_VERSION}/Accounts/{row.account_sid}/Messages/{row.message_sid}/Media/{row.sid}"


def _media_json(row: MediaRow) -> dict[str, Any]:
    return {
        "sid": row.sid,
        "account_sid": row.account_sid,
        "parent_sid": row.message_sid,
        "content_type": row.content_type,
        "date_created": format_rfc2822(row.created_at),
        "date_updated": format_rfc2822(row.created_at),
        "uri": f"{_media_uri(row)}.json",
    }


async def list_media(request: Request) -> Answer:
    """Return the media of a message: those that were fetched at its SendAt."""
    message = await _found(request)
    page = read_page(request.query)
    rows = await request.parts.store.media(message.sid)
    found = page_of(page, rows, lambda row: Cursor(row.created_at, row.sid), _media_json)
    path = f"/{API_VERSION}/Accounts/{request.account.sid}/Messages/{message.sid}/Media.json"
    return Answer(200, v2010("media_list", page, found, path, {}))


async def _medium(request: Request) -> tuple[MediaRow, bytes]:
    found = await request.parts.store.medium(request.params["media_sid"])
    if found is None or found[0].message_sid != request.params["sid"] or found[0].account_sid != request.account.sid:
        raise Rejected(20404, f"The media {shown(request.params['media_sid'])} was not found.")
    return found


async def fetch_media(request: Request) -> Answer:
    """Return a medium: what it is (`.json`), or its bytes."""
    row, body = await _medium(request)
    if request.dotted:
        return Answer(200, _media_json(row))
    return media_answer(row, body)


def media_answer(row: MediaRow, body: bytes) -> Answer:
    """Return the bytes of a medium, so that a browser shows a picture and runs nothing."""
    safety = (
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        (b"cache-control", b"private, max-age=86400"),
    )
    return Answer(200, body=body, content_type=row.content_type, headers=safety)


async def public_media(request: Request) -> Answer:
    """Return the bytes of a medium at the link that its carrier was given; its SID cannot be guessed."""
    found = await request.parts.store.medium(request.params["media_sid"])
    if found is None:
        raise Rejected(20404, "There is no such media.")
    return media_answer(*found)


async def delete_media(request: Request) -> Answer:
    """Remove one medium."""
    row, _ = await _medium(request)
    await request.parts.store.remove(row.sid)
    return Answer(204)


# -- feedback ----------------------------------------------------------------------------------------------------------


async def feedback(request: Request) -> Answer:
    """Keep whether the recipient did what the message was for."""
    outcome = request.form.choice("Outcome", "confirmed", "unconfirmed") or "confirmed"
    message = await _found(request)
    store, at = request.parts.store, request.parts.clock.now()
    await store.amend(request.account.sid, message.sid, Amendment(feedback=outcome), at)
    uri = f"/{API_VERSION}/Accounts/{request.account.sid}/Messages/{message.sid}/Feedback.json"
    dated = format_rfc2822(at)
    return Answer(
        200,
        {
            "account_sid": request.account.sid,
            "message_sid": message.sid,
            "outcome": outcome,
            "date_created": dated,
            "date_updated": dated,
            "uri": uri,
        },
    )
