"""A message's page: what it is, where it stands, everything that happened to it, and what can still be done."""

import json
from typing import Any

from starlette.responses import Response

from postdate.api import messages
from postdate.api.twilio import message_json
from postdate.console.cursors import digest_of_view
from postdate.console.local_times import NoLocalTime, read_local, written_local
from postdate.console.pictures import PICTURES, medium_response
from postdate.console.timeline import entries, fields_of, is_answered
from postdate.console.view import View
from postdate.console.words import Words
from postdate.core import trail
from postdate.core.errors import Rejected
from postdate.core.instant import MINUTE, Instant, format_iso
from postdate.core.message import FINAL, Direction, Message, Status
from postdate.core.resources import Connection, Service
from postdate.core.segment import Segmentation, segment
from postdate.flow.dispatch import has_media, is_smart
from postdate.store.contract import CallQuery

MOST_CALLS = 100


async def show(view: View) -> Response:
    """Show a message; for htmx its changing part, and nothing where there is no news."""
    found = await _found(view)
    store = view.parts.store
    steps = trail.steps(found, await store.trail(view.account.sid, found.sid) or "")
    calls = await store.calls_made(CallQuery(account_sid=view.account.sid, message_sid=found.sid, limit=MOST_CALLS))
    media = await store.media(found.sid)
    digest = digest_of_view((view.hides, found, steps, [call.id for call in calls], [row.sid for row in media]))
    if view.by_htmx and view.http.method == "GET" and view.query.text("Seen") == digest:
        return Response(status_code=204)
    service = view.parts.directory.find(Service, found.service_sid)
    values: dict[str, Any] = {
        "words": Words(view),
        "message": found,
        "inbound": found.direction is Direction.INBOUND,
        "service": service,
        "entries": entries(steps, calls),
        # A step remembers which connection it was, whatever it is called by now; the built-in ones have names only.
        "ways": {one.sid: one.name for one in view.parts.directory.every(Connection)},
        "media": media,
        "pictures": PICTURES,
        "segments": _segments(found, service),
        "raw": json.dumps(_raw(view, found), indent=2, ensure_ascii=False),
        "live": f"/messages/{found.sid}?Seen={digest}",
        "final": found.status in FINAL and found.doubt_at is None,
        "resched": _window(view, found, service),
        "fields_of": fields_of,
        "is_answered": is_answered,
    }
    if view.by_htmx and view.http.method == "GET":
        return view.fragment("message.html", "state", **values)
    return view.render("message.html", **values)


async def _found(view: View) -> Message:
    found = await view.parts.store.message(view.account.sid, view.params["sid"])
    if found is None:
        raise Rejected(20404, view.t("message.not_found"))
    return found


def _segments(found: Message, service: Service | None) -> Segmentation | None:
    """Return how the body is cut; None where it is not: with media, on other channels, and without a body."""
    if has_media(found) or not found.body or ":" in found.recipient or ":" in (found.sender or ""):
        return None
    return segment(found.body, smart_encoded=found.direction is not Direction.INBOUND and is_smart(found, service))


def _raw(view: View, found: Message) -> dict[str, Any]:
    shown = message_json(found)
    if view.hides:
        hidden = view.t("message.hidden_value")
        shown.update({name: hidden for name in ("from", "to", "body", "tags") if shown[name]})
    return shown


def _window(view: View, found: Message, service: Service | None) -> dict[str, Any] | None:
    """Return between which times the message can be moved; None where it no longer can be."""
    if found.status is not Status.SCHEDULED:
        return None
    window = view.parts.ingest.window_of(service)
    # Rounded up to the minute that the field can hold, with one more for the time it takes to send the form.
    earliest = Instant(-(-(view.now + window.earliest) // MINUTE) * MINUTE + MINUTE)
    latest = None if window.latest is None else Instant(view.now + window.latest)
    return {
        "earliest": earliest,
        "latest": latest,
        "least": written_local(earliest, view.zone),
        "most": "" if latest is None else written_local(latest, view.zone),
        "now": written_local(found.due_at, view.zone),
    }


async def show_medium(view: View) -> Response:
    """Answer the bytes of a medium: a picture to be shown, anything else to be saved."""
    found = await view.parts.store.medium(view.params["media_sid"])
    if found is None or found[0].account_sid != view.account.sid or found[0].message_sid != view.params["sid"]:
        raise Rejected(20404, view.t("message.no_medium"))
    return medium_response(*found)


# -- what is done ------------------------------------------------------------------------------------------------------


async def _update(view: View, note: str, **form: str) -> Response:
    sid = view.params["sid"]
    await view.act(messages.update, form)
    return view.go(f"/messages/{sid}", note)


async def cancel(view: View) -> Response:
    """Cancel a scheduled message; what won here is never sent."""
    return await _update(view, "message.canceled", Status="canceled")


async def reschedule(view: View) -> Response:
    """Move a scheduled message to another time, as the viewer's clock shows it."""
    try:
        at = read_local(view.form.text("SendAt") or "", view.zone)
    except NoLocalTime as wrong:
        key = "message.skipped" if wrong.skipped else "message.no_time"
        raise Rejected(20001, view.t(key, zone=view.zone.key)) from None
    view.detail = format_iso(at)
    return await _update(view, "message.moved", SendAt=format_iso(at))


async def resolve(view: View) -> Response:
    """Say what became of a message in doubt: it was sent, it was not, or it is sent again."""
    choice = view.form.choice("InDoubt", "sent", "failed", "retry") or ""
    if not choice:
        raise Rejected(20001, view.t("message.no_choice"))
    view.detail = choice
    return await _update(view, f"message.resolved.{choice}", InDoubt=choice)


async def redact(view: View) -> Response:
    """Empty the body of a message that is final."""
    return await _update(view, "message.redacted", Body="")


async def delete(view: View) -> Response:
    """Delete a message that is final, with its media."""
    await view.act(messages.delete, method="DELETE")
    return view.go("/messages", "message.deleted")
