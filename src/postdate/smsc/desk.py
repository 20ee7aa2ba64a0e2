"""Who may bind, and where each request of a bound link goes.

A system id has its own rate and its own deliveries; what one has sent, no other can ask for, call off or hear of.
"""

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from postdate.clock import Clock
from postdate.core.instant import MILLISECOND, SECOND, Instant, Monotonic
from postdate.smpp.codes import Status, Tag
from postdate.smpp.pdu import (
    Bind,
    BindResp,
    CancelSm,
    DataSm,
    EnquireLink,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    Unbind,
)
from postdate.smpp.when import absolute
from postdate.smsc.addresses import read_address
from postdate.smsc.intake import Intake
from postdate.smsc.link import Link
from postdate.smsc.messages import Messages, Taken, write_id
from postdate.smsc.outbox import Delivery, Outbox
from postdate.smsc.settings import SmscSettings
from postdate.smsc.wire_script import WireScript

_NAME: Final = "postdate"
_VERSION: Final = 0x34
_JITTER: Final = 50 * MILLISECOND  # what a network may press together of what was sent in time
_log = structlog.get_logger("postdate.smsc")


@dataclass(slots=True, eq=False)
class Owner:
    """Whoever binds with one system id."""

    system_id: str
    password: bytes = field(repr=False)
    outbox: Outbox
    links: int = 0
    went: deque[Monotonic] = field(default_factory=deque)


class Desk:
    """Deals with the requests of all links."""

    def __init__(self, settings: SmscSettings, clock: Clock, script: WireScript) -> None:
        self.owners = {
            system_id: Owner(system_id, password.encode("latin-1", "replace"), Outbox(settings.keep))
            for system_id, password in settings.passwords.items()
        }
        self.links: set[Link] = set()
        self.messages = Messages(settings.keep, script.response_ids)
        self.intake: Intake
        self.all_gone: Callable[[], None] = lambda: None
        self._settings = settings
        self._clock = clock
        self._script = script
        self._most_in_span = max(1, int(settings.rate))
        self._span = int(self._most_in_span / settings.rate * SECOND) - _JITTER if settings.rate else 0

    # -- links -------------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """Take note of a connection; one too many is cut."""
        self.links.add(link)
        if len(self.links) > self._settings.most_connections:
            link.kill()

    def closed(self, link: Link, unanswered: list[Delivery]) -> None:
        """Take note of the end of a connection; its deliveries go out over another, or when somebody binds again."""
        self.links.discard(link)
        owner = self.owners.get(link.owner)
        if owner is not None:
            owner.links -= 1
            _log.info("link closed", system_id=owner.system_id, links=owner.links, waiting=len(owner.outbox))
            owner.outbox.leave(link, unanswered)
        if not self.links:
            self.all_gone()

    def answered(self, link: Link, delivery: Delivery, status: int) -> None:
        """Take note of the answer to a delivery: it is done with, or goes out again a little later."""
        outbox = self.owners[link.owner].outbox
        wait = outbox.answered(delivery, status, self._clock.now())
        if wait is not None:
            self.intake.later(wait, lambda: outbox.add(delivery))
        outbox.pump()

    # -- requests ----------------------------------------------------------------------------------------------------

    def asked(self, link: Link, pdu: Pdu) -> None:
        """Deal with a request; a submit_sm is answered once the carrier has decided."""
        match pdu.body:
            case SubmitSm() as body:
                self._submit(link, pdu, body)
            case DataSm() as body:
                self._submit(link, pdu, _as_submit(body))
            case EnquireLink():
                link.answer(pdu)
            case Bind() as body:
                self._bind(link, pdu, body)
            case Unbind():
                link.answer(pdu)
                link.close()
            case QuerySm() as body:
                self._query(link, pdu, body)
            case CancelSm() as body:
                self._cancel(link, pdu, body)
            case _:  # a replace_sm: what the carrier has is on its handset
                link.answer(pdu, Status.RREPLACEFAIL)

    def _bind(self, link: Link, pdu: Pdu, body: Bind) -> None:
        owner = self.owners.get(body.system_id)
        # An unknown system id costs the same comparison as a known one.
        password = owner.password if owner is not None else b"\0"
        right = hmac.compare_digest(body.password.encode("latin-1"), password)
        if owner is None or not right:
            # Which of the two is wrong helps whoever sets it up; what was given stays out of the log.
            _log.warning("bind refused", reason="wrong password" if owner else "unknown system id")
            link.answer(pdu, Status.RINVSYSID if owner is None else Status.RINVPASWD)
        elif owner.links >= self._settings.most_links:
            link.answer(pdu, Status.RBINDFAIL)
        else:
            version = ((Tag.SC_INTERFACE_VERSION, bytes([_VERSION])),) if body.interface_version >= _VERSION else ()
            link.answer(pdu, BindResp(body.mode, _NAME, version))
            link.owner = owner.system_id
            owner.links += 1
            _log.info("link bound", system_id=owner.system_id, mode=body.mode.name.lower(), links=owner.links)
            if link.receives:
                owner.outbox.join(link)

    def _submit(self, link: Link, pdu: Pdu, body: SubmitSm) -> None:
        if link.unanswered >= self._settings.window:
            link.answer(pdu, Status.RMSGQFUL)
        elif self._span and not self._is_in_time(self.owners[link.owner]):
            link.answer(pdu, Status.RTHROTTLED)
        else:
            self.intake.take(link, pdu, body)

    def _is_in_time(self, owner: Owner) -> bool:
        """Say whether another submit_sm fits the rate, and count it if so."""
        now, went = self._clock.monotonic(), owner.went
        while went and went[0] <= now - self._span:
            went.popleft()
        if len(went) >= self._most_in_span:
            return False
        went.append(now)
        return True

    def _query(self, link: Link, pdu: Pdu, body: QuerySm) -> None:
        self.intake.hand_over()
        reference = body.tlv(Tag.USER_MESSAGE_REFERENCE)
        if body.message_id:
            found = self.messages.find(link.owner, body.message_id)
        elif reference is not None:
            sender = read_address(body.source_addr_ton, body.source_addr)
            found = self.messages.find_by_reference(link.owner, sender, reference)
        else:
            found = None
        if found is None:
            link.answer(pdu, Status.RINVMSGID)
            return
        link.answer(
            pdu,
            QuerySmResp(
                write_id(found.number, self._script.response_ids),
                _final_date(found.done_at),
                found.state,
                found.error % 256,
            ),
        )

    def _cancel(self, link: Link, pdu: Pdu, body: CancelSm) -> None:
        found: Taken | None = self.messages.find(link.owner, body.message_id)
        if found is None:
            link.answer(pdu, Status.RINVMSGID)
        elif self.intake.call_off(found):
            link.answer(pdu)
        else:
            link.answer(pdu, Status.RCANCELFAIL)


def _final_date(at: Instant | None) -> str:
    return "" if at is None else absolute(datetime.fromtimestamp(at / SECOND, UTC))


def _as_submit(body: DataSm) -> SubmitSm:
    """Return a data_sm as the submit_sm that says the same."""
    return SubmitSm(
        service_type=body.service_type,
        source_addr_ton=body.source_addr_ton,
        source_addr_npi=body.source_addr_npi,
        source_addr=body.source_addr,
        dest_addr_ton=body.dest_addr_ton,
        dest_addr_npi=body.dest_addr_npi,
        destination_addr=body.destination_addr,
        esm_class=body.esm_class,
        registered_delivery=body.registered_delivery,
        data_coding=body.data_coding,
        tlvs=body.tlvs,
    )
