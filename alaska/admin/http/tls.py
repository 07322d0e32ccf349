"""HTTPS: TLS with the libraries of the extra ``tls``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocolFactory, ISSLTransport

from alaska.admin.http.site import Site
from alaska.errors import ConfigurationError

_FILETYPE_PEM = 1
"""As in OpenSSL."""
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Files:
    """The files of the certificate and its chain, of its key, and of the authorities for certificates of clients."""

    certificate: Path
    key: Path
    authority: Path | None = None

    def digest(self) -> bytes:
        """Return a hash of what the files have now."""
        found = hashlib.sha256()
        for path in (self.certificate, self.key, self.authority):
            found.update(b"" if path is None else hashlib.sha256(path.read_bytes()).digest())
        return found.digest()


def secured(site: Site, files: Files) -> IProtocolFactory:
    """Return a factory that serves a site by TLS 1.2 and newer, and not by HTTP/2.

    :raises ConfigurationError: a file cannot be used, or the extra ``tls`` is not installed.
    """
    context = context_of(files)
    from twisted.protocols.tls import TLSMemoryBIOFactory  # noqa: PLC0415  # an extra

    class Secured(TLSMemoryBIOFactory):
        """Makes no connection if the site makes none."""

        noisy = False

        def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: N802, ANN401
            channel = site.buildProtocol(addr)
            return None if channel is None else self.protocol(self, channel)

    secured: IProtocolFactory = Secured(context, False, site)
    return secured


def context_of(files: Files) -> Any:  # noqa: ANN401  # of an extra
    """Return the options of TLS for these files.

    :raises ConfigurationError: a file cannot be used, or the extra ``tls`` is not installed.
    """
    try:
        from twisted.internet import ssl  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise ConfigurationError(f"http/tls needs the extra tls (pip install 'alaska-workers[tls]'): {error}") from None
    try:
        own, *chain = [ssl.Certificate.loadPEM(block).original for block in _blocks(files.certificate)]
        key = ssl.KeyPair.load(files.key.read_bytes(), _FILETYPE_PEM).original
        authorities = [] if files.authority is None else list(map(ssl.Certificate.loadPEM, _blocks(files.authority)))
        context = ssl.CertificateOptions(
            privateKey=key,
            certificate=own,
            extraCertChain=chain,
            trustRoot=ssl.trustRootFromCertificates(authorities) if authorities else None,
            raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
            acceptableProtocols=[b"http/1.1"],
        )
        context.getContext()
    except Exception as error:  # OpenSSL has many, and each means the same.
        raise ConfigurationError(f"http/tls: the files cannot be used: {error or type(error).__name__}") from error
    return context


def _blocks(path: Path) -> Iterable[bytes]:
    found = _BLOCK.findall(path.read_bytes())
    if not found:
        raise ValueError(f"{path} has no certificate")
    return found


def certificate_name(transport: object) -> str:
    """Return the common name in the client's certificate, which TLS has checked; empty without one."""
    secure: Any = ISSLTransport(transport, None)
    certificate = secure.getPeerCertificate() if secure is not None else None
    return str(certificate.get_subject().commonName or "") if certificate is not None else ""
