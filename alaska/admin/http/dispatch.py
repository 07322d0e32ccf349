"""Finds the route of a request, checks what it needs, and calls it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred

from alaska.admin.http.answers import Answer
from alaska.admin.http.exchange import Exchange
from alaska.admin.http.gate import Gate, Who
from alaska.admin.http.routes import Asked, Route, Routes
from alaska.admin.http.tls import certificate_name
from alaska.errors import HTTPRefused

MOST_COOKIES = 50
_LATER = {b"Retry-After": b"1"}


class Dispatch:
    """Answers the requests that the gate lets through, by the calls of the routes. ``seconds`` is a monotonic clock."""

    def __init__(self, routes: Routes, gate: Gate, seconds: Callable[[], float]) -> None:
        self._routes = routes
        self._gate = gate
        self._seconds = seconds

    def is_known(self, exchange: Exchange) -> bool:
        """Find out who sends a request, whose headers have arrived; return whether they have shown who they are."""
        try:
            exchange.who = self._identify(exchange)
        except HTTPRefused as error:
            exchange.who = error
        return isinstance(exchange.who, Who) and bool(exchange.who.user.name)

    def answer(self, exchange: Exchange) -> Answer | Deferred[Answer]:
        """Answer a request.

        :raises HTTPRefused: it is refused; the Deferred may fail with it as well.
        """
        headers = exchange.headers
        method = exchange.method.decode("ascii", "replace")
        hosts = exchange.requestHeaders.getRawHeaders(b"Host", [])
        self._gate.check_host(hosts, exchange.clientproto == b"HTTP/1.1")
        changes = method not in ("GET", "HEAD", "OPTIONS")
        self._gate.check_site(headers, changes)
        if method == "OPTIONS":
            return Answer(204, headers={b"Allow": self._routes.allowed(exchange.path)})
        route, names = self._routes.find(method, exchange.path)
        if headers.get("content-encoding", b"identity").lower() != b"identity":
            raise HTTPRefused(415, "the body must not be encoded", headers={b"Accept-Encoding": b"identity"})
        who = exchange.who
        if not isinstance(who, Who):
            raise who
        self._gate.check_role(who, route.role, route.level, changes, headers)
        route.check_headers(headers)
        arguments = route.arguments(exchange.query, exchange.body, names)
        if exchange.is_spare and (route.lasts or arguments.get("wait")):
            raise HTTPRefused(503, "all connections have requests that wait (http/connections)", headers=_LATER)
        asked = Asked(
            names=names,
            arguments=arguments,
            headers=headers,
            body=exchange.body,
            user=who.user,
            key=who.key,
            address=_host_of(exchange),
            is_secure=exchange.isSecure() or headers.get("x-forwarded-proto") == b"https",
            cookie=who.cookie,
            is_valid=partial(self._is_valid, exchange, route),
        )
        return route.call(asked)

    def _is_valid(self, exchange: Exchange, route: Route) -> bool:
        """Return whether a request that was accepted would be accepted again from the same user."""
        former = exchange.who
        try:
            who = self._identify(exchange)
            self._gate.check_role(who, route.role, route.level, False, exchange.headers)
        except HTTPRefused:
            return False
        return isinstance(former, Who) and who.user.name == former.user.name

    def _identify(self, exchange: Exchange) -> Who:
        headers = exchange.headers
        return self._gate.identify(
            headers, cookies(headers.get("cookie", b"")), certificate_name(exchange.transport), self._seconds()
        )


def cookies(header: bytes) -> dict[str, str]:
    """Return the cookies in a header; the first of several with the same name counts."""
    found: dict[str, str] = {}
    for pair in header.split(b";")[:MOST_COOKIES]:
        name, _, value = pair.decode("latin-1").strip().partition("=")
        found.setdefault(name, value)
    return found


def _host_of(exchange: Exchange) -> str:
    return str(getattr(exchange.getClientAddress(), "host", ""))
