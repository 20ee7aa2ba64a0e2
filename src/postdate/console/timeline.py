"""A message's timeline: the steps of its trail and the calls to its customer, in the order in which they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from postdate.core.instant import Instant
from postdate.core.trail import Kind, Step
from postdate.store.contract import Called

MOST_FIELDS = 40

# How a step looks: the kind of its badge, and its icon.
_LOOKS = {
    Kind.ACCEPTED: ("info", "ok"),
    Kind.SCHEDULED: ("info", "next"),
    Kind.RECEIVED: ("ok", "inbox"),
    Kind.ASSIGNED: ("wait", "senders"),
    Kind.HELD: ("wait", "pause"),
    Kind.REFUSED: ("bad", "failed"),
    Kind.CLAIMED: ("wait", "lock"),
    Kind.HANDED: ("ok", "send"),
    Kind.FAILED: ("bad", "failed"),
    Kind.BUSY: ("warn", "waiting"),
    Kind.UNREACHABLE: ("warn", "connections"),
    Kind.RETURNED: ("warn", "refresh"),
    Kind.SKIPPED: ("warn", "more"),
    Kind.DOUBTED: ("warn", "doubt"),
    Kind.RETRIED: ("warn", "refresh"),
    Kind.DELIVERED: ("ok", "ok"),
    Kind.UNDELIVERED: ("bad", "undelivered"),
    Kind.READ: ("ok", "read"),
    Kind.LATE_ACCEPT: ("ok", "send"),
    Kind.LATE_REFUSE: ("bad", "failed"),
    Kind.LATE_RETURN: ("warn", "refresh"),
    Kind.CANCELED: ("plain", "canceled"),
    Kind.MOVED: ("info", "calendar"),
    Kind.RESOLVED: ("info", "edit"),
    Kind.REDACTED: ("plain", "eye-off"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline: a step of the message, or a call to its customer."""

    at: Instant
    look: str
    icon: str
    step: Step | None = None
    call: Called | None = None


def entries(steps: Sequence[Step], calls: Sequence[Called]) -> list[Entry]:
    """Return steps and calls, oldest first; of the same moment, the step comes before the call that tells it."""
    found = [Entry(step.at, *_LOOKS.get(step.kind, ("plain", "info")), step=step) for step in steps]
    found += [Entry(call.at, "ok" if is_answered(call) else "bad", "webhooks", call=call) for call in reversed(calls)]
    return sorted(found, key=lambda entry: entry.at)


def is_answered(call: Called) -> bool:
    """Say whether the customer's server took the call."""
    return call.code is not None and 200 <= call.code < 300


def fields_of(form: str) -> list[tuple[str, str]]:
    """Return the parameters of a request as it was sent; what was cut off at the end is left out."""
    return parse_qsl(form, keep_blank_values=True)[:MOST_FIELDS]
