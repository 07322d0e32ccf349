"""Send a request in asyncio, and print its answer: asyncio_request.py ENDPOINT SERVICE SUBJECT CONTENT."""

from __future__ import annotations

import asyncio
import sys

from alaska.aio import Client, Progress
from alaska.errors import AlaskaError


def show(progress: Progress) -> None:
    """Print how far the request is."""
    print(f"{progress.fraction:.0%} {progress.text}", file=sys.stderr)


async def main(endpoint: str, service: str, subject: str, content: str) -> int:
    """Return the exit status."""
    try:
        async with Client(endpoint) as client:
            answer = await client.request(service, subject, content, timeout=10, progress=show)
    except AlaskaError as error:
        print(error, file=sys.stderr)
        return 1
    print(answer.text)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(*sys.argv[1:])))
