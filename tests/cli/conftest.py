"""One node for all tests of a file: each makes what it looks at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Commands, Running, running_node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node on a frozen test clock."""
    with running_node(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def commands(node: Running) -> Commands:
    """The command line of the node's owner."""
    return node.commands


@pytest.fixture(scope="module")
def service(node: Running) -> str:
    """A messaging service with a number."""
    sid = node.commands.sid("services", "create", "--name", "Clinic")
    assert node.commands.run("numbers", "register", "+15005550006").code == 0
    assert node.commands.run("services", "add-sender", sid, "+15005550006").code == 0
    return sid


@pytest.fixture
def nowhere(tmp_path: Path) -> Commands:
    """The command line of someone whose data folder is empty."""
    return Commands(tmp_path)
