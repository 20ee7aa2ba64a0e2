"""A node in a process of its own, on the real clock: `living.py SETTINGS-AS-JSON` says ready; SIGTERM stops it."""

import asyncio
import json
import signal
import sys

from postdate.core.address import SenderKind
from postdate.core.resources import Sender, Service
from postdate.node import Node
from postdate.settings import load

SERVICE = "MG" + "5" * 32
NUMBERS = ("+15005550006", "+15005550007")


async def main() -> None:
    """Run a node until it is told to stop."""
    async with Node(load(**json.loads(sys.argv[1]))) as node:
        account, _ = node.first_account()
        at = node.clock.now()
        if node.directory.find(Service, SERVICE) is None:
            await node.directory.put(
                Service(sid=SERVICE, account_sid=account.sid, friendly_name="clinic", created_at=at, updated_at=at)
            )
            for number in NUMBERS:
                sender = Sender(
                    sid=f"PN{number[1:]:0>32}", account_sid=account.sid, kind=SenderKind.PHONE_NUMBER, address=number,
                    friendly_name=number, country="US", mps=0, connection="http", service_sid=SERVICE, added_at=at,
                    created_at=at, updated_at=at,
                )  # fmt: skip
                await node.directory.put(sender)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await node.listen()
        print("ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
