"""Who asks: the user of a token, a cookie or a certificate, and what pages of other origins may not do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from twisted.logger import Logger

from alaska.access import ANONYMOUS, Level
from alaska.admin.http.sessions import COOKIE, Sessions
from alaska.admin.http.users import CERTIFICATE, NO_TOKENS, NOBODY, PASSWORD, UNKNOWN, Key, Role, User, Users
from alaska.errors import HTTPRefused
from alaska.system.events import should_log

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SCHEME = "bearer "
_CHALLENGE = {b"WWW-Authenticate": b'Bearer realm="alaska"'}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_SAFE_SITES = (b"same-origin", b"none")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{0,255})(?::[0-9]{0,5})?")


MayAdminister: TypeAlias = Callable[[str, Level], bool]
"""Whether the access rules let a user do what needs a level of ``admin``; a refusal is counted."""


def everybody_may(_user: str, _level: Level) -> bool:
    """Return True: there are no access rules."""
    return True


class Who(NamedTuple):
    """The user of a request, by what they are known, and whether by a cookie, which a browser sends by itself."""

    user: User
    key: Key | None = None
    is_by_cookie: bool = False
    cookie: str = ""


class Gate:
    """Decides who may ask.

    ``is_open``: the endpoint is on loopback, and who has not logged in may see what the role ``view`` may.
    ``is_local``: the endpoint is on loopback, so that only known host names may be used for it. ``hosts`` are further
    ones. ``may_administer`` says what the access rules let a user do.
    """

    _log = Logger()

    def __init__(
        self,
        users: Users,
        sessions: Sessions,
        is_local: bool,
        is_open: bool,
        hosts: frozenset[str],
        may_administer: MayAdminister = everybody_may,
    ) -> None:
        self.users = users
        self.sessions = sessions
        self._is_local = is_local
        self._is_open = is_open
        self._hosts = hosts
        self._may_administer = may_administer
        self.refused = 0
        """The number of requests with a wrong token."""

    def check_host(self, hosts: Sequence[bytes], is_http_1_1: bool) -> None:
        """Check the host name of a request: a page that renames its own host to a loopback address cannot read here.

        :raises HTTPRefused: it is not a name of this endpoint.
        """
        if len(hosts) > 1 or (is_http_1_1 and not hosts):
            raise HTTPRefused(400, "there must be one header Host")
        name = host_name(hosts[0]) if hosts else "localhost"
        if name is None:
            raise HTTPRefused(400, "the header Host is not valid")
        accepted = _LOCAL_NAMES | self._hosts if self._is_local else self._hosts
        if (self._is_local or self._hosts) and name not in accepted:
            raise HTTPRefused(421, "this host name is not served here; http/hosts names further ones")

    def check_site(self, headers: Mapping[str, bytes], changes: bool) -> None:
        """Refuse what a browser sends on behalf of a page of another origin; that page may still have a link to here.

        :raises HTTPRefused: the request comes from such a page.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        is_link = headers.get("sec-fetch-mode") == b"navigate" and headers.get("sec-fetch-dest") == b"document"
        if site is not None and site not in _SAFE_SITES and (changes or not is_link):
            raise HTTPRefused(403, "pages of other origins may not use this")
        # Browsers without Sec-Fetch-Site send this with what changes something.
        if origin is not None and not self._is_own(origin, headers.get("host", b"")):
            raise HTTPRefused(403, "pages of other origins may not use this")

    def _is_own(self, origin: bytes, host: bytes) -> bool:
        """Return whether an origin is that of our pages: that of the header Host, or one of the further host names."""
        scheme, _, authority = origin.lower().partition(b"://")
        if scheme not in (b"http", b"https"):
            return False
        name = host_name(authority)
        # Browsers leave out the port of Host only if it is that of the scheme; other programs may leave it out anyway.
        return authority == host.lower() or (
            name is not None and (name.encode() == host.lower() or name in self._hosts)
        )

    def identify(self, headers: Mapping[str, bytes], cookies: Mapping[str, str], certificate: str, now: float) -> Who:
        """Return who asks. ``certificate`` is the name in the client's checked TLS certificate, or empty.

        :raises HTTPRefused: the token is wrong.
        """
        given = headers.get("authorization")
        if given is not None:
            return self._with_token(given)
        cookie = cookies.get(COOKIE.decode(), "")
        key = self.sessions.key_of(cookie, now) if cookie else None
        if key is not None:
            user = self.users.with_name(PASSWORD, key.value)[1] if key.kind == PASSWORD else self.users.with_key(key)
            if user is not None:
                return Who(user, key, is_by_cookie=True, cookie=cookie)
            self.sessions.end(cookie)
        if certificate:
            key, user = self.users.with_name(CERTIFICATE, certificate)
            return Who(user, key)
        # Who comes through a proxy is not on this machine, only the proxy is.
        is_here = self._is_open and not any(name in headers for name in _FORWARDED)
        return Who(User("", Role.VIEW) if is_here else NOBODY)

    def _with_token(self, given: bytes) -> Who:
        text = given.decode("utf-8", "surrogateescape")
        found = None
        if text[: len(_SCHEME)].lower() == _SCHEME:
            found = self.users.with_token(text[len(_SCHEME) :].strip())
        if found is None:
            self.refused += 1
            if should_log(self.refused):
                self._log.warn("requests by HTTP with a wrong token: {count} so far", count=self.refused)
            raise HTTPRefused(401, UNKNOWN if self.users.has_file else NO_TOKENS, headers=_CHALLENGE)
        return Who(found[1], found[0])

    def check_role(
        self, who: Who, needed: Role, level: Level | None, changes: bool, headers: Mapping[str, bytes]
    ) -> None:
        """Check that a user may do what needs a role, and a level of ``admin`` where there are access rules.

        ``changes`` says that it is not only read.

        :raises HTTPRefused: the user may not, or a browser does not say that its page is ours.
        """
        if who.user.role < needed:
            if not who.user.name:
                raise HTTPRefused(401, "this needs a token: send the header Authorization: Bearer", headers=_CHALLENGE)
            raise HTTPRefused(403, f"this needs the role {needed.word}; {who.user.name} has {who.user.role.word}")
        if level is not None and not self._may_administer(who.user.name, level):
            word = level.name.lower()
            raise HTTPRefused(403, f"the access rules do not let {who.user.name or ANONYMOUS} {word} (admin)")
        if changes and who.is_by_cookie and not self._is_from_own_page(headers):
            raise HTTPRefused(403, "with a cookie, changes need the header Sec-Fetch-Site: same-origin, or our Origin")

    def _is_from_own_page(self, headers: Mapping[str, bytes]) -> bool:
        """Return whether a browser says that a request comes from one of our pages."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site == b"same-origin"
        # Browsers send no Sec-Fetch-Site by plain HTTP to another machine, but the origin of what changes something.
        return origin is not None and self._is_own(origin, headers.get("host", b""))


def host_name(host: bytes) -> str | None:
    """Return the name in a header Host, without the port and in lower case; an IPv6 address keeps its brackets.

    Return None if it is not valid.
    """
    found = _HOST.fullmatch(host)
    return None if found is None else found[1].decode("ascii").lower()
