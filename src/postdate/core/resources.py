"""What a customer configures: accounts, keys, services, senders, applications, contents; and who may use the console.

Few and read often: a node keeps them all in memory (`flow/directory.py`), the store keeps each as one document.
Values are frozen; a change is `msgspec.structs.replace` and a put. Secrets are never in a repr.
"""

from enum import StrEnum
from typing import Any

import msgspec

from postdate.core.address import SenderKind
from postdate.core.instant import Instant
from postdate.core.outcome import DoubtPolicy


class AccountStatus(StrEnum):
    """Twilio's words; a suspended or closed account can neither sign in nor send."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class Account(msgspec.Struct, frozen=True, kw_only=True, tag="account"):
    """A customer. A subaccount names its parent in `owner_sid`; the first account names itself."""

    sid: str
    owner_sid: str
    friendly_name: str
    status: AccountStatus = AccountStatus.ACTIVE
    sealed_token: str  # the auth token, encrypted at rest
    created_at: Instant
    updated_at: Instant

    def __repr__(self) -> str:
        return f"Account({self.sid}, {self.status})"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, tag="key"):
    """A second way to sign in for an account: its secret is kept as a digest only."""

    sid: str
    account_sid: str
    friendly_name: str
    secret_digest: str
    created_at: Instant
    updated_at: Instant

    def __repr__(self) -> str:
        return f"ApiKey({self.sid})"


class Webhooks(msgspec.Struct, frozen=True, omit_defaults=True):
    """The URLs a number or an application carries; absent ones are null to Twilio's clients."""

    sms_url: str | None = None
    sms_method: str = "POST"
    sms_fallback_url: str | None = None
    sms_fallback_method: str = "POST"
    sms_application_sid: str | None = None
    status_callback: str | None = None
    status_callback_method: str = "POST"


SENDER_PREFIX = {
    SenderKind.PHONE_NUMBER: "PN",
    SenderKind.SHORT_CODE: "SC",
    SenderKind.ALPHA: "AI",
    SenderKind.CHANNEL: "XE",
}


class Sender(msgspec.Struct, frozen=True, kw_only=True, tag="sender"):
    """An address that messages leave with, its rate, its way out, and the one service it belongs to.

    `mps` is segments per second (0: as fast as the carrier takes them). `address` is what the handset shows; WhatsApp
    senders keep their `whatsapp:` prefix. `added_at` says since when it has been in its service's pool.
    """

    sid: str
    account_sid: str
    kind: SenderKind
    address: str
    friendly_name: str
    country: str = ""
    area_code: str | None = None
    mms: bool = True
    mps: float = 1.0
    connection: str = "sandbox"
    service_sid: str | None = None
    added_at: Instant | None = None
    webhooks: Webhooks = Webhooks()
    created_at: Instant
    updated_at: Instant


class Service(msgspec.Struct, frozen=True, kw_only=True, tag="service"):
    """A messaging service: a pool of senders and the rules it sends by. `validity_period` in seconds."""

    sid: str
    account_sid: str
    friendly_name: str
    inbound_request_url: str | None = None
    inbound_method: str = "POST"
    fallback_url: str | None = None
    fallback_method: str = "POST"
    status_callback: str | None = None
    sticky_sender: bool = True
    mms_converter: bool = True
    smart_encoding: bool = True
    scan_message_content: str = "inherit"
    fallback_to_long_code: bool = False
    area_code_geomatch: bool = True
    synchronous_validation: bool = False
    validity_period: int = 36_000
    usecase: str = "undeclared"
    use_inbound_webhook_on_number: bool = True
    schedule_window: str | None = None
    created_at: Instant
    updated_at: Instant


class Application(msgspec.Struct, frozen=True, kw_only=True, tag="application"):
    """A named set of URLs that a message can point at with ApplicationSid."""

    sid: str
    account_sid: str
    friendly_name: str
    message_status_callback: str | None = None
    webhooks: Webhooks = Webhooks()
    created_at: Instant
    updated_at: Instant


class Connection(msgspec.Struct, frozen=True, kw_only=True, tag="connection"):
    """A configured way to a carrier; senders name it by `name`, which never changes.

    `kind` is one of `connectors.kinds`; `settings` are its settings without the secrets, which are in `sealed`: a JSON
    object, encrypted at rest. `mps` is segments per second of all its senders together (0: as the carrier takes them).
    """

    sid: str
    account_sid: str
    name: str
    kind: str
    doubt: DoubtPolicy = DoubtPolicy.HOLD
    mps: float = 0.0
    paused: bool = False
    settings: dict[str, Any] = {}
    sealed: str
    created_at: Instant
    updated_at: Instant

    def __repr__(self) -> str:
        return f"Connection({self.sid}, {self.name}, {self.kind})"


class ApprovalStatus(StrEnum):
    """How a template stands at Meta's: Twilio's words. Only an approved one is sent as a template."""

    RECEIVED = "received"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAUSED = "paused"
    DISABLED = "disabled"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The WhatsApp template that stands for a content at Meta's, made of its type `content_type`."""

    name: str
    category: str
    content_type: str
    status: ApprovalStatus = ApprovalStatus.RECEIVED
    rejection_reason: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True, tag="content"):
    """A text with variables, in one type or several; `variables` are the values of those that a message leaves out."""

    sid: str
    account_sid: str
    friendly_name: str
    language: str
    variables: dict[str, str] = {}
    types: dict[str, dict[str, Any]]
    approval: Approval | None = None
    created_at: Instant
    updated_at: Instant

    def __repr__(self) -> str:
        return f"Content({self.sid}, {self.account_sid})"


class Role(StrEnum):
    """What a person may do in the console: a viewer reads, an operator acts on messages, an owner does everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    OWNER = "owner"

    def covers(self, least: "Role") -> bool:
        """Say whether whoever has this role may do what needs `least`."""
        order = tuple(Role)
        return order.index(self) >= order.index(least)


class User(msgspec.Struct, frozen=True, kw_only=True, tag="user"):
    """A person who signs in to the console, with a role for each account; a role for an account covers its subaccounts.

    Without a password the user is invited, until `invite_expires_at`: the link's key is kept as a digest only.
    """

    sid: str
    name: str
    roles: dict[str, Role] = {}
    password_hash: str | None = None
    invite_digest: str | None = None
    invite_expires_at: Instant | None = None
    disabled: bool = False
    language: str | None = None
    zone: str | None = None
    hide_numbers: bool = False
    created_at: Instant
    updated_at: Instant

    def __repr__(self) -> str:
        return f"User({self.sid})"


class ConsoleSession(msgspec.Struct, frozen=True, kw_only=True, tag="session"):
    """A browser that is signed in, and the account it looks at. The token in its cookie is kept as a digest only.

    Its times are the machine's, not those of a test clock: a test that moves three days ahead signs nobody out.
    """

    sid: str
    user_sid: str
    account_sid: str
    token_digest: str
    address: str
    created_at: Instant
    seen_at: Instant

    def __repr__(self) -> str:
        return f"ConsoleSession({self.sid})"


Resource = Account | ApiKey | Sender | Service | Application | Connection | Content | User | ConsoleSession


def unique_key(resource: Resource) -> str | None:
    """Return what no second resource of the node may have: an address belongs to one account only.

    Alpha senders are names, not addresses of anybody: two services may carry the same one.
    """
    if isinstance(resource, Sender) and resource.kind is not SenderKind.ALPHA:
        return f"{resource.kind}:{resource.address}"
    if isinstance(resource, Connection):
        return f"connection:{resource.name}"
    if isinstance(resource, User):
        return f"user:{resource.name.casefold()}"
    return None
