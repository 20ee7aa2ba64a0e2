"""Every setting is checked once, with a text that names it and says what is expected; later sources win."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from postdate.core.instant import DAY, MINUTE, ScheduleWindow
from postdate.settings import InvalidSettings, Settings, load

TOKEN = "a-token-of-more-than-16"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give an environment without settings, and an empty working folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POSTDATE_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def a_file(folder: Path, text: str) -> Path:
    """Write `postdate.toml` into a data folder; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "postdate.toml").write_text(text, encoding="utf-8")
    return folder


# --- values ----------------------------------------------------------------------------------------------------------


def test_without_any_source_the_defaults_are_in_force() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8080, Path("data"))
    assert settings.window == ScheduleWindow(60 * MINUTE, 7 * DAY)
    assert settings.auth_token is None
    assert not settings.test_clock


GIVEN: list[tuple[str, str, object]] = [
    ("host", "0.0.0.0", "0.0.0.0"),
    ("port", "0", 0),
    ("port", "65535", 65535),
    ("data", "/var/lib/postdate", Path("/var/lib/postdate")),
    ("public_url", "https://sms.example.com/", "https://sms.example.com/"),
    ("account_sid", "AC" + "0aF" * 10 + "12", "AC" + "0aF" * 10 + "12"),
    ("auth_token", "x" * 16, SecretStr("x" * 16)),
    ("secret_key", "anything", SecretStr("anything")),
    ("test_clock", "true", True),
    ("schedule_window", "5m..35d", "5m..35d"),
    ("schedule_window", "0s..", "0s.."),
    ("schedule_without_service", "send", "send"),
    ("scheduled_cap", "1", 1),
    ("allow_networks", "127.0.0.0/8, 10.0.0.0/8", (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))),
    ("allow_networks", "fd00::/8", (ip_network("fd00::/8"),)),
    ("allow_networks", "", ()),
    ("trusted_proxies", "127.0.0.1, fd00::/8", (ip_network("127.0.0.1/32"), ip_network("fd00::/8"))),
    ("trusted_proxies", "10.0.0.0/8, fc00::/7", (ip_network("10.0.0.0/8"), ip_network("fc00::/7"))),
    ("trusted_proxies", "::ffff:10.0.0.0/104", (ip_network("::ffff:10.0.0.0/104"),)),
    ("trusted_proxies", "", ()),
    ("allow_networks", "0.0.0.0/0", (ip_network("0.0.0.0/0"),)),
    ("default_mps", "0", 0.0),
    ("default_mps", "2.5", 2.5),
    ("sandbox_seed", "-7", -7),
    ("sandbox_script", "rules.json", Path("rules.json")),
    ("carrier_url", "https://carrier.example.com/send", "https://carrier.example.com/send"),
    ("carrier_token", "secret", SecretStr("secret")),
    ("carrier_doubt", "retry", "retry"),
    ("default_connection", "sandbox", "sandbox"),
    ("max_body_bytes", "1024", 1_024),
    ("max_header_bytes", "1024", 1_024),
    ("max_parameters", "10", 10),
    ("min_free_bytes", "0", 0),
    ("log_level", "WARNING", "warning"),
]


@pytest.mark.parametrize(("name", "text", "value"), GIVEN, ids=[f"{name}={text}" for name, text, _ in GIVEN])
def test_a_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"POSTDATE_{name.upper()}", text)
    assert getattr(load(), name) == value


def test_every_setting_has_a_case_here_and_a_description() -> None:
    assert {name for name, _, _ in GIVEN} == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


