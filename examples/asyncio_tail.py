"""Print the next records of a stream, and go on there the next time: asyncio_tail.py ENDPOINT STREAM NAME COUNT."""

from __future__ import annotations

import asyncio
import sys

from alaska.aio import Client


async def main(endpoint: str, stream: str, name: str, count: str) -> None:
    """Print as many records as wanted; the broker keeps the position under the name."""
    left = int(count)
    async with Client(endpoint) as client, client.tail(stream, name=name) as records:
        async for record in records:
            print(record.position, record.subject, record.text)
            left -= 1
            if not left:
                break


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
