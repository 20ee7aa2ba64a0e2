"""Tells a customer's server what a handset wrote, and sends what it answers.

A call of the outbox like any other, but for its answer: TwiML, whose replies are accepted like messages of the API,
each under a key of the call's, so that a call that is made again after a crash sends none twice. The call is settled
only after that. What fails for good, or answers what cannot be read, is followed by one call to the fallback URL.

All documents share one time, and few calls may wait for the store: others' calls need the places. Two numbers that
answer each other would do so for ever: there are so many replies from one to the other.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never
from urllib.parse import urljoin

import structlog

from postdate.clock import Clock
from postdate.core.address import InvalidAddress, parse_recipient
from postdate.core.callback import (
    Answered,
    CallbackPolicy,
    CallbackResult,
    Forbidden,
    InvalidCallbackUrl,
    NotConnected,
    TimedOut,
    is_delivered,
    parse_callback_url,
)
from postdate.core.callback_form import Params, form_body, sign, sign_get, url_with_params
from postdate.core.commands import LONGEST_BODY, MOST_MEDIA, SendMessage, read_sender
from postdate.core.errors import Rejected
from postdate.core.inbound_call import InboundWebhook, after_failure, inbound_params
from postdate.core.instant import SECOND, Monotonic
from postdate.core.message import Message
from postdate.core.resources import Account, Sender
from postdate.core.twiml import MOST_REPLIES, TOO_MANY, InvalidTwiml, Redirect, Reply, Verb, read_twiml
from postdate.flow.alarm import Alarm
from postdate.flow.callback_rows import policy_of
from postdate.flow.directory import Directory
from postdate.flow.outgoing import Outgoing
from postdate.store.contract import CallbackRow, Store, StoreError

_log = structlog.get_logger("postdate.inbound")

MOST_DOCUMENTS: Final = 10  # that one message is answered with: the first, and those it leads to
LONGEST: Final = 30 * SECOND  # all documents together; as long again those of the fallback
MOST_PAUSED: Final = 16  # calls that wait for the store in their places
MOST_OF_A_PAIR: Final = 15  # replies from one number to another
OF_A_PAIR_WITHIN: Final = 30 * SECOND
NOT_FETCHED: Final = 11200
NOT_CONNECTED: Final = 11205
_TOO_MANY_DOCUMENTS: Final = 14106
_TOO_FAST: Final = 14107
_BUSY: Final = 20503
_AFTER_TROUBLE: Final = 1 * SECOND

Accept = Callable[[Account, SendMessage], Awaitable[Message]]
Told = tuple[str, CallbackResult]  # the form as it is kept, and how the call ended


class _Failed(Exception):
    """Why a document does not do."""

    def __init__(self, code: int, url: str) -> None:
        super().__init__(code)
        self.code = code
        self.url = url


class Stopping(Exception):
    """The node stops and the store takes nothing: the call is not settled, and made again at the next start."""


class NotNow(Exception):
    """The store takes nothing and enough calls wait for it: the call is not settled, and is made again later."""


@dataclass(slots=True)
class _Call:
    """One call: what came in, whom to tell, who signs; how many replies were read, and how long servers took."""

    id: str
    message: Message
    webhook: InboundWebhook
    token: str
    replies: int = 0
    asked: int = 0


class _Pairs:
    """Counts the replies of late from one number of an account to another."""

    def __init__(self) -> None:
        self._times: deque[tuple[Monotonic, tuple[str, str, str]]] = deque()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, pair: tuple[str, str, str], at: Monotonic) -> bool:
        """Count a reply of a pair; False where it had enough."""
        while self._times and self._times[0][0] + OF_A_PAIR_WITHIN <= at:
            past = self._times.popleft()[1]
            self._counts[past] -= 1
            if not self._counts[past]:
                del self._counts[past]
        if self._counts[pair] >= MOST_OF_A_PAIR:
            return False
        self._times.append((at, pair))
        self._counts[pair] += 1
        return True


async def _not_yet(account: Account, command: SendMessage) -> Message:
    raise Rejected(_BUSY, "The node only starts.")


class InboundCalls:
    """Makes the calls of the outbox that tell what came in. `accept` takes the replies."""

    def __init__(self, store: Store, directory: Directory, outgoing: Outgoing, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._outgoing = outgoing
        self._clock = clock
        self.accept: Accept = _not_yet
        self._pairs = _Pairs()
        self._pauses: set[Alarm] = set()
        self._stopping = False

    @property
    def paused(self) -> int:
        """Return how many calls wait for the store to recover."""
        return sum(alarm.idle for alarm in self._pauses)

    def stop(self) -> None:
        """Wait for the store no longer."""
        self._stopping = True
        for alarm in self._pauses:
            alarm.wake()

    async def tell(self, row: CallbackRow, token: str, policy: CallbackPolicy) -> Told:
        """Make one attempt, and do as the answer says; raise Stopping, NotNow. No text of either side is kept."""
        call = await self._call_of(row, token)
        if call is None:
            return "", Forbidden("the message was deleted before it could be told")
        params = inbound_params(call.message)
        result = await self._ask(call, call.webhook.url, call.webhook.method, params, policy)
        kept = form_body([(name, value) for name, value in params if name != "Body"])
        if not isinstance(result, Answered) or not is_delivered(result):
            return kept, result
        try:
            await self._obey(call, call.webhook.url, result)
        except _Failed as failure:
            await self._fall_back(call, failure)
            if not call.replies:
                return kept, result
        return kept, replace(result, body=b"")

    async def give_up(self, row: CallbackRow, token: str, result: CallbackResult) -> None:
        """Hear that there is no further attempt: tell the fallback URL; raise Stopping, NotNow."""
        call = await self._call_of(row, token)
        if call is not None:
            await self._fall_back(call, _Failed(_code_of(result), call.webhook.url))

    async def _call_of(self, row: CallbackRow, token: str) -> _Call | None:
        message = await self._read(row)
        if message is None:
            return None
        sender = self._directory.find(Sender, message.sender_sid)
        webhook = self._directory.webhook_of(sender) if sender is not None else None
        if webhook is None or webhook.url != row.url:  # configured anew since it came in
            webhook = InboundWebhook(row.url, "POST", None, "POST")
        return _Call(row.id, message, webhook, token)

    async def _read(self, row: CallbackRow) -> Message | None:
        while True:
            try:
                return await self._store.message(row.account_sid, row.message_sid)
            except StoreError:
                await self._pause()

    async def _pause(self) -> None:
        if self._stopping:
            raise Stopping
        if len(self._pauses) >= MOST_PAUSED:
            raise NotNow
        alarm = Alarm(self._clock)
        self._pauses.add(alarm)
        try:
            await alarm.wait(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
        finally:
            self._pauses.discard(alarm)

    # -- asking ------------------------------------------------------------------------------------------------------

    async def _ask(
        self, call: _Call, url: str, method: str, params: Params, policy: CallbackPolicy | None
    ) -> CallbackResult:
        is_get = method == "GET"
        signature = sign_get(url_with_params(url, params), call.token) if is_get else sign(url, params, call.token)
        headers = {"X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": call.id}
        policy, began = policy or CallbackPolicy(), self._clock.monotonic()
        left = LONGEST - call.asked
        if left <= 0:
            return TimedOut("all documents together took too long")
        policy = replace(policy, total_timeout=min(policy.total_timeout, left))
        result = await self._outgoing.call(method, url, params, headers, policy)
        call.asked += self._clock.monotonic() - began
        return result

    async def _fall_back(self, call: _Call, failure: _Failed) -> None:
        _log.warning("a message that came in could not be told", sid=call.message.sid, code=failure.code)
        url, method = call.webhook.fallback_url, call.webhook.fallback_method
        if url is None:
            return
        call.asked = 0
        params = after_failure(inbound_params(call.message), failure.code, failure.url)
        result = await self._ask(call, url, method, params, policy_of(url))
        try:
            await self._obey(call, url, result)
        except _Failed as again:
            _log.warning("the fallback could not be told either", sid=call.message.sid, code=again.code)

    # -- what is answered --------------------------------------------------------------------------------------------

    async def _obey(self, call: _Call, url: str, result: CallbackResult) -> None:
        """Send the replies of a document and of those it leads to; raise _Failed, Stopping, NotNow."""
        most = call.replies + MOST_REPLIES
        for _ in range(MOST_DOCUMENTS):
            redirect = await self._send_all(call, _verbs_of(result, url, most - call.replies), url)
            if redirect is None:
                return
            try:
                url = parse_callback_url(_resolved(url, redirect.url))
            except InvalidCallbackUrl:
                raise _Failed(NOT_CONNECTED, url) from None
            result = await self._ask(call, url, redirect.method, inbound_params(call.message), policy_of(url))
        raise _Failed(_TOO_MANY_DOCUMENTS, url)

    async def _send_all(self, call: _Call, verbs: list[Verb], url: str) -> Redirect | None:
        """Send the replies of a document; return where it leads to."""
        for verb in verbs:
            match verb:
                case Reply():
                    await self._send(call, verb, url)
                case Redirect():
                    return verb
                case _:
                    assert_never(verb)
        return None

    async def _send(self, call: _Call, reply: Reply, url: str) -> None:
        key = f"{call.id}:{call.replies}"  # also the fallback's replies are counted on: each has a key of its own
        call.replies += 1
        account = self._directory.find(Account, call.message.account_sid)
        if account is None:
            return
        try:
            command = self._command(call.message, key, reply, url)
            pair = account.sid, command.sender or "", command.recipient
            if not self._pairs.count(pair, self._clock.monotonic()):
                _log.warning("a reply was one too many between two numbers", sid=call.message.sid, code=_TOO_FAST)
                return
            await self._accepted(account, command)
        except Rejected as error:
            _log.warning("a reply was not accepted", sid=call.message.sid, code=error.code)

    async def _accepted(self, account: Account, command: SendMessage) -> None:
        while True:
            try:
                await self.accept(account, command)
                return
            except Rejected as error:
                if error.code != _BUSY:
                    raise
            except StoreError:  # it was added before, and cannot be read just now
                pass
            await self._pause()

    def _command(self, message: Message, key: str, reply: Reply, url: str) -> SendMessage:
        """Return a reply as it is accepted; raise Rejected."""
        if len(reply.body) > LONGEST_BODY:
            raise Rejected(21617)
        if len(reply.media_urls) > MOST_MEDIA:
            raise Rejected(21623)
        if not reply.body and not reply.media_urls:
            raise Rejected(21602)
        sender = str(read_sender(reply.sender)) if reply.sender else message.recipient
        known = self._directory.sender_at(message.account_sid, sender)
        return SendMessage(
            recipient=_recipient(reply.to or message.sender or ""),
            body=reply.body,
            media_urls=tuple(_url(url, one, 21620).partition("#")[0] for one in reply.media_urls),
            sender=sender,
            service_sid=known.service_sid if known is not None else None,
            callback_url=_url(url, reply.status_callback, 21609) if reply.status_callback else None,
            idempotency_key=key,
        )


def _verbs_of(result: CallbackResult, url: str, room: int) -> list[Verb]:
    """Return what a document asks for; raise _Failed where it does not do, or has more than so many replies."""
    if not isinstance(result, Answered) or not is_delivered(result):
        raise _Failed(_code_of(result), url)
    try:
        verbs = read_twiml(result)
    except InvalidTwiml as error:
        raise _Failed(error.code, url) from None
    if sum(isinstance(verb, Reply) for verb in verbs) > room:
        raise _Failed(TOO_MANY, url)
    return verbs


def _recipient(text: str) -> str:
    try:
        return str(parse_recipient(text))
    except InvalidAddress as error:
        raise Rejected(21211, str(error)) from None


def _url(base: str, text: str, code: int) -> str:
    try:
        return parse_callback_url(_resolved(base, text))
    except InvalidCallbackUrl as error:
        raise Rejected(code, str(error)) from None


def _resolved(base: str, text: str) -> str:
    """Return a URL that may be written as seen from the document; what cannot be resolved stays as it is."""
    try:
        return urljoin(base.partition("#")[0], text)
    except ValueError:
        return text


def _code_of(result: CallbackResult) -> int:
    match result:
        case NotConnected() | Forbidden():
            return NOT_CONNECTED
        case Answered() | TimedOut():
            return NOT_FETCHED
        case _:
            assert_never(result)