# --- refusals --------------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, str, str]] = [
    ("port", "-1", "greater than or equal to 0"),
    ("port", "65536", "less than or equal to 65535"),
    ("port", "http", "valid integer"),
    ("account_sid", "AC123", "AC and 32 hex digits"),
    ("account_sid", "SM" + "0" * 32, "AC and 32 hex digits"),
    ("account_sid", "AC" + "g" * 32, "AC and 32 hex digits"),
    ("account_sid", "", "AC and 32 hex digits"),
    ("auth_token", "x" * 15, "at least 16 characters"),
    ("auth_token", "", "at least 16 characters"),
    ("test_clock", "perhaps", "boolean"),
    ("schedule_window", "60m", "60m..7d"),
    ("schedule_window", "7d..60m", "never opens"),
    ("schedule_window", "an hour..7d", "one whole number with one unit"),
    ("schedule_without_service", "maybe", "expected one of: refuse, send"),
    ("scheduled_cap", "0", "greater than or equal to 1"),
    ("allow_networks", "127.0.0.1/8", "has host bits set"),
    ("allow_networks", "localhost", "does not appear to be an IPv4 or IPv6 network"),
    ("trusted_proxies", "10.0.0.1/8", "has host bits set"),
    ("trusted_proxies", "*", "does not appear to be an IPv4 or IPv6 network"),
    ("trusted_proxies", "0.0.0.0/0", "Write the addresses of your proxies alone, such as 127.0.0.1 or 10.1.2.0/24"),
    ("trusted_proxies", "127.0.0.1, ::/0", "::/0 is trusted with too much"),
    ("trusted_proxies", "0.0.0.0/1, 128.0.0.0/1", "0.0.0.0/1 is trusted with too much"),
    ("trusted_proxies", "10.0.0.0/7", "a /8 or smaller"),
    ("trusted_proxies", "fc00::/6", "a /7 or smaller"),
    ("trusted_proxies", "::ffff:0.0.0.0/96", "0.0.0.0/0 is trusted with too much"),
    ("default_mps", "-1", "greater than or equal to 0"),
    ("default_mps", "nan", "finite"),
    ("default_mps", "fast", "valid number"),
    ("sandbox_seed", "1.5", "valid integer"),
    ("carrier_doubt", "query", "expected one of: hold, retry"),
    ("default_connection", "My SMSC", "should match pattern"),
    ("max_body_bytes", "1023", "greater than or equal to 1024"),
    ("max_header_bytes", "1023", "greater than or equal to 1024"),
    ("max_parameters", "9", "greater than or equal to 10"),
    ("min_free_bytes", "-1", "greater than or equal to 0"),
    ("log_level", "loud", "expected one of: debug, info, warning, error"),
]


@pytest.mark.parametrize(("name", "text", "said"), WRONG, ids=[f"{name}={text}" for name, text, _ in WRONG])
@pytest.mark.parametrize("source", ["environment", "given", "file"])
def test_a_value_that_cannot_be_used_is_named_with_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, name: str, text: str, said: str
) -> None:
    given: dict[str, Any] = {}
    if source == "environment":
        monkeypatch.setenv(f"POSTDATE_{name.upper()}", text)
    elif source == "given":
        given[name] = text
    else:
        a_file(tmp_path / "data", f'{name} = "{text}"\n')
    with pytest.raises(InvalidSettings) as refusal:
        load(**given)
    assert f"{name} (POSTDATE_{name.upper()}): " in str(refusal.value)
    assert said in str(refusal.value)
    assert "Value error" not in str(refusal.value)


def test_an_endless_rate_is_refused_for_it_is_written_as_0() -> None:
    with pytest.raises(InvalidSettings, match="default_mps"):
        load(default_mps="inf")


def test_a_connection_that_is_not_configured_cannot_be_the_default() -> None:
    with pytest.raises(InvalidSettings, match="carrier_url"):
        load(default_connection="http")


@pytest.mark.parametrize("name", ["public_url", "carrier_url"])
@pytest.mark.parametrize("text", ["example.com", "ftp://example.com", "http://", ""])
def test_a_url_that_is_none_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=name):
        load(None, **{name: text})


def test_everything_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTDATE_PORT", "http")
    monkeypatch.setenv("POSTDATE_LOG_LEVEL", "loud")
    with pytest.raises(InvalidSettings) as refusal:
        load(auth_token="short")
    assert [line.partition(" ")[0] for line in str(refusal.value).splitlines()] == ["port", "auth_token", "log_level"]


@pytest.mark.parametrize("name", ["auth_token", "secret_key", "carrier_token"])
def test_no_secret_is_told(name: str) -> None:
    secret = "do-not-tell-this-to-anyone"
    settings = load(None, **{name: secret})
    assert secret not in repr(settings)
    assert secret not in str(settings)
    with pytest.raises(InvalidSettings) as refusal:
        load(None, port=-1, **{name: secret})
    assert secret not in str(refusal.value)


