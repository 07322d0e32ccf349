"""Compiles the patterns of readers and offers, and tells a client if it cannot have one."""

from __future__ import annotations

from twisted.logger import Logger

from alaska import errors
from alaska.broker.clients import Client
from alaska.broker.counters import Counters
from alaska.broker.pattern_limits import PatternKey, PatternLimits
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern, compile_pattern
from alaska.system.events import should_log


class PatternAdmission:
    """Admits patterns within the limits."""

    _log = Logger()

    def __init__(self, limits: PatternLimits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters

    def admit(self, client: Client, key: PatternKey) -> Pattern | None:
        """Compile a pattern and check the limits.

        If the pattern is invalid, a limit is reached, or the client has lost its address, send ERROR and return None.
        A plain client gets OK even then, since it cannot handle an error here.
        """
        try:
            if client.is_replaced:
                raise errors.Refused("a newer client has its address", errors.RESOURCE_LOCKED)
            pattern = compile_pattern(key.pattern)
            self._limits.add(client, key)
            return pattern
        except (errors.PatternError, errors.Refused) as error:
            self.refuse(client, error, is_quiet=client.is_plain)
        return None

    def refuse(self, client: Client, refusal: errors.AlaskaError, *, is_quiet: bool = False) -> None:
        """Refuse a setup command: send ERROR, or OK to a client that cannot handle an error here (``is_quiet``)."""
        self._counters.refused += 1
        client.refusals += 1
        if should_log(client.refusals):
            self._log.warn(
                "{client.name} is refused ({count} times so far): {refusal}",
                client=client, count=client.refusals, refusal=refusal,
            )  # fmt: skip
        if is_quiet:
            client.send(mlm.Ok(errors.SUCCESS, b""))
        else:
            client.send(mlm.Error(refusal.status, str(refusal).encode()[: mlm.MAX_STRING_OCTETS]))
