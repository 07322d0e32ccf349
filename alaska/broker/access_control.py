"""Applies the access rules to the commands of clients: refuses, counts and logs (docs/access.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from weakref import WeakValueDictionary

from twisted.logger import Logger

from alaska import errors
from alaska.access import ANONYMOUS, AccessRules, Level, Verb
from alaska.broker.access import MOST_REMEMBERED, Access, Permitted
from alaska.broker.answers import MEMORY_SECONDS, Answers
from alaska.broker.clients import Client
from alaska.broker.counters import Counters
from alaska.broker.log_throttle import LogThrottle
from alaska.mlm import commands as mlm
from alaska.names import printable

_MOST_SHOWN = 60
Check = Callable[[Client, Any], bool]
Method = Callable[[Client, Any], None]


class AccessControl:
    """The rules in force. Without rules, everybody may do everything.

    ``own_services`` are the services of the broker itself, which check each request themselves. A user is the name with
    which a connection was authenticated, empty for none; None is the process of the broker, which may do everything.
    """

    _log = Logger()

    def __init__(self, rules: AccessRules | None, counters: Counters, own_services: Collection[bytes]) -> None:
        self._access = None if rules is None else Access(rules)
        self._counters = counters
        self._own_services = own_services
        self._answers: WeakValueDictionary[bytes, Answers] = WeakValueDictionary()
        self._forgot_at = float("-inf")
        self._log_throttle = LogThrottle()
        self._unreported = 0
        self._last_refusal = ""
        self._checks: dict[type[mlm.Command], Check] = {
            mlm.ServiceSend: self._may_ask,
            mlm.MailboxSend: self._may_send,
            mlm.ServiceOffer: self._may_offer,
            mlm.StreamWrite: self._may_write,
            mlm.StreamSend: self._may_publish,
            mlm.StreamRead: self._may_read,
            mlm.StreamReplay: self._may_read,
        }

    @property
    def is_active(self) -> bool:
        """Whether there are rules."""
        return self._access is not None

    def replace(self, rules: AccessRules | None) -> None:
        """Replace the rules; afterwards :meth:`enter` must be called for each session."""
        self._access = None if rules is None else Access(rules)

    def checked(self, methods: Mapping[type[mlm.Command], Method]) -> dict[type[mlm.Command], Method]:
        """Return methods that execute commands only if the rules allow them; without rules, the same methods."""
        if self._access is None:
            return dict(methods)

        def with_check(check: Check, method: Method) -> Method:
            def execute(client: Client, command: mlm.Command) -> None:
                if client.permitted is None or check(client, command):
                    method(client, command)

            return execute

        return {
            command: with_check(self._checks[command], method) if command in self._checks else method
            for command, method in methods.items()
        }

    # Questions

    def may(self, user: bytes | None, verb: Verb, name: bytes, subject: bytes = b"") -> bool:
        """Return whether a user may do this by the rules; the name of ``admin`` is a level. Nothing is counted."""
        if self._access is None or user is None:
            return True
        return self._access.rights_of(user).may(verb, name, subject)

    def may_bind(self, user: bytes | None, stream: bytes, service: bytes) -> bool:
        """Return whether a user may bind a stream to a service: read the one, and ask the other whatever the subject.

        Nothing is counted.
        """
        if self._access is None or user is None:
            return True
        rights = self._access.rights_of(user)
        return rights.may(Verb.READ, stream) and rights.may_ask_all(service)

    def allows(self, user: bytes | None, verb: Verb, name: bytes, subject: bytes = b"") -> bool:
        """Return the same as :meth:`may`, and count a refusal."""
        is_allowed = self.may(user, verb, name, subject)
        if not is_allowed:
            self._note(user, verb, name, subject)
        return is_allowed

    # Sessions

    def enter(self, client: Client) -> None:
        """Give a session its rights by the rules in force."""
        access, user = self._access, client.user
        client.is_write_refused = False
        if access is None or user is None:
            client.permitted = client.answers = None
            return
        client.permitted = Permitted(access.rights_of(user))
        if client.answers is None:
            client.set_answers(self._answers.setdefault(user, Answers()))

    def may_open(self, user: bytes | None, address: bytes) -> bool:
        """Return whether a user may open with an address; count a refusal."""
        return not address or self.allows(user, Verb.OPEN, address)

    def may_keep(self, client: Client, verb: Verb, name: bytes) -> bool:
        """Return whether a session may still have an address, a stream or an offer; count a refusal."""
        is_allowed = self.may(client.user, verb, name)
        if not is_allowed:
            self._miss(client, verb, name)
        return is_allowed

    def has_gained(self, client: Client) -> bool:
        """Return whether a session may now have an offer or a reader that was refused or ended before."""
        return any(self.may(client.user, verb, name) for verb, name in client.missed)

    def refusal_to_administer(self, client: Client, level: Level) -> str:
        """Return why the rules do not let a client administer, or an empty text if they do; there must be rules."""
        name = level.name.lower().encode()
        return "" if self.allows(client.user, Verb.ADMIN, name) else refusal(client.user, Verb.ADMIN, name).decode()

    def tick(self, now: float) -> None:
        """Log refusals, at most once a minute, and forget old requests; to be called several times a second."""
        if self._unreported and self._log_throttle.is_due(now):
            self._log.warn(
                "the access rules have refused {count} commands since the last such line; the last: {what}",
                count=self._unreported,
                what=self._last_refusal,
            )
            self._unreported = 0
        if now - self._forgot_at >= MEMORY_SECONDS:
            self._forgot_at = now
            for answers in list(self._answers.values()):
                answers.forget_old()

    # Checks of commands; the session has rights

    def _may_ask(self, client: Client, command: mlm.ServiceSend) -> bool:
        permitted = client.permitted
        assert permitted is not None
        address = command.address
        if address in permitted.services or address in self._own_services:
            return True
        if permitted.may_ask(address, command.subject):
            return True
        return self._refuse(client, Verb.ASK, address, command.tracker, command.subject)

    def _may_send(self, client: Client, command: mlm.MailboxSend) -> bool:
        permitted, answers = client.permitted, client.answers
        assert permitted is not None
        address = command.address
        if address in permitted.mailboxes or permitted.may_send(address):
            return True
        if answers is not None and answers.may_send(address):
            return True
        return self._refuse(client, Verb.SEND, address, command.tracker)

    def _may_offer(self, client: Client, command: mlm.ServiceOffer) -> bool:
        return self._may_set_up(client, Verb.OFFER, command.address)

    def _may_read(self, client: Client, command: mlm.StreamRead | mlm.StreamReplay) -> bool:
        return self._may_set_up(client, Verb.READ, command.stream)

    def _may_write(self, client: Client, command: mlm.StreamWrite) -> bool:
        # Selected in any case: what follows must not go to the stream before.
        client.stream = command.stream
        client.is_write_refused = not self._may_set_up(client, Verb.WRITE, command.stream)
        return not client.is_write_refused

    def _may_publish(self, client: Client, _command: mlm.StreamSend) -> bool:
        return not client.is_write_refused or self._refuse(client, Verb.WRITE, client.stream or b"", b"")

    def _may_set_up(self, client: Client, verb: Verb, name: bytes) -> bool:
        permitted = client.permitted
        assert permitted is not None
        if permitted.rights.may(verb, name):
            return True
        self._miss(client, verb, name)
        if client.is_plain and not client.has_properties:
            # As for a bad pattern: a C client would end.
            client.send(mlm.Ok(errors.SUCCESS, b""))
        else:
            client.send(mlm.Error(errors.ACCESS_REFUSED, refusal(client.user, verb, name)))
        return False

    def _refuse(self, client: Client, verb: Verb, name: bytes, tracker: bytes, subject: bytes = b"") -> bool:
        self._note(client.user, verb, name, subject)
        if tracker and not client.is_plain:
            client.send(mlm.Confirm(tracker, errors.ACCESS_REFUSED, refusal(client.user, verb, name, subject)))
        return False

    def _note(self, user: bytes | None, verb: Verb, name: bytes, subject: bytes = b"") -> None:
        self._counters.access_refused += 1
        self._unreported += 1
        self._last_refusal = refusal(user, verb, name, subject).decode()

    def _miss(self, client: Client, verb: Verb, name: bytes) -> None:
        self._note(client.user, verb, name)
        if verb in (Verb.OFFER, Verb.READ) and len(client.missed) < MOST_REMEMBERED:
            client.missed.add((verb, name))


def refusal(user: bytes | None, verb: Verb, name: bytes, subject: bytes = b"") -> bytes:
    """Return the reason of a refusal, of at most 255 octets."""
    words = f"user {_shown(user or ANONYMOUS.encode())} may not {verb.value} {_shown(name)} {_shown(subject)}".rstrip()
    return words.encode("ascii", "backslashreplace")[: mlm.MAX_STRING_OCTETS]


def _shown(name: bytes) -> str:
    text = printable(name)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
