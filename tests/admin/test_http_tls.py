"""HTTPS, with certificates of clients; skipped without the extra ``tls``."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from alaska.admin.http.pages import Contents
from alaska.admin.http.service import Endpoint, HTTPService
from alaska.admin.http.tls import Files
from alaska.endpoints import TCP
from alaska.errors import ConfigurationError
from alaska.interfaces import Reactor
from tests.config.texts import broker

try:
    import OpenSSL as OpenSSL  # noqa: PLC0414
    import service_identity as service_identity  # noqa: PLC0414
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    MISSING = ""
except ImportError as error:
    MISSING = f"without the extra tls: {error}"

reactor = cast("Reactor", global_reactor)


def make(folder: Path, name: str, issuer: Any = None) -> tuple[Any, Any]:
    """Write a certificate and its key, signed by an issuer or by itself; return both."""
    key: Any = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(
        issuer[0].subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(days=1),
        now + timedelta(days=1),
    ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(text)
    return certificate, key


class TLSTests(TestCase):
    """An endpoint with TLS."""

    timeout = 20

    def setUp(self) -> None:
        if MISSING:
            raise SkipTest(MISSING)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        authority = make(self.folder, "authority")
        for name in ("server", "ann"):
            make(self.folder, name, authority)
        make(self.folder, "eve")
        tokens = self.folder / "tokens"
        tokens.write_text("ann operate certificate\n")
        files = Files(self.path("server.pem"), self.path("server.key"))
        self.endpoint = Endpoint(TCP("127.0.0.1", 0), is_local=True, is_open=False, tokens=tokens, tls=files)

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / name

    def serve(self, endpoint: Endpoint) -> int:
        """Serve the endpoint, and return its port."""
        service = HTTPService(reactor, endpoint, Contents().pages)
        service.startService()
        self.addCleanup(service.stopService)
        assert service.bound is not None
        return int(service.bound.rpartition(":")[2])

    def ask(self, port: int, path: str, name: str = "") -> Deferred[tuple[int, bytes]]:
        """Ask with the certificate of this name, and return status and body."""
        context = ssl.create_default_context(cafile=str(self.path("authority.pem")))
        context.check_hostname = False
        if name:
            context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))

        def blocking() -> tuple[int, bytes]:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return deferToThread(blocking)

    def test_https(self) -> Deferred[None]:
        """With a certificate, the endpoint is served by TLS."""

        async def test() -> None:
            port = self.serve(self.endpoint)
            self.assertEqual(await self.ask(port, "/livez"), (200, b"ok\n"))
            self.assertEqual((await self.ask(port, "/readyz"))[0], 401)

        return ensureDeferred(test())

    def test_client_certificates(self) -> Deferred[None]:
        """A client with a certificate of the authority is its user; others are not connected."""

        async def test() -> None:
            assert self.endpoint.tls is not None
            files = replace(self.endpoint.tls, authority=self.path("authority.pem"))
            port = self.serve(replace(self.endpoint, tls=files))
            answer = await self.ask(port, "/api/v1/session", "ann")
            self.assertEqual(answer, (200, b'{"user":"ann","role":"operate"}'))
            answer = await self.ask(port, "/api/v1/session", "server")
            self.assertEqual(answer, (200, b'{"user":"server","role":"view"}'))
            for name in ("", "eve"):
                with self.assertRaises((ssl.SSLError, OSError)):
                    await self.ask(port, "/livez", name)

        return ensureDeferred(test())

    def test_reloaded(self) -> Deferred[None]:
        """A certificate that has been replaced is used for new connections; one that cannot be used changes nothing."""

        async def test() -> None:
            service = HTTPService(reactor, self.endpoint, Contents().pages)
            service.startService()
            self.addCleanup(service.stopService)
            port = int((service.bound or "").rpartition(":")[2])
            self.assertIsNone(service.prepare(None))
            make(self.folder, "server")
            self.path("authority.pem").write_bytes(self.path("server.pem").read_bytes())
            with self.assertRaises(ssl.SSLError):
                await self.ask(port, "/livez")
            change = service.prepare(None)
            assert change is not None
            change.apply()
            self.assertEqual(change.sentences, ("the certificate in http/tls has changed",))
            self.assertEqual(await self.ask(port, "/livez"), (200, b"ok\n"))
            self.path("server.key").write_text("x")
            self.assertRaises(ConfigurationError, service.prepare, None)
            self.assertEqual(await self.ask(port, "/livez"), (200, b"ok\n"))

        return ensureDeferred(test())

    def test_bad_files(self) -> None:
        """Files that cannot be used prevent the start."""
        assert self.endpoint.tls is not None
        for files in (
            replace(self.endpoint.tls, key=self.path("ann.key")),
            replace(self.endpoint.tls, certificate=self.path("server.key")),
            replace(self.endpoint.tls, authority=self.path("tokens")),
            replace(self.endpoint.tls, key=self.path("missing")),
        ):
            service = HTTPService(reactor, replace(self.endpoint, tls=files), Contents().pages)
            self.assertRaises(ConfigurationError, service.startService)

    def test_settings(self) -> None:
        """A certificate needs its key, certificates of clients need both, and replace the file of tokens."""
        public = "http\n    endpoint = tcp://0.0.0.0:9998\n"
        for text in (
            f"{public}    tls\n        certificate = c\n        key = k\n",
            f"{public}    tokens = t\n    tls\n        certificate = c\n",
            f"{public}    tls\n        clients = a\n",
        ):
            self.assertRaises(ConfigurationError, broker, text)
        settings = broker(f"{public}    tls\n        certificate = c\n        key = k\n        clients = a\n")
        self.assertEqual(settings.warnings(), [])
        endpoint = Endpoint.of(settings)
        assert endpoint is not None
        self.assertEqual(endpoint.tls, Files(Path("c"), Path("k"), Path("a")))
