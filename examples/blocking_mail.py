"""Send lines to a mailbox, or print what is in it: blocking_mail.py ENDPOINT send|read MAILBOX < LINES."""

from __future__ import annotations

import sys

from alaska.sync import Client


def main(endpoint: str, what: str, mailbox: str) -> None:
    """Send or read; a line that is the same as one of the last hour is not kept twice."""
    if what == "send":
        with Client(endpoint) as client:
            for line in sys.stdin:
                text = line.rstrip("\n")
                client.mail(mailbox, "line", text, id=text or "empty", unique_for=3600)
    else:
        with Client(endpoint, address=mailbox) as client:
            for mail in client.inbox(timeout=1):
                print(mail.subject, mail.text)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
