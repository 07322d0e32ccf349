"""Serve browser.html, and pass its requests on to a broker: browser_server.py http://127.0.0.1:9998 [PORT].

It stands for the reverse proxy of a real site, listens on this machine only, and is for trying out.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PAGE = Path(__file__).with_name("browser.html")
PASSED_ON = ("Content-Type", "Cookie", "Last-Event-ID", "Sec-Fetch-Site")
RETURNED = ("Content-Type", "Set-Cookie", "Cache-Control")


class Proxy(BaseHTTPRequestHandler):
    """Serves one request."""

    broker = ""

    def do_GET(self) -> None:  # the name that the module wants
        """Serve the page, or pass a request on."""
        if self.path == "/":
            self.begin(200, {"Content-Type": "text/html; charset=utf-8"})
            self.wfile.write(PAGE.read_bytes())
        else:
            self.do_POST()

    def do_POST(self) -> None:
        """Pass a request on, and its answer back as it arrives: a stream has no end."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name in PASSED_ON if (value := self.headers.get(name)) is not None}
        connection = HTTPConnection(self.broker, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            self.begin(answer.status, {name: value for name in RETURNED if (value := answer.getheader(name))})
            while octets := answer.read1(65536):
                self.wfile.write(octets)
                self.wfile.flush()
        except OSError:
            self.close_connection = True
        finally:
            connection.close()

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """Send the status and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


def main(broker: str, port: str = "8000") -> None:
    """Serve until Ctrl-C."""
    Proxy.broker = urlsplit(broker).netloc
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Proxy)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
