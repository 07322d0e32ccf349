"""Every argument of every method of all clients: one of a wrong type is refused at the call, by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska import aio, sync
from alaska.client import Client, Delivery
from alaska.interfaces import Reactor
from alaska.messaging.terms import SendTerms
from alaska.mlm import commands as mlm
from alaska.testing import MemoryNetwork, ScriptedBroker

ENDPOINT = "tcp://broker"
WRONG: tuple[Any, ...] = (object(), 1.5j, [object()], {1: 2})
"""No argument may be any of these."""
MAIL = Delivery(mlm.MailboxDeliver(b"s", b"me", b"job", b"t", ()), 1)
NEEDED: dict[str, tuple[Any, ...]] = {
    "publish": ("s", "job", "x"),
    "send": ("job", "x"),
    "send_to": ("box", "job", "x"),
    "mail": ("box", "job", "x"),
    "send_for": ("svc", "job", "x"),
    "track_to": ("box", "job", "x"),
    "track_for": ("svc", "job", "x"),
    "ask": ("svc", "job", "x"),
    "request": ("svc", "job", "x"),
    "letters": ("list",),
    "confirm": (MAIL,),
    "give_credit": (1,),
    "report_progress": (MAIL, 0.5, "x"),
    "confirm_tracker": ("t", 200, "x", 1),
    "produce": ("s",),
    "cancel": ("s",),
    "consume": ("s",),
    "replay": ("s",),
    "next_position": ("s",),
    "offer": ("svc",),
    "tail": ("s",),
    "service": ("svc",),
    "cancel_message": (),
    "hurry_message": (),
    "inbox": (),
    "connect": (),
    "close": (),
    "flush": (),
    "run": (),
    "tell_broker": ("x", b"x"),
    "answer_mail": (MAIL, b"x"),
}
"""Valid arguments of all methods."""
OTHERS: dict[str, dict[str, Any]] = {"cancel_message": {"tracker": "t"}, "hurry_message": {"tracker": "t"}}
NOT_FOR_PROGRAMS = {
    *("delivered", "confirmed", "opened", "interrupted", "closed", "answered", "proven", "transmit", "refused_again"),
    *(
        "refused_unasked",
        "reader_started",
        "write_refused",
        "send_progress",
        "confirm_valid",
        "ask_command",
        "stop",
        "check_confirmation",
    ),
}
"""Callbacks of the state machine, and what the worker of Alaska uses."""
UNCHECKED = {
    ("confirm_tracker", "session"),
    ("confirm_tracker", "lease"),
    ("confirm_tracker", "again"),
    ("tell_broker", "content"),
    ("answer_mail", "content"),
    ("answer_mail", "delivery"),
    ("tell_broker", "subject"),
}
"""What only Alaska's own programs call."""


def calls(client: type) -> Iterator[tuple[str, str, tuple[Any, ...], dict[str, Any]]]:
    """Yield the methods of a client with arguments of which one is wrong, after the name of that one."""
    for name, method in inspect.getmembers(client, inspect.isfunction):
        if name.startswith("_") or name in NOT_FOR_PROGRAMS:
            continue
        needed, others = NEEDED[name], OTHERS.get(name, {})
        parameters = [each for each in inspect.signature(method).parameters.values() if each.name != "self"]
        names = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
        for parameter in parameters:
            for wrong in WRONG:
                if (name, parameter.name) in UNCHECKED:
                    continue
                if parameter.kind is parameter.VAR_POSITIONAL:
                    yield name, parameter.name, (*needed[:-1], wrong), others
                elif parameter.kind is parameter.VAR_KEYWORD:
                    for term in SendTerms.__annotations__ if name != "letters" else ("after",):
                        yield name, term, needed, {**others, term: wrong}
                elif parameter.name in names[: len(needed)]:
                    at = names.index(parameter.name)
                    yield name, parameter.name, (*needed[:at], wrong, *needed[at + 1 :]), others
                else:
                    yield name, parameter.name, needed, {**others, parameter.name: wrong}


class ArgumentTests(SynchronousTestCase):
    """Arguments of wrong types."""

    def check_all(self, client: Any) -> None:
        """Check that every method of a client refuses every wrong argument."""
        accepted = []
        for name, argument, needed, others in calls(type(client)):
            try:
                result = getattr(client, name)(*needed, **others)
                if inspect.iscoroutine(result):
                    result.close()
            except (TypeError, ValueError) as error:
                if argument not in str(error) and argument.removesuffix("s") not in str(error):
                    accepted.append(f"{name}({argument}) does not name it: {error}")
                continue
            except Exception as error:
                accepted.append(f"{name}({argument}) raises {error!r}")
                continue
            accepted.append(f"{name}({argument}) accepts {others or needed!r}")
        if accepted:
            self.fail("\n".join(sorted(set(accepted))))

    def test_twisted(self) -> None:
        """The client for Twisted sends, buffers and waits for nothing then."""
        network, clock = MemoryNetwork(), Clock()
        broker = ScriptedBroker(network, ENDPOINT)
        client = Client(ENDPOINT, "me", network=network, reactor=cast("Reactor", clock), credit=1)
        client.connect()
        network.run()
        broker.send(mlm.Ok(200, b"alaska/1 credit confirm replay batch properties admin readers bindings progress"))
        client.produce("s")
        network.run()
        broker.take()
        self.check_all(client)
        network.run()
        self.assertEqual((broker.take(), client.unproven, client._trackers.take_pending()), ([], 0, []))

    def test_asyncio(self) -> None:
        """The client for asyncio refuses it at the call, before anything is awaited."""
        self.check_all(aio.Client(ENDPOINT))

    def test_blocking(self) -> None:
        """The blocking client refuses it, whether it is connected or not."""
        self.check_all(sync.Client(ENDPOINT))

    def test_constructors(self) -> None:
        """The constructors check their arguments, too."""
        makers: list[Callable[..., Any]] = [aio.Client, sync.Client]
        for make in makers:
            for name in inspect.signature(make).parameters:
                if name == "network":
                    continue
                for wrong in WRONG:
                    with self.assertRaises((TypeError, ValueError)) as raised:
                        make(**{"endpoint": ENDPOINT, name: wrong})
                    self.assertIn(name, str(raised.exception))
