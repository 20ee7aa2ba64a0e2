"""Every kind of connection in one list: what it is set up with, what it can do, and how its connector is built.

Settings come as one JSON object. The secrets among them are kept apart from the rest, encrypted; whoever shows settings
shows the rest only. A kind's settings are a msgspec Struct whose fields describe themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from postdate.clock import Clock
from postdate.connectors.apprise import AppriseConnector, AppriseSettings
from postdate.connectors.contract import Connector
from postdate.connectors.http import HttpWay, http_connector
from postdate.connectors.providers import (
    aws,
    bandwidth,
    bird,
    generic,
    httpsms,
    infobip,
    messagebird,
    plain_http,
    plivo,
    sinch,
    smsgate,
    telnyx,
    twilio,
    vonage,
    whatsapp,
)
from postdate.connectors.providers.contract import AsksProvider, ProviderKind
from postdate.connectors.smpp import SmppConnector
from postdate.connectors.smpp_settings import SmppSettings
from postdate.core.address import Channel


class InvalidConnection(ValueError):
    """Settings that cannot be used: the text names the setting and says what is expected, never what was given."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What connectors are given of the node.

    `chance` gives numbers in [0, 1), `some_bytes` 16 random bytes, `events_url` a message's own URL.
    """

    clock: Clock
    chance: Callable[[], float]
    some_bytes: Callable[[], bytes]
    events_url: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of connection.

    `media` is how many one message can carry, `checked` what its shapes were held against; `calls_us`: its carrier
    reports by calling a URL of ours.
    """

    name: str
    title: str
    settings: type[msgspec.Struct]
    channels: frozenset[Channel]
    media: int
    checked: str
    receipts: bool
    inbound: bool
    knows_key: bool
    can_ask: bool
    calls_us: bool
    build: Callable[[str, Any, Surroundings], Connector]


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting of a kind, as the manual, the API and the command line show it; `default` is JSON, None: required."""

    name: str
    description: str
    secret: bool
    default: str | None


def _http(kind: ProviderKind) -> Kind:
    def build(name: str, settings: Any, around: Surroundings) -> Connector:
        way = HttpWay(name, kind.make(settings), settings, around.events_url)
        return http_connector(way, around.clock, around.some_bytes)

    return Kind(
        name=kind.name,
        title=kind.title,
        settings=kind.settings,
        channels=kind.channels,
        media=kind.media,
        checked=kind.checked,
        receipts=kind.receipts,
        inbound=kind.inbound,
        knows_key=kind.knows_key,
        can_ask=isinstance(kind.make, type) and issubclass(kind.make, AsksProvider),
        calls_us=kind.receipts or kind.inbound,
        build=build,
    )


def _smpp(name: str, settings: Any, around: Surroundings) -> Connector:
    return SmppConnector(settings, around.clock, around.chance)


def _apprise(name: str, settings: Any, around: Surroundings) -> Connector:
    return AppriseConnector(settings, around.clock)


SMPP: Final = Kind(
    name="smpp",
    title="SMPP 3.4",
    settings=SmppSettings,
    channels=frozenset({Channel.SMS}),
    media=0,
    checked="node-smpp, Net::SMPP and smpp34's codec",
    receipts=True,
    inbound=True,
    knows_key=False,
    can_ask=True,
    calls_us=False,
    build=_smpp,
)
APPRISE: Final = Kind(
    name="apprise",
    title="Apprise",
    settings=AppriseSettings,
    channels=frozenset({Channel.SMS}),
    media=0,
    checked="the package apprise itself",
    receipts=False,
    inbound=False,
    knows_key=False,
    can_ask=False,
    calls_us=False,
    build=_apprise,
)
_PROVIDERS: Final = (
    twilio, vonage, telnyx, plivo, sinch, infobip, bird, messagebird, bandwidth, aws, whatsapp, smsgate, httpsms,
    generic, plain_http,
)  # fmt: skip
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {kind.name: kind for kind in (SMPP, *(_http(module.KIND) for module in _PROVIDERS), APPRISE)}
)


def kind_of(name: str) -> Kind:
    """Return the kind of this name; raise InvalidConnection where there is none."""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidConnection(f"There is no such kind of connection; the kinds are {', '.join(KINDS)}.")
    return kind


def setting_fields(kind: Kind) -> list[SettingField]:
    """Return what can be set of a kind, in the order of its declaration."""
    described = msgspec.json.schema(kind.settings)["$defs"][kind.settings.__name__]["properties"]
    secrets = secret_names(kind)
    return [
        SettingField(
            name=field.encode_name,
            description=_description(described[field.encode_name]),
            secret=field.encode_name in secrets,
            default=None if field.required else _default(field),
        )
        for field in msgspec.structs.fields(kind.settings)
    ]


def secret_names(kind: Kind) -> frozenset[str]:
    """Return the names of the settings that are secrets."""
    info = msgspec.inspect.type_info(kind.settings)
    assert isinstance(info, msgspec.inspect.StructType)
    return frozenset(field.encode_name for field in info.fields if _is_secret(field.type))


def read_settings(kind: Kind, given: Mapping[str, Any]) -> Any:
    """Return a kind's settings, numbers and flags also from texts; raise InvalidConnection, which repeats no value."""
    try:
        return msgspec.convert(dict(given), kind.settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidConnection(f"Settings: {_without_values(str(error)).removesuffix('.')}.") from None
    except ValueError as error:  # a provider's own check
        raise InvalidConnection(f"Settings: {error}") from None


def part_settings(kind: Kind, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that may be shown, and the secrets."""
    secrets = secret_names(kind)
    shown = {name: value for name, value in given.items() if name not in secrets}
    return shown, {name: value for name, value in given.items() if name in secrets}


def _is_secret(of: msgspec.inspect.Type) -> bool:
    match of:
        case msgspec.inspect.Metadata(type=inner, extra=extra):
            return bool((extra or {}).get("secret")) or _is_secret(inner)
        case msgspec.inspect.UnionType(types=types):
            return any(map(_is_secret, types))
        case _:
            return False


def _description(schema: Mapping[str, Any]) -> str:
    found = [schema, *schema.get("anyOf", ())]
    return next((str(one["description"]) for one in found if "description" in one), "")


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.json.encode(value).decode()


def _without_values(text: str) -> str:
    """Return msgspec's sentence; of its texts only that of an unknown enum member repeats what was given."""
    if not text.startswith("Invalid enum value"):
        return text
    _, at, where = text.rpartition(" - at ")
    return f"Not one of the values that it may have{at}{where}" if at else "Not one of the values that it may have"
