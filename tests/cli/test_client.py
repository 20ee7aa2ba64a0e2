"""The client where there is no node: nobody, somebody else, a redirect."""

import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from postdate.cli.client import Client, NotReached
from postdate.cli.credentials import Credentials
from tests.cli.running import Commands, Running
from tests.held_ports import held_ports

SID = "AC" + "0" * 32


def client_at(url: str) -> Client:
    """Return a client of a server at `url`."""
    return Client(Credentials(url, SID, "0123456789abcdef"))


class SomebodyElse(http.server.BaseHTTPRequestHandler):
    """A server that is no node: `/moved` leads elsewhere, everything else is a page."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer with a redirect or a page."""
        self.asked.append(self.path)
        self.send_response(302 if self.path.startswith("/moved") else 404)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def somebody_else() -> Iterator[str]:
    """The URL of a server that is no node."""
    SomebodyElse.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SomebodyElse) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


def test_nobody_answers(nowhere: Commands) -> None:
    with held_ports(1) as (port,):
        url = f"http://127.0.0.1:{port}"
        ran = Commands(nowhere.data, {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "x"}).run(
            "messages", "list", "--url", url
        )
    assert (ran.code, ran.out) == (3, "")
    assert f"No node answers at {url} (" in ran.err
    assert "postdate serve" in ran.err


def test_no_redirect_is_followed(somebody_else: str) -> None:
    with pytest.raises(NotReached, match="answered 302, but not as Postdate does"):
        client_at(somebody_else).get("/moved")
    assert SomebodyElse.asked == ["/moved"]


def test_another_server_is_told_from_a_node(somebody_else: str) -> None:
    with pytest.raises(NotReached, match="answered 404, but not as Postdate does"):
        client_at(somebody_else).get("/2010-04-01/Accounts.json")


def test_a_proxy_of_the_environment_is_not_asked(
    somebody_else: str, node: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", somebody_else)
    assert node.commands.run("messages", "list").code == 0
    assert SomebodyElse.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:http", "http://127.0.0.1:0", "http://[::1"]
)
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(NotReached, match="is not the URL of a node"):
        client_at(url)


def test_a_url_without_a_scheme_is_http(node: Running) -> None:
    bare = node.url.removeprefix("http://")
    assert node.commands.run("messages", "list", "--url", bare).code == 0


def test_an_empty_data_folder_says_what_to_do(nowhere: Commands) -> None:
    ran = nowhere.run("messages", "list")
    assert ran.code == 3
    assert str(nowhere.data) in ran.err
    assert "postdate serve" in ran.err


def test_a_url_without_credentials_says_what_to_do(nowhere: Commands, node: Running) -> None:
    ran = nowhere.run("messages", "list", "--url", node.url)
    assert ran.code == 3
    assert "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" in ran.err


def test_the_environment_comes_before_the_data_folder(node: Running) -> None:
    ran = node.commands_of(SID, "not the node's").run("messages", "list")
    assert ran.code == 1
    assert "Error 20003" in ran.err
    assert 'eval "$(postdate env)"' in ran.err


def test_one_half_of_credentials_is_none(node: Running) -> None:
    half = Commands(node.data, {"TWILIO_ACCOUNT_SID": SID})
    assert half.run("messages", "list").code == 0


def test_no_command_line_or_error_has_the_token(node: Running) -> None:
    secret = "a-secret-that-nobody-may-see"
    ran = node.commands_of(node.account_sid, secret).run("messages", "list")
    assert ran.code == 1
    assert secret not in ran.err + ran.out
