"""Sessions of browsers: who has logged in gets a cookie with a random number."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from alaska.admin.http.users import Key, digest

MOST_SESSIONS = 1000
IDLE_SECONDS = 3600.0
LONGEST_SECONDS = 12 * 3600.0
COOKIE = b"alaska"


class _Session(NamedTuple):
    key: Key
    login: str
    began: float
    used: float


class Sessions:
    """The sessions in memory; a restart ends them. Times are seconds of one monotonic clock.

    A session ends an hour after its last request, twelve hours after the login, at the logout, when its token or
    password is removed or changed, or if its user has most of too many. Only the digests of the cookies are kept.

    ``is_valid`` returns whether the login of a session, by a password, would be accepted again.
    """

    def __init__(self, is_valid: Callable[[str], bool] = lambda _login: True) -> None:
        self.is_valid = is_valid
        # In the order of their last use.
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, key: Key, now: float, login: str = "") -> str:
        """Return the value of the cookie of a new session for the user of a key; ``login`` is that of a verdict."""
        value = secrets.token_urlsafe(32)
        self._sessions[digest(value)] = _Session(key, login, now, now)
        if len(self._sessions) > MOST_SESSIONS:
            # Of the user with most of them: nobody ends those of others by many logins.
            ((most, _),) = Counter(session.key for session in self._sessions.values()).most_common(1)
            del self._sessions[next(each for each, session in self._sessions.items() if session.key == most)]
        return value

    def key_of(self, value: str, now: float) -> Key | None:
        """Return the key of a session's user, or None if there is no such session (any more)."""
        known = digest(value)
        session = self._sessions.pop(known, None)
        if session is None or now - session.used >= IDLE_SECONDS or now - session.began >= LONGEST_SECONDS:
            return None
        if session.login and not self.is_valid(session.login):
            return None
        self._sessions[known] = session._replace(used=now)
        return session.key

    def end(self, value: str) -> None:
        """End a session, if there is one with this cookie."""
        self._sessions.pop(digest(value), None)


def set_cookie(value: str, is_secure: bool) -> bytes:
    """Return the header that gives a cookie to the browser; without a value, the one that removes it."""
    age = int(LONGEST_SECONDS) if value else 0
    parts = [f"{COOKIE.decode()}={value}", "Path=/", f"Max-Age={age}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if is_secure else parts).encode()
