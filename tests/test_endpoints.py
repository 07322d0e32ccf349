"""Parsing of endpoints."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.endpoints import TCP, network_of, tcp


class EndpointTests(SynchronousTestCase):
    """Endpoints and their parts."""

    def test_parts(self) -> None:
        """A TCP endpoint has a host, a port, and an IP version if the host is an address; others have no parts."""
        for text, host, port, version in (
            ("tcp://127.0.0.1:9999", "127.0.0.1", 9999, 4),
            ("tcp://*:*", "*", 0, 4),
            ("tcp://0.0.0.0:0", "0.0.0.0", 0, 4),
            ("tcp://[::1]:9999", "::1", 9999, 6),
            ("tcp://[::]:*", "::", 0, 6),
            ("tcp://::1:9999", "::1", 9999, 6),
            ("tcp://[fe80::1%eth0]:1", "fe80::1%eth0", 1, 6),
            ("tcp://[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1, 6),
            ("tcp://eth0:65535", "eth0", 65535, None),
            ("tcp://broker.example:1", "broker.example", 1, None),
        ):
            found = tcp(text)
            assert found is not None
            self.assertEqual((found.host, found.port, found.version), (host, port, version))
        for text in ("ipc://path with blanks", "ipc://@abstract", "inproc://a:1"):
            self.assertIs(tcp(text), None)

    def test_none(self) -> None:
        """An invalid endpoint is refused."""
        for text in (
            "",
            "tcp://",
            "tcp://host",
            "tcp://:1",
            "tcp://host:65536",
            "tcp://host:99999999999",
            "tcp://host:x",
            "tcp://a b:1",
            "tcp://[::1:1",
            "tcp://::1]:1",
            "tcp://[]:1",
            "tcp://[127.0.0.1]:1",
            "tcp://[host]:1",
            "udp://host:1",
            "ipc://",
        ):
            self.assertRaises(ValueError, tcp, text)

    def test_text(self) -> None:
        """An endpoint is written with brackets around an IPv6 address, and with its source address."""
        for text in ("tcp://[::1]:1", "tcp://h:*", "tcp://10.0.0.1:0;10.0.0.2:5"):
            self.assertEqual(str(tcp(text)), text)
        self.assertEqual(str(tcp("tcp://::1:1")), "tcp://[::1]:1")

    def test_to_connect(self) -> None:
        """To connect, a wildcard becomes the loopback address, and an interface its address."""
        for host, reached in (
            ("*", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("10.1.2.3", "10.1.2.3"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("eth0", "10.0.0.7"),
            ("broker", "broker"),
        ):
            self.assertEqual(TCP(host, 1).to_connect({"eth0": "10.0.0.7"}.get), TCP(reached, 1))


class NetworkTests(SynchronousTestCase):
    """What the addresses of one client have in common."""

    def test_network_of(self) -> None:
        """An IPv6 address is shown by its network, and an IPv4 address in IPv6 as itself."""
        self.assertEqual(network_of("2001:db8::1"), network_of("2001:db8::2%eth0"))
        self.assertNotEqual(network_of("2001:db8:0:1::1"), network_of("2001:db8::2"))
        self.assertEqual(network_of("::ffff:10.0.0.1"), "10.0.0.1")
        self.assertEqual(network_of(""), "")
