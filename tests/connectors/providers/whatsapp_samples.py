"""Webhooks of Meta's as its documentation shows them, and signed as it signs them."""

import hashlib
import hmac
import json
from typing import Any

from postdate.connectors.providers.contract import Call
from tests.connectors.providers.building import call

SECRET = "the-app-secret"
WAMID = "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3N0QxNjhGN0Q5RkE1MTFFNjkA"


def status(word: str, **more: object) -> dict[str, Any]:
    """What became of a message."""
    return {
        "id": WAMID,
        "status": word,
        "timestamp": "1893499200",
        "recipient_id": "16505551234",
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility"},
        **more,
    }


def failed(code: int) -> dict[str, Any]:
    """A message that failed, and why."""
    error = {"code": code, "title": "t", "message": "m", "error_data": {"details": "d"}, "href": "https://a.example"}
    return status("failed", errors=[error])


def message(kind: str, **content: object) -> dict[str, Any]:
    """What a handset sent."""
    return {"from": "16505551234", "id": WAMID, "timestamp": "1893499200", "type": kind, **content}


def webhook(*items: dict[str, Any]) -> dict[str, Any]:
    """One POST about statuses, or about messages."""
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "+1 555-078-3881", "phone_number_id": "106540352242922"},
    }
    if items and "type" in items[0]:
        value |= {"contacts": [{"profile": {"name": "Ann"}, "wa_id": "16505551234"}], "messages": list(items)}
    else:
        value |= {"statuses": list(items)}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}],
    }


def signed(body: object, *, secret: str = SECRET) -> Call:
    """A webhook with Meta's signature."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    mac = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return call(raw, {"x-hub-signature-256": f"sha256={mac}"})
