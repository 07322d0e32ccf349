"""What a program answers about its health by HTTP; as a program, the health check of a container.

``python -m alaska.commands.health tcp://127.0.0.1:9998`` prints why the program at the endpoint is not healthy, and
ends with status 1; else it ends with 0. A program that wants a token for ``/healthz`` is asked for ``/livez``.
"""

from __future__ import annotations

import http.client
import json
import sys
from http import HTTPStatus
from typing import NamedTuple

from alaska.endpoints import WILDCARD, tcp
from alaska.names import printable

SECONDS = 2.0
MOST_OCTETS = 2**18
_WANTS_TOKEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Health(NamedTuple):
    """Whether a program is healthy, sentences that say why not, and those about what else to look at.

    ``is_alaska``: the answer is one of Alaska.
    """

    is_healthy: bool
    reasons: tuple[str, ...] = ()
    is_alaska: bool = True
    warnings: tuple[str, ...] = ()


def ask(endpoint: str, seconds: float = SECONDS) -> Health:
    """Ask the program at an endpoint for HTTP, which is ``tcp://host:port``, without TLS.

    :raises OSError: nobody answers, or not by HTTP.
    :raises ValueError: the endpoint is none of TCP.
    """
    parts = tcp(endpoint)
    if parts is None or not parts.port:
        raise ValueError(endpoint)
    host = "127.0.0.1" if parts.host in (WILDCARD, "0.0.0.0") else "::1" if parts.host == "::" else parts.host  # noqa: S104
    status, answer = _get(host, parts.port, "/healthz", seconds)
    if status in _WANTS_TOKEN:
        status, answer = _get(host, parts.port, "/livez", seconds)
        return Health(status == HTTPStatus.OK, () if status == HTTPStatus.OK else _lines(answer), _is_text(answer))
    return _read(status, answer)


def _get(host: str, port: int, path: str, seconds: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_OCTETS)
    except http.client.HTTPException as error:
        raise ConnectionError(f"it does not answer by HTTP: {type(error).__name__}") from None
    finally:
        connection.close()


def _read(status: int, answer: bytes) -> Health:
    try:
        found = json.loads(answer)
        checks = [*found["live"], *found["ready"]]
        reasons = tuple(
            printable(f"{each['name']}: {each.get('reason') or 'not ready'}") for each in checks if not each["ok"]
        )
        warnings = tuple(printable(str(each)) for each in found["warnings"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Health(False, (f"it answers with HTTP status {status}, and is not Alaska",), is_alaska=False)
    return Health(status == HTTPStatus.OK and not reasons, reasons, warnings=warnings)


def _lines(answer: bytes) -> tuple[str, ...]:
    return tuple(printable(line) for line in answer.splitlines()[:10]) or ("it is not alive",)


def _is_text(answer: bytes) -> bool:
    return not answer.lstrip().startswith(b"<")


def main(arguments: list[str]) -> int:
    """Ask the program at the endpoint that is the only argument; return the exit status."""
    try:
        (endpoint,) = arguments
        health = ask(endpoint)
    except ValueError:
        print("usage: python -m alaska.commands.health tcp://HOST:PORT", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"no answer by HTTP: {error}", file=sys.stderr)
        return 1
    print("\n".join(health.reasons) if health.reasons else "healthy")
    return 0 if health.is_healthy else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
