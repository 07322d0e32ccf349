"""What the tests of programs that serve HTTP share."""

from __future__ import annotations

import http.client
import re
from functools import partial

from twisted.internet.threads import deferToThread

from tests.admin.http_case import token_lines
from tests.programs.system_case import Program, SystemTestCase

READY = re.compile(r"HTTP ready \(tcp://127\.0\.0\.1:([0-9]+)\)")


def ask(
    port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """Send a request, and return status, headers and body of the answer; this blocks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


class HTTPCase(SystemTestCase):
    """Programs that serve HTTP at a port that the system chose."""

    async def ask(
        self, program: Program, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request to a program."""
        found = READY.findall(program.output)
        return await deferToThread(partial(ask, int(found[-1]), method, path, body, headers))

    def http(self, endpoint: str = "tcp://127.0.0.1:0") -> str:
        """Return the section of HTTP, and write the file of tokens that it names."""
        tokens = self.config("tokens", token_lines() + "eve send password\n")
        return f'http\n    endpoint = "{endpoint}"\n    tokens = "{tokens}"\n'
