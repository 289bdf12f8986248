"""Certificates and keys out of PEM files, checked before they are used."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Verify = Literal["never", "optional", "required"]
"""Whether a peer that connects to us must show a certificate."""


class TLSError(Exception):
    """A file that cannot be used. `key` is that of the configuration: certificate, key or ca."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Files:
    """Which files. ca: whom we believe; None: whom the system believes. certificate: with those between it and the root."""

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What we show of ourselves: the certificate, those that vouch for it, and its key."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes

    @property
    def expires(self) -> datetime.datetime:
        return self.certificate.not_valid_after_utc


def load_identity(files: Files) -> Identity | None:
    """Our own certificate, None when there is none. Raises TLSError."""
    if files.certificate is None or files.key is None:
        return None
    first, *chain = load_certificates("certificate", files.certificate)
    key = _load_key(files.key)
    if key.public_key() != first.public_key():
        raise TLSError("key", f"{files.key} is not the key of {files.certificate}")
    return Identity(first, tuple(chain), key)


def load_certificates(key: str, path: Path) -> list[x509.Certificate]:
    """All certificates of a file, one at least. Raises TLSError, as of this key of the configuration."""
    try:
        return x509.load_pem_x509_certificates(_read(key, path))
    except ValueError:
        raise TLSError(key, f"{path} has no certificate in PEM form (-----BEGIN CERTIFICATE-----)") from None


def _load_key(path: Path) -> PrivateKeyTypes:
    data = _read("key", path)
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        raise TLSError(
            "key", f"{path} has a pass phrase; give a key without one, readable by the server alone"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise TLSError("key", f"{path} has no key in PEM form (-----BEGIN PRIVATE KEY-----)") from None


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TLSError(key, f"{path} cannot be read: {error.strerror}") from None


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """Whom a certificate is for (RFC 5922 section 7.1), in lower case: its sip: URIs and DNS names; without, its CN."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        names: list[str] = []
    else:
        uris = (uri.lower() for uri in found.get_values_for_type(x509.UniformResourceIdentifier))
        names = [uri.removeprefix("sip:") for uri in uris if uri.startswith("sip:") and "@" not in uri]
        names += [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    if not names:
        common = certificate.subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
        names = [str(name.value).lower() for name in common]
    return tuple(dict.fromkeys(names))
