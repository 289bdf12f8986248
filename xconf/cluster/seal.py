"""Sealing of datagrams: AES-256-GCM over header and body, by keys derived from the cluster's secret.

Each sender has a key of its own for each of its epochs (HKDF-SHA256, RFC 5869), so the datagram's sequence number is a nonce
that never comes twice under one key, whatever is restarted when.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from xconf.cluster.frame import ENCRYPTED, HEADER, TAG, FrameError, Header

SHORTEST, LONGEST = 16, 256  # characters of a secret
KEPT = 1024  # keys of senders and epochs whose datagrams were genuine
_SALT = b"xconf tunnel 1"


def _expand(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 for 32 octets."""
    return HKDF(hashes.SHA256(), length=32, salt=_SALT, info=info).derive(secret)


def key_for(purpose: bytes, secret: bytes) -> bytes:
    """A key of 32 octets for what is no datagram of the tunnel."""
    return _expand(secret, b"for " + purpose)


def key_id(secret: bytes) -> int:
    """The 16 bits by which a header says which secret sealed it."""
    return int.from_bytes(_expand(secret, b"id")[:2], "big")


def _cipher(secret: bytes, sender: bytes, epoch: int) -> AESGCM:
    return AESGCM(_expand(secret, b"key" + sender + epoch.to_bytes(8, "big")))


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")


class Sealer:
    """Seals what one node sends in one epoch, by one secret. encrypt: or else authenticate only."""

    def __init__(self, secret: bytes, sender: bytes, epoch: int, *, encrypt: bool = True) -> None:
        self.key = key_id(secret)
        self._sender, self._epoch = sender, epoch
        self._flags = ENCRYPTED if encrypt else 0
        self._cipher = _cipher(secret, sender, epoch)

    def seal(self, sequence: int, body: bytes) -> bytes:
        """A datagram. A sequence number is used once."""
        header = Header(self._sender, self._epoch, sequence, self.key, self._flags).encode()
        if self._flags & ENCRYPTED:
            return header + self._cipher.encrypt(_nonce(sequence), body, header)
        return header + body + self._cipher.encrypt(_nonce(sequence), b"", header + body)


class Keyring:
    """Opens datagrams of any sender, sealed by any of these secrets. Needed keys are kept, within bounds."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self.ids = tuple(key_id(secret) for secret in secrets)
        self._secrets = tuple(zip(self.ids, secrets, strict=True))
        self._ciphers: OrderedDict[bytes, AESGCM] = OrderedDict()

    def open(self, header: Header, datagram: bytes) -> bytes:
        """The body of a genuine datagram. Raises FrameError: foreign (sealed by a secret that is not ours) or forged."""
        if header.key not in self.ids:
            raise FrameError("foreign")
        known = datagram[6:24]  # key, sender and epoch
        cipher = self._ciphers.get(known)
        if cipher is not None:
            self._ciphers.move_to_end(known)
            return self._try(cipher, header, datagram)
        for number, secret in self._secrets:
            if number == header.key:
                cipher = _cipher(secret, header.sender, header.epoch)
                body = self._try(cipher, header, datagram)
                self._keep(known, cipher)
                return body
        raise FrameError("foreign")

    def _try(self, cipher: AESGCM, header: Header, datagram: bytes) -> bytes:
        try:
            if header.flags & ENCRYPTED:
                return cipher.decrypt(_nonce(header.sequence), datagram[HEADER.size :], datagram[: HEADER.size])
            cipher.decrypt(_nonce(header.sequence), datagram[-TAG:], datagram[:-TAG])
        except InvalidTag:
            raise FrameError("forged") from None
        return datagram[HEADER.size : -TAG]

    def _keep(self, known: bytes, cipher: AESGCM) -> None:
        self._ciphers[known] = cipher
        if len(self._ciphers) > KEPT:
            self._ciphers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._ciphers)