def test_a_token_that_is_too_short_is_not_told_either() -> None:
    with pytest.raises(InvalidSettings) as refusal:
        load(auth_token="tooshort")
    assert "tooshort" not in str(refusal.value)


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.port = 1


def test_a_setting_nobody_knows_is_refused(tmp_path: Path) -> None:
    a_file(tmp_path / "data", "prot = 8081\n")
    with pytest.raises(InvalidSettings, match="prot"):
        load()


def test_an_environment_variable_nobody_knows_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTDATE_UNKNOWN", "1")
    assert load().port == 8080


# --- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_file", "in_environment", "given", "expected"),
    [
        pytest.param(None, None, None, 8080, id="default"),
        pytest.param(1, None, None, 1, id="file"),
        pytest.param(None, 2, None, 2, id="environment"),
        pytest.param(None, None, 3, 3, id="given"),
        pytest.param(1, 2, None, 2, id="environment over file"),
        pytest.param(1, None, 3, 3, id="given over file"),
        pytest.param(None, 2, 3, 3, id="given over environment"),
        pytest.param(1, 2, 3, 3, id="given over all"),
    ],
)
@pytest.mark.parametrize("place", ["data folder", "named"])
def test_later_sources_win(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    in_file: int | None,
    in_environment: int | None,
    given: int | None,
    expected: int,
    place: str,
) -> None:
    config: Path | None = None
    if in_file is not None:
        folder = a_file(tmp_path / ("data" if place == "data folder" else "elsewhere"), f"port = {in_file}\n")
        config = None if place == "data folder" else folder / "postdate.toml"
    if in_environment is not None:
        monkeypatch.setenv("POSTDATE_PORT", str(in_environment))
    settings = load(config) if given is None else load(config, port=given)
    assert settings.port == expected


def test_sources_are_taken_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    a_file(tmp_path / "data", 'host = "10.0.0.1"\nport = 1\nlog_level = "debug"\n')
    monkeypatch.setenv("POSTDATE_PORT", "2")
    settings = load(log_level="error")
    assert (settings.host, settings.port, settings.log_level) == ("10.0.0.1", 2, "error")


@pytest.mark.parametrize("source", ["environment", "given"])
def test_the_file_is_in_the_data_folder_that_was_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    a_file(tmp_path / "data", "port = 1\n")
    chosen = a_file(tmp_path / "chosen", "port = 2\n")
    if source == "environment":
        monkeypatch.setenv("POSTDATE_DATA", str(chosen))
        assert load().port == 2
    else:
        assert load(data=chosen).port == 2


def test_a_file_that_is_named_takes_the_place_of_the_one_in_the_data_folder(tmp_path: Path) -> None:
    a_file(tmp_path / "data", "port = 1\n")
    named = a_file(tmp_path / "named", 'host = "10.0.0.1"\n') / "postdate.toml"
    settings = load(named)
    assert (settings.host, settings.port) == ("10.0.0.1", 8080)


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="there is no such file") as refusal:
        load(tmp_path / "missing.toml")
    assert "missing.toml" in str(refusal.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings):
        load(tmp_path)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    a_file(tmp_path / "data", "port 8081\n")
    with pytest.raises(InvalidSettings, match="line 1"):
        load()


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    a_file(tmp_path / "data", "port 8081\n")
    with pytest.raises(InvalidSettings, match=r"postdate\.toml"):
        load()


def test_values_of_a_file_have_their_types(tmp_path: Path) -> None:
    a_file(
        tmp_path / "data",
        'allow_networks = ["127.0.0.0/8", "fd00::/8"]\ntest_clock = true\ndefault_mps = 2.5\nauth_token = "'
        + TOKEN
        + '"\n',
    )
    settings = load()
    assert settings.allow_networks == (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    assert (settings.test_clock, settings.default_mps) == (True, 2.5)
    assert settings.auth_token == SecretStr(TOKEN)


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        (None, "http://127.0.0.1:8080"),
        ("https://sms.example.com", "https://sms.example.com"),
        ("http://x/", "http://x"),
    ],
)
def test_where_customers_reach_the_node(public_url: str | None, expected: str) -> None:
    assert load(public_url=public_url).base_url == expected
