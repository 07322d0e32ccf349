"""Login of browsers: for a password or a token they get a cookie."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

from alaska.admin.http.answers import Answer, in_json
from alaska.admin.http.routes import Asked
from alaska.admin.http.sessions import Sessions, set_cookie
from alaska.admin.http.users import NO_TOKENS, PASSWORD, Key, User, Users
from alaska.authentication import Entry, Verdict
from alaska.errors import HTTPRefused
from alaska.interfaces import Reactor

Decide: TypeAlias = Callable[[bytes, bytes, str], Deferred[Verdict]]
"""Decides about a login by user name, password and address, as that by ZeroMQ."""


class Credentials(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A token, or the user name and password of a user of the broker."""

    token: str = ""
    user: str = ""
    password: str = ""


class Session(msgspec.Struct):
    """Who has logged in, and with which role."""

    user: str
    role: str


class Login:
    """Answers logins and logouts. Without ``decide`` only tokens are accepted."""

    def __init__(self, reactor: Reactor, users: Users, sessions: Sessions, decide: Decide | None) -> None:
        self._reactor = reactor
        self._users = users
        self._sessions = sessions
        self._decide = decide

    def begin(self, asked: Asked) -> Deferred[Answer]:
        """Begin a session."""
        return ensureDeferred(self._begin(asked))

    async def _begin(self, asked: Asked) -> Answer:
        # A form of another page cannot have this type, and so cannot log its visitor in as somebody else.
        if asked.headers.get("content-type", b"").split(b";")[0].strip().lower() != b"application/json":
            raise HTTPRefused(415, "the body must be application/json")
        try:
            given = msgspec.json.decode(asked.body, type=Credentials)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise HTTPRefused(400, 'the body must be {"token": …} or {"user": …, "password": …}') from None
        found = self._with_token(given.token) if given.token else await self._with_password(given, asked.address)
        if found is None and given.token and not self._users.has_file:
            raise HTTPRefused(401, NO_TOKENS)
        if found is None:
            raise HTTPRefused(401, "the token, or user name and password, are not known")
        key, user, login = found
        # The former session of this browser, perhaps of another user, ends; nobody chooses the value of a cookie.
        self._sessions.end(asked.cookie)
        cookie = set_cookie(self._sessions.begin(key, self._reactor.seconds(), login), asked.is_secure)
        return in_json(Session(user.name, user.role.word), 200, {b"Set-Cookie": cookie})

    def _with_token(self, token: str) -> tuple[Key, User, str] | None:
        found = self._users.with_token(token)
        return None if found is None else (*found, "")

    async def _with_password(self, given: Credentials, address: str) -> tuple[Key, User, str] | None:
        if self._decide is None or not given.user:
            return None
        try:
            words = given.user.encode(), given.password.encode()
        except UnicodeEncodeError:
            return None
        verdict = await self._decide(*words, address)
        if verdict.entry is Entry.LATER:
            raise HTTPRefused(429, "there were too many wrong passwords", headers={b"Retry-After": b"5"})
        if verdict.after > 0:
            await deferLater(self._reactor, verdict.after)
        if verdict.entry is not Entry.GRANTED:
            return None
        return *self._users.with_name(PASSWORD, given.user), verdict.login

    def current(self, asked: Asked) -> Answer:
        """Answer who asks."""
        return in_json(Session(asked.user.name, asked.user.role.word))

    def end(self, asked: Asked) -> Answer:
        """End the session."""
        if asked.cookie:
            self._sessions.end(asked.cookie)
        return Answer(204, headers={b"Set-Cookie": set_cookie("", asked.is_secure)})
