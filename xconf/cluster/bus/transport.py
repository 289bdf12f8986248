"""The way to a RabbitMQ broker: letters go out with its confirmation, and come in by a queue of our own.

Nothing here waits for the broker, and nothing piles up for it: letters for which there is no room or no connection are dropped,
the oldest first, and counted.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import pika
from cryptography import x509
from OpenSSL import SSL, crypto
from pika.adapters.twisted_connection import TwistedProtocolConnection
from pika.exceptions import AMQPConnectionError
from service_identity import CertificateError, VerificationError
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from xconf.cluster.bus.post import bus_id

log = logging.getLogger(__name__)
logging.getLogger("pika").setLevel(logging.CRITICAL)  # we say ourselves what is wrong, once

EXCHANGE = "xconf"
LIVES = 10_000  # ms for which the broker keeps a letter
MOST_QUEUED = 10_000  # letters that it keeps for a node
MOST_WAITING, MOST_OCTETS = 1000, 8 << 20  # letters that wait here, and octets that it has not confirmed
HEARTBEAT = 10  # s
SETUP = 10.0  # s that a connection may take
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0  # s until the next try: twice as long each time


class Rabbit(Service):
    """One node's. letter: is called with each that comes; tell: with one line when the broker is lost or found.

    trusted: who signs the broker's certificate; None: whom the system believes. counters: sent, confirmed, refused (by the broker), lost (for want of room, or with the connection), received, connected.
    """

    name = "bus"

    def __init__(
        self,
        reactor: Any,
        url: str,
        node: str,
        letter: Callable[[bytes], None],
        tell: Callable[[str], None],
        trusted: Sequence[x509.Certificate] | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter(sent=0, confirmed=0, refused=0, lost=0, received=0, connected=0)
        self._reactor = reactor
        self._url = urlsplit(url)
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = HEARTBEAT
        self._key = routing_key(node)
        self._letter = letter
        self._tell = tell
        self._trusted = None if trusted is None else trust_root(trusted)
        self._channel: Any = None
        self._connection: Any = None
        self._trying: Deferred[None] | None = None
        self._timer: Any = None
        self._pause = 0.0
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._unconfirmed = 0  # octets

    @property
    def up(self) -> bool:
        return self._channel is not None

    @property
    def place(self) -> str:
        """Where the broker is, for people; without the password."""
        return f"{self._url.hostname}:{self._parameters.port}"

    def send(self, to: str, letter: bytes) -> None:
        """To a node."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.counters["lost"] += 1
        self._waiting.append((routing_key(to), letter))
        self._flush()

    def _flush(self) -> None:
        while self._channel is not None and self._waiting and self._unconfirmed < MOST_OCTETS:
            key, letter = self._waiting.popleft()
            self._unconfirmed += len(letter)
            self.counters["sent"] += 1
            published = self._channel.basic_publish(EXCHANGE, key, letter)
            size = len(letter)
            published.addCallbacks(self._answered, self._answered, ("confirmed", size), None, ("refused", size))

    def _answered(self, _: object, how: str, size: int) -> None:
        self.counters[how] += 1
        self._unconfirmed -= size
        self._flush()

    # The connection

    def startService(self) -> None:
        super().startService()
        self._try()

    def stopService(self) -> Any:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._trying is not None:
            self._trying.cancel()
        self._channel = None
        connection, self._connection = self._connection, None
        if connection is not None and connection.transport is not None:
            connection.transport.loseConnection()

    def _try(self) -> None:
        self._timer = None
        self._trying = Deferred.fromCoroutine(self._connect()).addTimeout(SETUP, self._reactor)
        self._trying.addCallbacks(self._connected, self._failed)

    async def _connect(self) -> None:
        protocol = _Connection(self._parameters, self._reactor)
        try:
            await connectProtocol(self._endpoint(), protocol)
            await protocol.ready
            channel = await protocol.channel()
            await channel.exchange_declare(exchange=EXCHANGE, exchange_type="topic")
            await channel.confirm_delivery()
            bounds = {"x-message-ttl": LIVES, "x-max-length": MOST_QUEUED, "x-overflow": "drop-head"}
            declared = await channel.queue_declare(queue="", exclusive=True, auto_delete=True, arguments=bounds)
            queue = declared.method.queue
            await channel.queue_bind(queue=queue, exchange=EXCHANGE, routing_key=self._key)
            letters, _ = await channel.basic_consume(queue=queue, auto_ack=True, exclusive=True)
        except BaseException as error:
            if protocol.transport is not None:
                protocol.transport.abortConnection()
            if protocol.lost is not None and type(error) is AMQPConnectionError:
                raise protocol.lost.value from None
            raise
        self._connection, self._channel = protocol, channel
        Deferred.fromCoroutine(self._read(letters)).addErrback(self._ended)

    def _endpoint(self) -> Any:
        host = self._url.hostname or ""
        endpoint = HostnameEndpoint(self._reactor, host, self._parameters.port)
        return (
            wrapClientTLS(optionsForClientTLS(host, self._trusted), endpoint)
            if self._url.scheme == "amqps"
            else endpoint
        )

    async def _read(self, letters: Any) -> None:
        while True:
            message = await letters.get()
            self.counters["received"] += 1
            try:
                self._letter(message.body)
            except Exception:
                log.exception("a letter of the bus broke")

    def _connected(self, _: object) -> None:
        self._trying = None
        self._pause = 0.0
        self.counters["connected"] += 1
        log.info("bus: RabbitMQ at %s is there", self.place)
        self._flush()

    def _failed(self, failure: Any) -> None:
        self._trying = None
        if self.running:
            self._again(self._why(failure))

    def _why(self, failure: Any) -> str:
        """What is wrong, and where it can be mended, what to do."""
        text = failure.getErrorMessage() or failure.type.__name__
        if failure.check(TimeoutError):
            return f"no answer within {SETUP:g} s"
        if failure.check(VerificationError, CertificateError):
            host = self._url.hostname
            return f"its certificate is not for {host}; cluster.bus has to name it as its certificate does"
        if failure.check(SSL.Error) and "certificate verify failed" in text:
            return "its certificate is of no authority that is believed; cluster.bus_ca has to name the file of its authority"
        if failure.check(SSL.Error):
            return f"no TLS with it: {text}; amqps:// is for the port where it listens for TLS, usually 5671"
        return str(text)

    def _ended(self, failure: Any) -> None:
        """The connection is gone, and with it what was not confirmed."""
        connection, self._connection = self._connection, None
        self._channel = None
        self.counters["lost"] += len(self._waiting)
        self._waiting.clear()
        if connection is not None and connection.transport is not None:
            connection.transport.abortConnection()
        if self.running:
            self._again(failure.getErrorMessage() or "the connection was closed")

    def _again(self, why: str) -> None:
        if not self._pause:
            self._tell(f"RabbitMQ at {self.place} cannot be reached: {why}; members of other nodes cannot be steered")
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        self._timer = self._reactor.callLater(self._pause * random.uniform(0.75, 1.25), self._try)


class _Connection(TwistedProtocolConnection):  # type: ignore[misc]
    """lost: why the connection is gone, which pika does not tell who waits for it."""

    lost: Any = None

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.lost = reason
        super().connectionLost(reason)


def trust_root(trusted: Sequence[x509.Certificate]) -> Any:
    """These authorities, and no other."""
    return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(one)) for one in trusted])


def routing_key(node: str) -> str:
    """By which letters to a node are known; its name may have dots."""
    return f"to.{bus_id(node).hex()}"
