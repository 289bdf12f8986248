"""All transactions of a user agent: which one a message belongs to (RFC 3261 sections 17.1.3, 17.2.3, 8.2.2.2, 18.2.2)."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import Outbox
from xconf.sip.flow import DEFAULT_PORT, Flow, Place
from xconf.sip.headers import Via
from xconf.sip.message import Request, Response
from xconf.sip.settings import Settings
from xconf.sip.timers import Timers
from xconf.sip.transaction import ClientTransaction, ClientUser, ServerTransaction, Transaction
from xconf.sip.transaction_tables import Input

MAGIC_COOKIE = "z9hG4bK"


class Transactions:
    """Keeps each from its first message to its last timer."""

    def __init__(self, settings: Settings, timers: Timers, out: Outbox, counters: Counter[str]) -> None:
        self.settings = settings
        self.timers = timers
        self.out = out
        self.counters = counters
        self._clients: dict[Hashable, ClientTransaction] = {}
        self._servers: dict[Hashable, ServerTransaction] = {}
        self._initial: dict[Hashable, ServerTransaction] = {}  # requests outside of dialogs, to know them again
        self._by_flow: dict[Flow, dict[ClientTransaction, None]] = {}  # of connections: whom their end concerns

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def unanswered(self) -> int:
        """How many requests of ours have no final response yet."""
        return sum(client.unanswered for client in self._clients.values())

    @property
    def full(self) -> bool:
        return len(self) >= self.settings.max_transactions

    # Requests of ours

    def send(
        self, request: Request, flow: Flow, reconnect: Place | None, user: ClientUser, now: float
    ) -> ClientTransaction:
        """Send a request whose topmost Via has a branch of its own."""
        key = (request.via.branch, request.method)
        client = ClientTransaction(self, key, request, flow, reconnect, user)
        self._clients[key] = client
        if flow.reliable:
            self._by_flow.setdefault(flow, {})[client] = None
        client.start(now)
        return client

    def response(self, response: Response, now: float) -> bool:
        """Hand a response to its transaction. False: there is none (section 17.1.3).

        As many Vias must be left as the request had: one, or those of its whole way where we forwarded it. Another number
        is that of a response of another client (sections 8.1.3.3, 18.1.2).
        """
        client = self._clients.get((response.via.branch, response.cseq.method))
        if client is None or len(response.headers.get_all("Via")) != client.vias:
            return False
        client.response(response, now)
        return True

    def flow_failed(self, flow: Flow, now: float) -> None:
        """Nothing more can be sent to, or comes from, this flow."""
        for client in tuple(self._by_flow.get(flow, ())):
            client.feed(now, Input.TRANSPORT_ERROR)

    # Requests from the network

    def find(self, request: Request) -> ServerTransaction | None:
        """The transaction that this is a retransmission of, or the ACK to a refusal in."""
        return self._servers.get(server_key(request, "INVITE" if request.method == "ACK" else request.method))

    def again(self, message: Request | Response, now: float) -> bool:
        """Whether it is a request that has come before; its transaction has seen to it then.

        Who hangs up together with thousands repeats the BYE: what was looked at then is not looked at again.
        """
        if not isinstance(message, Request) or message.method == "ACK":
            return False
        try:
            server = self._servers.get(_branch_key(message.via, message.method))
        except RemoteProtocolError:
            return False
        if server is not None:
            server.again(message, now)
        return server is not None

    def cancelled_by(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL is for (section 9.2)."""
        return self._servers.get(server_key(cancel, "INVITE"))

    def merged(self, request: Request) -> bool:
        """The request came before, by another way, and is being worked on (section 8.2.2.2)."""
        return _initial_key(request) in self._initial

    def receive(self, request: Request, flow: Flow) -> ServerTransaction:
        """A new transaction for a request that `find` does not know."""
        key = server_key(request, request.method)
        server = ServerTransaction(self, key, request, *reply_path(request, flow))
        self._servers[key] = server
        if request.to.tag is None:
            self._initial[_initial_key(request)] = server
        return server

    def forget(self, transaction: Transaction) -> None:
        """It is over."""
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            if transaction.request.to.tag is None:
                self._initial.pop(_initial_key(transaction.request), None)
        elif isinstance(transaction, ClientTransaction):
            self._clients.pop(transaction.key, None)
            if transaction.flow.reliable:
                self._forget_flow(transaction)

    def _forget_flow(self, client: ClientTransaction) -> None:
        those = self._by_flow.get(client.flow, {})
        those.pop(client, None)
        if not those:
            self._by_flow.pop(client.flow, None)


def server_key(request: Request, method: str) -> Hashable:
    """What is the same in a request and its retransmissions, with the method to look for (section 17.2.3)."""
    via = request.via
    # RFC 2543: no branch to rely on. The To tag of an ACK is ours and says nothing that CSeq and Call-ID do not.
    return _branch_key(via, method) or (
        *(str(request.uri), request.from_.tag, request.call_id, request.cseq.number),
        *(str(via), method),
    )


def _branch_key(via: Via, method: str) -> Hashable:
    """None where the branch is none to rely on."""
    branch = via.branch or ""
    if len(branch) > len(MAGIC_COOKIE) and branch.startswith(MAGIC_COOKIE):
        return branch, via.host.lower(), via.port, method
    return None


def _initial_key(request: Request) -> Hashable:
    return request.from_.tag, request.call_id, request.cseq.number, request.method


def stamp(request: Request, flow: Flow) -> None:
    """Note in the topmost Via where the request came from (section 18.2.1, RFC 3581 section 4)."""
    via = request.via
    host, port = flow.remote
    if via.wants_rport:
        request.headers.set_first("Via", via.with_params(received=host, rport=str(port)))
    elif via.host.lower() != host:
        request.headers.set_first("Via", via.with_params(received=host))


def reply_path(request: Request, flow: Flow) -> tuple[Flow, Place | None]:
    """Where responses go (section 18.2.2, RFC 3581 section 4): the flow, and the place if its connection is gone.

    Only the port is the sender's to choose. `maddr` is not followed: it would let anyone aim our answers at others.
    """
    via = request.via
    place = (flow.remote[0], _answer_port(via))
    if flow.reliable:
        return flow, place
    return (flow if via.wants_rport else Flow(flow.transport, flow.local, place)), None


def _answer_port(via: Via) -> int:
    return via.port or DEFAULT_PORT.get(via.transport.lower(), 5060)


def is_private(host: str) -> bool:
    """Whether an address makes sense in its own network only. Names are not private."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
