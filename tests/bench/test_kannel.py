"""What the benchmark relies on when it measures Kannel beside us: the customer's counts, and Kannel's settings.

That each message got its two calls is checked by each run itself, which measures nothing otherwise.
"""

import asyncio

import pytest

from bench import kannel
from bench.peers import Customer, Told

SID = "SM" + "7" * 32
OTHER = "SM" + "8" * 32


def a_post(sid: str, status: str) -> bytes:
    body = f"MessageSid={sid}&MessageStatus={status}&AccountSid=AC1"
    return f"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def a_get(sid: str, dlr: int) -> bytes:
    return f"GET /status?MessageSid={sid}&MessageStatus={dlr} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("sent", "delivered", "answers"),
    [
        ([a_post(SID, "sent"), a_post(SID, "delivered"), a_post(OTHER, "undelivered")], {SID}, [b"204"] * 3),
        ([a_post(SID, "delivered"), a_post(SID, "delivered")], {SID}, [b"204"] * 2),
        ([a_get(SID, 8), a_get(SID, 1), a_get(OTHER, 16), a_get(OTHER, 2)], {SID}, [b"200"] * 4),
        ([a_get(SID, 1), a_post(OTHER, "delivered")], {SID, OTHER}, [b"200", b"204"]),
        ([a_get(SID, 8), a_post(OTHER, "1 ")], set(), [b"200", b"204"]),
    ],
)
async def test_every_call_is_counted_once_however_it_arrives(
    sent: list[bytes], delivered: set[str], answers: list[bytes], piece: int
) -> None:
    told = Told()
    server = await asyncio.get_running_loop().create_server(lambda: Customer(told), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        everything = b"".join(sent)
        for start in range(0, len(everything), piece):
            writer.write(everything[start : start + piece])
            await writer.drain()
        heads = [(await reader.readuntil(b"\r\n\r\n")).split()[1] for _ in sent]
        writer.close()
        await writer.wait_closed()
    assert heads == answers
    assert told.calls == len(sent)
    assert told.delivered == {sid.encode() for sid in delivered}


def test_settings_are_written_one_group_after_the_other() -> None:
    written = kannel.written([{"group": "core", "admin-port": 1}, {"group": "smsc", "host": "127.0.0.1"}])
    assert written == 'group = "core"\nadmin-port = "1"\n\ngroup = "smsc"\nhost = "127.0.0.1"\n'
