"""Send requests from a script, and print the answers: blocking_request.py ENDPOINT SERVICE SUBJECT TEXT..."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from alaska.sync import Client


def main(endpoint: str, service: str, subject: str, *texts: str) -> None:
    """Send one request for each text, several at a time: all threads share the client."""
    with Client(endpoint) as client, ThreadPoolExecutor(4) as threads:

        def ask(text: str) -> str:
            return client.request(service, subject, text, timeout=10).text

        for answer in threads.map(ask, texts):
            print(answer)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
