"""What a broker shows and does by HTTP."""

from __future__ import annotations

from collections.abc import Callable

from alaska.access import Level, Verb
from alaska.admin.http.backup import backup_routes
from alaska.admin.http.pages import Access, Contents
from alaska.authentication import Mechanism
from alaska.broker.administration import Served
from alaska.broker.details import details
from alaska.broker.service import BrokerService
from alaska.config import BrokerSettings
from alaska.interfaces import INetwork


def add_broker(
    contents: Contents, service: BrokerService, settings: BrokerSettings, make_network: Callable[[], INetwork]
) -> None:
    """Add a broker to what a process shows and does."""
    contents.ready.append(service.readiness)
    contents.warnings.append(service.warnings)
    contents.decide, contents.is_valid = service.decide, service.is_valid
    contents.metrics.append(service.figures)
    contents.details.update(details(service.administration))
    served = Served(service.administration)
    contents.administered.append(("/api/v1", served))
    contents.routes += backup_routes("/api/v1", served.backup)
    rules = HTTPRules(service, needs_login=Mechanism.NULL not in settings.mechanisms)
    contents.access = Access(settings.endpoints[0], make_network, rules.may, rules.may_administer, service)


class HTTPRules:
    """The access rules of a broker, for users of HTTP. Who has not logged in has no name, and is ``anonymous``.

    The broker itself does not check what comes from its own process. With ``needs_login``, it accepts no clients that
    have not logged in, so that they can read no streams by HTTP either.
    """

    def __init__(self, service: BrokerService, needs_login: bool) -> None:
        self._service = service
        self._needs_login = needs_login

    def may(self, user: str, verb: str, name: bytes, subject: bytes, /) -> bool:
        """Return whether a user may do this, and count a refusal; see :class:`alaska.admin.http.messages.May`."""
        if self._needs_login and not user:
            return False
        broker = self._service.broker
        return broker is None or broker.access.allows(_octets(user), Verb(verb), name, subject)

    def may_administer(self, user: str, level: Level) -> bool:
        """Return whether a user may do what needs a level of ``admin``, and count a refusal."""
        broker = self._service.broker
        return broker is None or broker.access.allows(_octets(user), Verb.ADMIN, level.name.lower().encode())


def _octets(user: str) -> bytes:
    return user.encode("utf-8", "surrogateescape")
