"""Ways to other nodes: their SIP URIs become flows, names looked up as RFC 3263 says, and nobody waits for the look-up but the
call that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from xconf.calls.names import Names, NamesError
from xconf.sip.errors import LocalProtocolError
from xconf.sip.flow import Flow
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.sip.transport import SIPService

MOST_WAYS = 3  # addresses of one node that are tried: each may say nothing for seconds
PATIENCE = 4.0  # s that a caller waits for an answer of the name servers

Way = tuple[str, int | None, str | None, bool]
"""Host, port, transport, and whether it has to be TLS."""


class NoWay(Exception):
    """A node cannot be reached; the text says why."""


class NextHops(Protocol):
    """Where to send what is for a URI."""

    def to(self, uri: URI) -> Deferred[list[Flow]]:
        """The ways in the order of trying, one at least. Fails with NoWay."""


class FoundHops:
    """Whoever asks for the same while it is looked up waits for the same answer: so calls by the hundred are one question."""

    def __init__(self, sip: SIPService, names: Names) -> None:
        self._sip = sip
        self._names = names
        self._waiting: dict[Way, list[Deferred[list[Flow]]]] = {}

    def __len__(self) -> int:
        """How many are being looked up."""
        return len(self._waiting)

    def to(self, uri: URI) -> Deferred[list[Flow]]:
        """See `NextHops`. An address needs no look-up: what it leads to is there at once."""
        way = (uri.host, uri.port, uri.transport, uri.scheme == "sips")
        waits: Deferred[list[Flow]] = Deferred()
        first = way not in self._waiting
        self._waiting.setdefault(way, []).append(waits)
        if first:
            Deferred.fromCoroutine(self._find(way)).addBoth(self._found, way)

        def too_slow(*_: object) -> NoReturn:
            raise NoWay(f"the name servers say nothing of {uri.host}")

        return waits.addTimeout(PATIENCE, self._sip.reactor, too_slow)

    def _found(self, found: list[Flow] | Failure, way: Way) -> None:
        for waits in self._waiting.pop(way):
            if isinstance(found, Failure):
                waits.errback(found)
            else:
                waits.callback(found)

    async def _find(self, way: Way) -> list[Flow]:
        host, port, transport, secure = way
        try:
            targets = await self._names.locate(host, port, transport, transports=self._sip.transports, secure=secure)
        except NamesError as error:
            raise NoWay(str(error)) from None
        flows, why = [], ""
        for by, place in targets:
            try:
                flows.append(self._sip.flow_to(by, place, (host,) if by == "tls" else ()))
            except LocalProtocolError as error:  # of a family that we do not have, most likely
                why = str(error)
        if not flows:
            raise NoWay(why)
        return flows[:MOST_WAYS]
