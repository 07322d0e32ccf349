"""Serve the service words in Python until Ctrl-C: asyncio_worker.py ENDPOINT.

Ask it with ``asyncio_request.py ENDPOINT words count 'how many words'``.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from alaska.aio import Client, Reject, Request, Retry


async def main(endpoint: str) -> None:
    """Serve requests."""
    client = Client(endpoint)

    @client.service("words", "^count$", concurrency=20)
    async def count(request: Request) -> dict[str, int]:
        """Count words: what is returned is the answer, here as JSON."""
        if not request.body:
            raise Reject("there is nothing to count")
        await asyncio.sleep(0)  # other work, such as a query of a database
        return {"words": len(request.text.split())}

    @client.service("words", "^longest$", attempts=5, backoff=(0.1, 60.0))
    def longest(request: Request) -> str:
        """Return the longest word; a function that is not asynchronous runs in a thread."""
        if request.attempt == 1:
            raise Retry("the dictionary is being loaded")
        request.progress(0.5, "sorting")
        return max(request.text.split(), key=len, default="")

    await client.run(started=lambda: print("serving words", flush=True))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
