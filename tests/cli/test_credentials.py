"""The file by which commands find the node of a data folder."""

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.cli.credentials import FILE, Credentials, read_credentials, write_credentials

SID = "AC" + "0" * 32
# What an environment variable can hold, and a settings file or an environment may give as a token.
TOKENS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@given(token=TOKENS)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    folder = tmp_path_factory.mktemp("data")
    credentials = Credentials("http://127.0.0.1:8080", SID, token)
    write_credentials(folder, credentials)
    assert read_credentials(folder) == credentials


@pytest.mark.parametrize(
    "token", ["plain0123456789ab", "two words and $HOME `id` \"x\" 'y' \\ #z", "日本語の合言葉です、十六文字"]
)
def test_a_shell_takes_it_exactly(token: str, tmp_path: Path) -> None:
    credentials = Credentials("http://[::1]:8080", SID, token)
    show = 'printf "%s|%s|%s" "$POSTDATE_URL" "$TWILIO_ACCOUNT_SID" "$TWILIO_AUTH_TOKEN"'
    write_credentials(tmp_path, credentials)
    for script in (f"{credentials.exports()}\nsh -c '{show}'", f". ./{FILE}\n{show}"):
        shown = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
        assert shown == f"http://[::1]:8080|{SID}|{token}"


def test_only_its_owner_can_read_it_and_no_other_file_is_left(tmp_path: Path) -> None:
    for port in (1, 2):
        write_credentials(tmp_path, Credentials(f"http://127.0.0.1:{port}", SID, "0123456789abcdef"))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="no file"),
        pytest.param("", id="empty"),
        pytest.param("POSTDATE_URL=http://a\nTWILIO_ACCOUNT_SID=AC1\n", id="no token"),
        pytest.param("TWILIO_AUTH_TOKEN='open", id="no end"),
    ],
)
def test_what_is_not_whole_is_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    assert read_credentials(tmp_path) is None


def test_a_repr_tells_no_token() -> None:
    assert "secret" not in repr(Credentials("http://127.0.0.1:1", SID, "secret-secret-secret"))
