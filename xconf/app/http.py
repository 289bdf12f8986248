"""One HTTP request at a time to one URL, with an end to its patience."""

from __future__ import annotations

import io
from typing import Any, NoReturn

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

PATIENCE = 10.0  # s for a request, its answer included
LONGEST_ANSWER = 65_536  # octets; nobody reads them


class HTTPError(Exception):
    """What went wrong, in words."""


class Poster:
    """Posts to `url`. Certificates of https are verified."""

    def __init__(self, reactor: Any, url: str, product: str) -> None:
        self._reactor = reactor
        self._url = url.encode("ascii")
        self._product = product.encode()
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 1
        self._agent = Agent(reactor, connectTimeout=PATIENCE, pool=self._pool)

    def __call__(self, body: bytes, headers: dict[bytes, list[bytes]]) -> Deferred[int]:
        """The status of the answer. Fails with what went wrong, or after 10 s."""
        told = Headers({b"User-Agent": [self._product], **headers})
        asked = self._agent.request(b"POST", self._url, told, FileBodyProducer(io.BytesIO(body)))
        answered: Deferred[int] = asked.addCallback(_whole)
        return answered.addTimeout(PATIENCE, self._reactor, _late).addErrback(_in_words)


def _late(result: Any, seconds: float) -> Any:
    raise HTTPError(f"no answer for {seconds:g} s")


def _in_words(failure: Failure) -> NoReturn:
    """The one fault that matters of those that twisted.web wraps."""
    error: Any = failure.value
    while getattr(error, "reasons", None):
        error = error.reasons[0].value
    if isinstance(error, SSL.Error):
        raise HTTPError("; ".join(reason for *_, reason in error.args[0]) or "the TLS handshake failed") from None
    raise HTTPError(str(error).partition("\n")[0].rstrip(".") or type(error).__name__) from None


def _whole(response: IResponse) -> Deferred[int]:
    """Its status, once its body has come: the connection can then be used again."""
    reader = _Reader(response.code)
    response.deliverBody(reader)
    return reader.done


class _Reader(Protocol):
    def __init__(self, status: int) -> None:
        self._left = LONGEST_ANSWER
        self._status = status
        self.done: Deferred[int] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._abort()

    def connectionLost(self, reason: object = None) -> None:
        if not self.done.called:
            self.done.callback(self._status)

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
