"""The settings of HTTP, which worker and broker have in common (docs/http.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from alaska.config.entries import setting
from alaska.config.kinds import FLAG, HTTP_ENDPOINT, PATH, WORDS, number
from alaska.endpoints import tcp

DEFAULT_HTTP_ENDPOINT: Final = "tcp://127.0.0.1:9998"
PATHS = ("http",)


class HTTPSettings(Protocol):
    """What the settings of worker and broker have in common."""

    @property
    def http_endpoint(self) -> str | None:
        """The endpoint; None: no HTTP."""

    @property
    def http_tokens(self) -> Path | None:
        """The file of tokens."""

    @property
    def http_hosts(self) -> tuple[str, ...]:
        """Further host names."""

    @property
    def http_anonymous(self) -> bool:
        """Whether programs on this machine may read without a token."""

    @property
    def http_connections(self) -> int:
        """The maximum number of connections."""

    @property
    def http_size_limit(self) -> int:
        """The maximum size of a body."""

    @property
    def http_certificate(self) -> Path | None:
        """The file of the TLS certificate and its chain."""

    @property
    def http_key(self) -> Path | None:
        """The file of the certificate's private key."""

    @property
    def http_authority(self) -> Path | None:
        """The file of the authorities that sign the certificates of clients."""


# Each of these declares one setting, for a class of settings.


def endpoint() -> str | None:
    """Declare ``http/endpoint``."""
    return setting(
        "http/endpoint",
        HTTP_ENDPOINT,
        None,
        "Endpoint for HTTP: health, metrics, API, and requests by HTTP (docs/http.md); without it there is none.",
        created=DEFAULT_HTTP_ENDPOINT,
    )


def tokens() -> Path | None:
    """Declare ``http/tokens``."""
    return setting(
        "http/tokens", PATH, None, "File of the tokens with which programs may use HTTP, and of their roles."
    )


def hosts() -> tuple[str, ...]:
    """Declare ``http/hosts``."""
    return setting(
        "http/hosts",
        WORDS,
        "",
        "Further host names by which HTTP may be used, such as that of a reverse proxy.",
    )


def anonymous() -> bool:
    """Declare ``http/anonymous``."""
    return setting(
        "http/anonymous",
        FLAG,
        "1",
        "Let programs on this machine read by HTTP without a token, if the endpoint is on loopback.",
    )


def connections() -> int:
    """Declare ``http/connections``."""
    return setting("http/connections", number(1, 65535), "200", "Maximum number of HTTP connections.")


def size_limit() -> int:
    """Declare ``http/size-limit``."""
    return setting(
        "http/size-limit", number(1024, 2**30, "octets"), "8388608", "Maximum size of the body of a request by HTTP."
    )


def certificate() -> Path | None:
    """Declare ``http/tls/certificate``."""
    return setting("http/tls/certificate", PATH, None, "PEM file of the certificate for HTTPS, followed by its chain.")


def key() -> Path | None:
    """Declare ``http/tls/key``."""
    return setting("http/tls/key", PATH, None, "PEM file of the private key of the certificate.")


def authority() -> Path | None:
    """Declare ``http/tls/clients``."""
    doc = "PEM file of the authorities that sign the certificates of clients; with it, each client needs one."
    return setting("http/tls/clients", PATH, None, doc)


def is_loopback(endpoint: str) -> bool:
    """Return whether only programs on this machine can connect to an endpoint."""
    parts = tcp(endpoint)
    return parts is None or parts.is_loopback


def conflicts(settings: HTTPSettings) -> list[str]:
    """Return a sentence for each combination of settings that prevents the program from starting."""
    endpoint, found = settings.http_endpoint, []
    if endpoint is None:
        return []
    if not is_loopback(endpoint) and settings.http_tokens is None and settings.http_authority is None:
        found.append(
            f"http/endpoint: other machines can connect to {endpoint}, and nobody would need a token: name a file of "
            "tokens as http/tokens, or use a loopback address such as tcp://127.0.0.1:9998 (docs/http.md)"
        )
    if (settings.http_certificate is None) != (settings.http_key is None):
        found.append("http/tls/certificate and http/tls/key are needed together")
    if settings.http_authority is not None and settings.http_certificate is None:
        found.append("http/tls/clients needs http/tls/certificate and http/tls/key")
    return found


def warnings(settings: HTTPSettings) -> list[str]:
    """Return a sentence for an endpoint on which tokens can be overheard."""
    if settings.http_endpoint is None or is_loopback(settings.http_endpoint) or settings.http_certificate is not None:
        return []
    return [
        f"http/endpoint: tokens and messages cross the network to {settings.http_endpoint} without encryption; set "
        "http/tls/certificate, or put a reverse proxy with TLS before it (docs/http.md)"
    ]


def missing_files(settings: HTTPSettings, folder: Path) -> list[str]:
    """Return a sentence for each file that is named and cannot be read."""
    if settings.http_endpoint is None:
        return []
    named = {
        "http/tokens": settings.http_tokens,
        "http/tls/certificate": settings.http_certificate,
        "http/tls/key": settings.http_key,
        "http/tls/clients": settings.http_authority,
    }
    found = []
    for name, path in named.items():
        if path is None:
            continue
        try:
            (folder / path).open("rb").close()
        except OSError as error:
            found.append(f"{name}: the file {folder / path} cannot be read: {error.strerror}")
    return found
