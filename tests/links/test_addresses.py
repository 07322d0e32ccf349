"""Links over IPv4 and IPv6, by address, wildcard, interface and name."""

from __future__ import annotations

import socket
from threading import Event
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, TestCase

from alaska.endpoints import TCP, tcp
from alaska.errors import BadEndpoint, CannotBind
from alaska.interfaces import LinkState, Reactor
from alaska.links import Network
from alaska.sockets import addresses
from alaska.sockets.addresses import LookUp, families_of, of_interface, version_of

reactor = cast("Reactor", global_reactor)


def needs_ipv6() -> None:
    """Skip the test on a machine without an IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise SkipTest(f"this machine has no IPv6: {error}") from None


def loopback() -> str:
    """Return the name of the loopback interface, by its address."""
    for _, name in socket.if_nameindex():
        if of_interface(name) == "127.0.0.1":
            return name
    raise SkipTest("this machine has no loopback interface")


class AddressCase(TestCase):
    """A router and a dealer, each with its own endpoint."""

    timeout = 20

    def network(self, look_up: LookUp = families_of) -> Network:
        """Return a network that is closed after the test."""
        network = Network(reactor, None, look_up)
        self.addCleanup(network.close)
        return network

    def serve(self, *endpoints: str) -> list[int]:
        """Bind a router to endpoints; return the ports that the system chose."""
        router = self.network().router(endpoints)
        router.start(lambda _peer, _frames: None, lambda _peer, _is_full: None)
        found = [tcp(endpoint) for endpoint in router.bound]
        return [parts.port for parts in found if parts is not None]

    def up(self, endpoint: str, look_up: LookUp = families_of) -> Deferred[LinkState]:
        """Connect; the Deferred fires with the first state of the link."""
        first: Deferred[LinkState] = Deferred()
        link = self.network(look_up).dealer(endpoint)
        link.start(lambda _frames: None, lambda state: None if first.called else first.callback(state))
        return first


class VersionTests(AddressCase):
    """IPv4 and IPv6 addresses."""

    async def test_ipv4(self) -> None:
        """A router can be bound to an IPv4 address, and a dealer can connect to it."""
        (port,) = self.serve("tcp://127.0.0.1:*")
        self.assertEqual(await self.up(f"tcp://127.0.0.1:{port}"), LinkState.UP)

    async def test_ipv6(self) -> None:
        """A router can be bound to an IPv6 address, and a dealer can connect to it, with or without brackets."""
        needs_ipv6()
        (port,) = self.serve("tcp://[::1]:*")
        self.assertEqual(await self.up(f"tcp://[::1]:{port}"), LinkState.UP)
        self.assertEqual(await self.up(f"tcp://::1:{port}"), LinkState.UP)

    async def test_both(self) -> None:
        """One router serves IPv4 and IPv6 addresses, in any order."""
        needs_ipv6()
        first, second, third = self.serve("tcp://127.0.0.1:*", "tcp://[::1]:*", "tcp://127.0.0.1:0")
        for endpoint in (f"tcp://127.0.0.1:{first}", f"tcp://[::1]:{second}", f"tcp://127.0.0.1:{third}"):
            self.assertEqual(await self.up(endpoint), LinkState.UP)

    async def test_wildcards(self) -> None:
        """A dealer that connects to a wildcard connects to the loopback address; the IPv6 wildcard accepts IPv4 too."""
        needs_ipv6()
        (port,) = self.serve("tcp://[::]:*")
        for host in ("[::]", "[::1]", "127.0.0.1", "*", "0.0.0.0"):
            self.assertEqual(await self.up(f"tcp://{host}:{port}"), LinkState.UP)
        (port,) = self.serve("tcp://*:*")
        for host in ("*", "0.0.0.0", "127.0.0.1"):
            self.assertEqual(await self.up(f"tcp://{host}:{port}"), LinkState.UP)

    async def test_interface(self) -> None:
        """Router and dealer accept an interface's name instead of its address."""
        name = loopback()
        (port,) = self.serve(f"tcp://{name}:*")
        self.assertEqual(await self.up(f"tcp://{name}:{port}"), LinkState.UP)
        self.assertEqual(await self.up(f"tcp://127.0.0.1:{port}"), LinkState.UP)

    def test_cannot_serve(self) -> None:
        """Binding to an address or interface that this machine does not have fails with an error that names it."""
        for endpoint in ("tcp://192.0.2.1:1", "tcp://[2001:db8::1]:1", "tcp://nosuch0:1"):
            error = self.assertRaises(CannotBind, self.serve, endpoint)
            self.assertIn(endpoint, str(error))
            self.assertFalse(error.is_taken)

    def test_cannot_connect(self) -> None:
        """A dealer refuses an endpoint with a wildcard port or an invalid one."""
        for endpoint in ("tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "tcp://127.0.0.1:70000", "tcp://[::1:9"):
            self.assertRaises(BadEndpoint, self.up, endpoint)


class NameTests(AddressCase):
    """Host names."""

    async def test_ipv4(self) -> None:
        """A host name with IPv4 and IPv6 addresses is connected to over IPv4."""
        (port,) = self.serve("tcp://localhost:*")
        both: set[int] = {socket.AF_INET, socket.AF_INET6}
        self.assertEqual(await self.up(f"tcp://localhost:{port}", lambda _name: both), LinkState.UP)

    async def test_ipv6(self) -> None:
        """A host name with only IPv6 addresses is connected to over IPv6."""
        needs_ipv6()
        self.assertEqual(version_of({socket.AF_INET6}), 6)
        # The address is treated as a name, since this machine may have no name with an IPv6 address.
        self.patch(TCP, "version", None)
        (port,) = self.serve("tcp://[::1]:*")
        self.assertEqual(await self.up(f"tcp://[::1]:{port}", lambda _name: {socket.AF_INET6}), LinkState.UP)

    async def test_known_later(self) -> None:
        """A host name that cannot be resolved yet is looked up again until it can."""
        self.patch(addresses, "LOOKUP_RETRY_SECONDS", 0.001)
        (port,) = self.serve("tcp://127.0.0.1:*")
        failures: list[type[Exception]] = [socket.gaierror, UnicodeError]

        def look_up(_name: str) -> set[int]:
            if failures:
                raise failures.pop()
            return {socket.AF_INET}

        self.assertEqual(await self.up(f"tcp://localhost:{port}", look_up), LinkState.UP)
        self.assertEqual(failures, [])

    async def test_closed_meanwhile(self) -> None:
        """A link that is closed while its host name is resolved does not connect."""
        begun, go_on = Event(), Event()

        def look_up(_name: str) -> set[int]:
            begun.set()
            go_on.wait(10)
            return {socket.AF_INET}

        link = self.network(look_up).dealer("tcp://localhost:1")
        link.start(lambda _frames: None, lambda _state: None)
        begun.wait(10)
        link.close()
        passed: Deferred[None] = Deferred()
        go_on.set()
        # Give the thread time to call the reactor.
        reactor.callLater(0.05, passed.callback, None)
        await passed
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_localhost(self) -> None:
        """``localhost`` has an IPv4 or an IPv6 address."""
        self.assertTrue(families_of("localhost") & {socket.AF_INET, socket.AF_INET6})
