"""Messages from handsets that an SMSC will deliver again, though we have them: the link went before we could say so.

SMPP gives such a message no id, and a person may say the same twice. So only what is known to come again is taken for
a repeat: once, within ten minutes, and only if it is the same in all that a person sees.
"""

from collections import OrderedDict
from typing import Final

from postdate.clock import Clock
from postdate.core.instant import MINUTE, Monotonic
from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DataSm, DeliverSm

_KEPT_FOR: Final = 10 * MINUTE
_KNOWN: Final = 5_000

_Key = tuple[str, str, int, int, bytes]


class Repeats:
    """What was kept and could not be acknowledged."""

    def __init__(self, wire: Clock) -> None:
        self._wire = wire
        self._awaited: OrderedDict[_Key, tuple[int, Monotonic]] = OrderedDict()  # how often, since when

    def expect(self, body: DeliverSm | DataSm) -> None:
        """Note that the SMSC was not told that we have this."""
        key = _key(body)
        times, _ = self._awaited.pop(key, (0, 0))
        self._awaited[key] = times + 1, self._wire.monotonic()
        if len(self._awaited) > _KNOWN:
            self._awaited.popitem(last=False)

    def take(self, body: DeliverSm | DataSm) -> bool:
        """Say whether this is one of them, which is then done with."""
        if not self._awaited:
            return False
        key = _key(body)
        times, since = self._awaited.pop(key, (0, Monotonic(0)))
        if not times or self._wire.monotonic() - since > _KEPT_FOR:
            return False
        if times > 1:
            self._awaited[key] = times - 1, since
        return True


def _key(body: DeliverSm | DataSm) -> _Key:
    octets = body.tlv(Tag.MESSAGE_PAYLOAD) or b""
    if isinstance(body, DeliverSm):
        octets = body.short_message or octets
    return body.source_addr, body.destination_addr, body.esm_class, body.data_coding, octets
