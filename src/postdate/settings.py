"""Every setting of a node, validated once, with messages that say what to do.

Read from, later ones winning: the defaults here, `postdate.toml` (in the data folder, or `--config`), environment
variables `POSTDATE_*`, the command line. The manual's table is made from the descriptions below.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from postdate.core.instant import ScheduleWindow
from postdate.core.sid import is_sid

Network = IPv4Network | IPv6Network
# As much as the largest private networks have, 10.0.0.0/8 and fc00::/7: what is wider holds strangers.
_WIDEST_TRUSTED: Final = MappingProxyType({4: 8, 6: 7})
# An IPv4 address in IPv6's form (::ffff:10.0.0.1) has it in its last 32 bits.
MAPPED_BITS: Final = 96
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class InvalidSettings(Exception):
    """A setting that cannot be used: the text names it, says why and what is expected."""


class Settings(BaseSettings):
    """The settings in force; frozen."""

    model_config = SettingsConfigDict(env_prefix="POSTDATE_", frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data: Path = Field(Path("data"), description="Folder for the store and its key.")
    public_url: str | None = Field(
        None, description="Where customers reach this node, for absolute links; default http://host:port."
    )
    account_sid: str | None = Field(None, description="SID of the account made at first start (AC and 32 hex digits).")
    auth_token: SecretStr | None = Field(None, description="Auth token of the account made at first start.")
    secret_key: SecretStr | None = Field(
        None, description="Key that seals auth tokens at rest; default: made once in the data folder."
    )
    test_clock: bool = Field(False, description="Use a clock that POST /postdate/v1/TestClock can move.")
    schedule_window: str = Field("60m..7d", description="How far ahead SendAt may be; '5m..35d', '0s..' is open.")
    schedule_without_service: str = Field(
        "refuse", description="A schedule without a messaging service: 'refuse' (35118) or 'send' at once."
    )
    scheduled_cap: int = Field(1_000_000, ge=1, description="Scheduled messages an account may have at once.")
    allow_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Private networks that callbacks and media may reach, e.g. 127.0.0.0/8,10.0.0.0/8."
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, e.g. 127.0.0.1/32."
    )
    default_mps: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="Segments per second of a new number; 0 is unlimited."
    )
    sandbox_seed: int = Field(1, description="Random seed of the sandbox carrier.")
    sandbox_script: Path | None = Field(None, description="JSON file of rules for the sandbox carrier.")
    carrier_url: str | None = Field(None, description="URL of a plain HTTP carrier: the connection named 'http'.")
    carrier_token: SecretStr | None = Field(None, description="Bearer token for the plain HTTP carrier.")
    carrier_doubt: str = Field("hold", description="What follows an unknown outcome there: hold or retry.")
    default_connection: str = Field(
        "sandbox",
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="Connection of a new number: sandbox, http, or the name of a connection that was added.",
    )
    max_body_bytes: int = Field(65_536, ge=1_024, description="Largest request body.")
    max_header_bytes: int = Field(16_384, ge=1_024, description="Largest request head.")
    max_parameters: int = Field(200, ge=10, description="Most parameters in a request.")
    min_free_bytes: int = Field(
        64 * 1024 * 1024, ge=0, description="Free disk space under which new messages are refused."
    )
    log_level: str = Field("info", description="debug, info, warning or error.")

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("schedule_window")
    @classmethod
    def _window(cls, value: str) -> str:
        ScheduleWindow.parse(value)
        return value

    @field_validator("account_sid")
    @classmethod
    def _account(cls, value: str | None) -> str | None:
        if value is not None and not is_sid(value, "AC"):
            raise ValueError("an account SID is AC and 32 hex digits")
        return value

    @field_validator("auth_token")
    @classmethod
    def _token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("an auth token has at least 16 characters")
        return value

    @field_validator("allow_networks", "trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(ip_network(str(part).strip()) for part in parts if str(part).strip())

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[Network, ...]) -> tuple[Network, ...]:
        for network in map(plain_network, value):
            widest = _WIDEST_TRUSTED[network.version]
            if network.prefixlen < widest:
                raise ValueError(
                    f"{network} is trusted with too much: anybody there could say to be anybody. Write the addresses "
                    f"of your proxies alone, such as 127.0.0.1 or 10.1.2.0/24; a network here is a /{widest} or smaller"
                )
        return value

    @field_validator("schedule_without_service")
    @classmethod
    def _without_service(cls, value: str) -> str:
        return _one_of(value, "refuse", "send")

    @field_validator("carrier_doubt")
    @classmethod
    def _doubt(cls, value: str) -> str:
        return _one_of(value, "hold", "retry")

    @field_validator("public_url", "carrier_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        parts = urlsplit(value) if value is not None else None
        if parts is not None and not (parts.scheme in ("http", "https") and parts.hostname):
            raise ValueError("expected a URL such as https://sms.example.com")
        return value

    @model_validator(mode="after")
    def _connected(self) -> "Settings":
        if self.default_connection == "http" and self.carrier_url is None:
            raise ValueError("default_connection=http needs a carrier_url (POSTDATE_CARRIER_URL)")
        return self

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        return _one_of(value.lower(), "debug", "info", "warning", "error")

    @property
    def base_url(self) -> str:
        """Return where customers reach this node, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def window(self) -> ScheduleWindow:
        """Return the schedule window of the node."""
        return ScheduleWindow.parse(self.schedule_window)

    def source_of(self, name: str) -> str:
        """Return where a setting comes from: option, environment, file or default."""
        return self._sources.get(name, "default")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line first, then the environment; the file comes in through `load`."""
        return (init_settings, env_settings)


def plain_network(network: Network) -> Network:
    """Return a network; one of IPv4 addresses in IPv6's form as the IPv4 network that it is."""
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    address = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
    return IPv4Network((address, network.prefixlen - MAPPED_BITS))


def _one_of(value: str, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"expected one of: {', '.join(allowed)}")
    return value


def load(config: Path | None = None, **given: Any) -> Settings:
    """Return the settings from all sources; raise InvalidSettings naming each one that is wrong.

    `given` are the command line's, without those that were not given.
    """
    path = config
    try:
        if path is None:
            first = Settings(**given)
            path = first.data / "postdate.toml"
            if not path.is_file():
                return _with_sources(first, given)
        elif not path.is_file():
            raise InvalidSettings(f"{path}: there is no such file")
        return _with_sources(_FromFile.at(path)(**given), given)
    except ValidationError as error:
        raise InvalidSettings(_told(error)) from None
    except (ValueError, OSError) as error:
        raise InvalidSettings(f"{path}: {error}") from None


def _with_sources(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Return the settings, which know then where each of them comes from."""
    variables = {name.lower() for name in os.environ}
    for name in settings.model_fields_set:
        in_environment = f"postdate_{name}" in variables
        source = "option" if name in given else "environment" if in_environment else "file"
        settings._sources[name] = source
    return settings


class _FromFile:
    @staticmethod
    def at(path: Path) -> type[Settings]:
        """Return the settings with one more source, behind the environment: this file."""

        class WithFile(Settings):
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                init = named.get("init_settings") or sources[0]
                environment = named.get("env_settings") or sources[1]
                return (init, environment, TomlConfigSettingsSource(settings_cls, path))

        return WithFile


def _told(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"])
        said = fault["msg"].removeprefix("Value error, ")
        lines.append(f"{name} (POSTDATE_{name.upper()}): {said}" if name else said)
    return "\n".join(lines)
