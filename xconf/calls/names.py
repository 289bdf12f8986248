"""Names of servers become addresses: the questions of RFC 3263, put to name servers without waiting for them.

Answers are kept for as long as they say, and so is for a while that there was none. What is asked at once and what is
kept are bounded.
"""

from __future__ import annotations

import ipaddress
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import defer, threads
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.names import client, dns, error
from twisted.names.hosts import searchFileForAll
from twisted.python.filepath import FilePath

from xconf.sip.flow import Place
from xconf.sip.location import Kind, Pointer, Question, Records, Search, Server, Target, is_address, locate

TIMEOUT = (1, 2, 4)  # s for each try of a name server
PATIENCE = 10.0  # s for all that one search asks
SHORTEST, LONGEST = 5.0, 86_400.0  # s that an answer is kept, whatever it says
NOTHING_FOR = 30.0  # s that it is remembered that there was none
MOST_KEPT = 2000
MOST_ASKED = 200  # questions at once
MOST_QUESTIONS = 64  # of one search


class NamesError(Exception):
    """No addresses: the text says for which name, and why."""


def system_resolver(servers: Sequence[Place] = ()) -> Any:
    """Twisted's resolver. servers: addresses and ports of name servers; without, those of /etc/resolv.conf."""
    return client.Resolver(servers=list(servers)) if servers else client.Resolver(resolv=b"/etc/resolv.conf")


def system_hosts(name: str) -> Deferred[list[str]]:
    """The addresses of a name in /etc/hosts, read in a thread."""
    found: Deferred[list[str]] = threads.deferToThread(searchFileForAll, FilePath(b"/etc/hosts"), name.encode("idna"))
    return found


class Names:
    """Searches, with what is known from earlier ones."""

    def __init__(
        self,
        reactor: IReactorTime,
        resolver: Any,
        hosts: Callable[[str], Deferred[list[str]]],
        rng: random.Random | None = None,
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._hosts = hosts
        self._rng = rng or random.SystemRandom()
        self._kept: OrderedDict[Question, tuple[float, Records]] = OrderedDict()
        self._asked = 0

    def locate(
        self,
        host: str,
        port: int | None = None,
        transport: str | None = None,
        *,
        transports: Sequence[str] = ("udp", "tcp"),
        secure: bool = False,
    ) -> Deferred[list[Target]]:
        """The servers of a host in the order of trying, one at least; see `xconf.sip.location.locate`.

        Fails with NamesError.
        """
        search = locate(host, port, transport, transports=transports, secure=secure, rng=self._rng)
        found: Deferred[list[Target]] = Deferred.fromCoroutine(self._search(search, host))
        return found

    async def _search(self, search: Search, host: str) -> list[Target]:
        give_up = self._reactor.seconds() + PATIENCE
        try:
            question = next(search)
            for _ in range(MOST_QUESTIONS):
                if self._reactor.seconds() > give_up:
                    break
                question = search.send(await self.ask(question))
        except StopIteration as end:
            if end.value:
                targets: list[Target] = end.value
                return targets
            raise NamesError(f"there is no server for {host} in the DNS") from None
        raise NamesError(f"the DNS has no end for {host}")

    async def ask(self, question: Question) -> Records:
        """The answer to a question; empty when there is none. Raises NamesError when no name server answers."""
        until, records = self._kept.get(question, (0.0, ()))
        if self._reactor.seconds() < until:
            return records
        if self._asked >= MOST_ASKED:
            raise NamesError(f"too many names are being looked up to look for {question.name}")
        self._asked += 1
        try:
            found = await self._query(question)
        finally:
            self._asked -= 1
        return self._keep(question, found)

    def _keep(self, question: Question, found: list[tuple[Any, float]]) -> Records:
        records = tuple(record for record, _ in found)
        life = min((ttl for _, ttl in found), default=NOTHING_FOR)
        self._kept.pop(question, None)
        self._kept[question] = self._reactor.seconds() + min(max(life, SHORTEST), LONGEST), records
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return records

    async def _query(self, question: Question) -> list[tuple[Any, float]]:
        """Records and for how long they hold."""
        name = question.name
        if question.kind is Kind.NAPTR:
            return [
                (_pointer(p), ttl) for p, ttl in await self._records("lookupNamingAuthorityPointer", name, dns.NAPTR)
            ]
        if question.kind is Kind.SRV:
            return [(_server(p), ttl) for p, ttl in await self._records("lookupService", name, dns.SRV)]
        known = [address for address in await self._hosts(name) if is_address(address)]
        if known:
            return [(address, NOTHING_FOR) for address in known]
        fours = await self._records("lookupAddress", name, dns.A)
        sixes = await self._records("lookupIPV6Address", name, dns.AAAA)
        return [(str(ipaddress.ip_address(payload.address)), ttl) for payload, ttl in fours + sixes]

    async def _records(self, lookup: str, name: str, kind: int) -> list[tuple[Any, float]]:
        try:
            answers, _, _ = await getattr(self._resolver, lookup)(name, timeout=TIMEOUT)
        except error.DNSNameError:
            return []  # there is no such name
        except (error.DomainError, error.ResolverError, TimeoutError, defer.TimeoutError, OSError, ValueError) as fault:
            raise NamesError(f"no name server has an answer for {name} ({type(fault).__name__})") from None
        return [(answer.payload, float(answer.ttl)) for answer in answers if answer.type == kind]


def _pointer(payload: Any) -> Pointer:
    service = payload.service.string.decode("ascii", "replace")
    return Pointer(payload.order, payload.preference, service, _text(payload.replacement))


def _server(payload: Any) -> Server:
    return Server(payload.priority, payload.weight, payload.port, _text(payload.target))


def _text(name: Any) -> str:
    return name.name.decode("ascii", "replace").rstrip(".").lower() or "."
