"""TLS on both sides (RFC 3261 section 26.3, RFC 5922): who is believed, what is shown, and why a handshake failed.

Twisted and pyOpenSSL do the work, service-identity compares names. Contexts are made anew from files that were renewed;
connections that stand keep theirs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure
from zope.interface import implementer

from xconf.sip.tls.files import Files, Identity, TLSError, Verify, load_certificates, load_identity, names_in

Told = Callable[[str], None]
"""Told why a peer's certificate is not believed."""

_FAULTS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself, and not among the trusted",
    19: "goes back to a root that is not among the trusted",
    20: "is signed by an authority that is not among the trusted",
    21: "is signed by an authority that is not among the trusted",
    23: "has been revoked",
    26: "is not meant for this purpose",
}


class Contexts:
    """What is made of one reading of the files."""

    def __init__(self, files: Files, identity: Identity | None, trusted: list[x509.Certificate] | None) -> None:
        self.files = files
        self.identity = identity
        own: dict[str, Any] = {}
        if identity is not None:
            own["certificate"] = crypto.X509.from_cryptography(identity.certificate)
            own["privateKey"] = crypto.PKey.from_cryptography_key(identity.key)  # type: ignore[arg-type]
            own["extraCertChain"] = [crypto.X509.from_cryptography(certificate) for certificate in identity.chain]
        # The client's context demands a certificate, the server's is told for each connection.
        self.options = CertificateOptions(trustRoot=_trust(trusted), raiseMinimumTo=TLSVersion.TLSv1_2, **own)
        self.options.getContext()


def _trust(trusted: Iterable[x509.Certificate] | None) -> Any:
    if trusted is None:
        return platformTrust()
    return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(one)) for one in trusted])


def load(files: Files) -> Contexts:
    """Reads the files. Raises TLSError with the key of the configuration and what is wrong."""
    identity = load_identity(files)
    trusted = load_certificates("ca", files.ca) if files.ca is not None else None
    try:
        return Contexts(files, identity, trusted)
    except (SSL.Error, crypto.Error, ValueError, TypeError) as error:
        raise TLSError("certificate", f"{files.certificate} cannot be used: {error}") from None


class Security:
    """The contexts in use, and whether peers that connect must show a certificate. Others are made while it runs."""

    def __init__(self, contexts: Contexts, verify: Verify = "never") -> None:
        self.contexts = contexts
        self.verify = verify

    def server(self) -> _Server:
        """For listenSSL: each connection takes what is in use then."""
        return _Server(self)

    def client(self, name: str) -> _Client:
        """For connectSSL. name: a domain, or an address; the server is told it (SNI), and must be it (see `check_names`)."""
        return _Client(self.contexts.options, name)


@implementer(IOpenSSLServerConnectionCreator)
class _Server:
    def __init__(self, security: Security) -> None:
        self._security = security

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        connection = self._security.contexts.options.serverConnectionForTLS(protocol)
        mode = SSL.VERIFY_NONE
        if self._security.verify != "never":
            mode = SSL.VERIFY_PEER
        if self._security.verify == "required":
            mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(mode, _verifier(protocol.wrappedProtocol.distrusted))
        return connection


@implementer(IOpenSSLClientConnectionCreator)
class _Client:
    def __init__(self, options: CertificateOptions, name: str) -> None:
        self._options = options
        self._name = name

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        connection = self._options.clientConnectionForTLS(protocol)
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(mode, _verifier(protocol.wrappedProtocol.distrusted))
        if not _is_address(self._name):
            connection.set_tlsext_host_name(self._name.encode("idna"))
        return connection


def _verifier(told: Told) -> Callable[[SSL.Connection, crypto.X509, int, int, int], bool]:
    def verified(connection: SSL.Connection, certificate: crypto.X509, fault: int, depth: int, ok: int) -> bool:
        if not ok:
            whose = (
                "its certificate"
                if depth == 0
                else f"the certificate of {_shown(certificate)}, on which its own rests,"
            )
            told(f"{whose} {_FAULTS.get(fault, f'is not believed (fault {fault} of X.509)')}")
        return bool(ok)

    return verified


def _shown(certificate: crypto.X509) -> str:
    names = names_in(certificate.to_cryptography())
    return repr(names[0][:64]) if names else "an authority"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_names(connection: SSL.Connection, wanted: Sequence[str]) -> str | None:
    """Why the peer's certificate, otherwise believed, is of none of these domains and addresses; None when it is of one."""
    if any(_is_for(connection, name) for name in wanted):
        return None
    stated = ", ".join(certified_names(connection))[:128] or "no domain"
    return f"its certificate is for {stated}, not for {wanted[0]}"


def _is_for(connection: SSL.Connection, name: str) -> bool:
    try:
        (verify_ip_address if _is_address(name) else verify_hostname)(connection, name)
    except (VerificationError, CertificateError):
        return False
    return True


def certified_names(connection: SSL.Connection) -> tuple[str, ...]:
    """Whom the peer's certificate, which was believed, is for; none when it showed none."""
    certificate = connection.get_peer_certificate()
    return names_in(certificate.to_cryptography()) if certificate is not None else ()


def explain(reason: Failure) -> str:
    """Why a connection ended, in a few words."""
    error = reason.value
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return f"TLS: {error.args[0][-1][-1]}"
    return str(error).strip(". ") or type(error).__name__


__all__ = ["Contexts", "Files", "Security", "TLSError", "certified_names", "check_names", "explain", "load"]
