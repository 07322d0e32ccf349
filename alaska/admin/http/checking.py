"""Check the files of an HTTP endpoint without serving it."""

from __future__ import annotations

from pathlib import Path

from alaska.admin.http.tls import Files, context_of
from alaska.admin.http.users import MAX_FILE_OCTETS, parse
from alaska.config.http import HTTPSettings
from alaska.errors import ConfigurationError


def problems(settings: HTTPSettings, folder: Path) -> list[str]:
    """Return a sentence for each fault in the content of files that can be read; paths are relative to a folder."""
    if settings.http_endpoint is None:
        return []
    found: list[str] = []
    tokens = settings.http_tokens
    if tokens is not None and (folder / tokens).is_file():
        found += [f"http/tokens: {folder / tokens}: {fault}" for fault in _faults_of_tokens(folder / tokens)]
    certificate, key, authority = settings.http_certificate, settings.http_key, settings.http_authority
    if certificate is not None and key is not None:
        files = Files(folder / certificate, folder / key, None if authority is None else folder / authority)
        if all(path.is_file() for path in (files.certificate, files.key, files.authority) if path is not None):
            try:
                context_of(files)
            except ConfigurationError as error:
                found.append(f"http/tls/certificate: {error}")
    return found


def _faults_of_tokens(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_OCTETS + 1)
    except OSError:
        return []  # That is said elsewhere.
    if len(text) > MAX_FILE_OCTETS:
        return [f"it has more than {MAX_FILE_OCTETS} octets"]
    return parse(text.decode("utf-8", "replace"))[1]
