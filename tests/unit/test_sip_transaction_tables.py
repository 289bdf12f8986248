"""The four machines, state by state and event by event, against the figures of RFC 3261 section 17 and RFC 6026.

Each block below is one figure, read from the RFC: state, event -> next state, what happens. Whatever is not listed has
no arrow in the figure, and must change nothing and send nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from xconf.sip.events import Outbox, Transmit
from xconf.sip.flow import Flow
from xconf.sip.message import Request, parse
from xconf.sip.settings import Settings
from xconf.sip.timers import Timers
from xconf.sip.transaction import ClientTransaction, Failure, ServerTransaction, Transaction
from xconf.sip.transaction_tables import Input, State
from xconf.sip.transactions import Transactions

# RFC 6026, figure of section 8.4 (it replaces figure 5 of RFC 3261).
INVITE_CLIENT = """
Calling     A           Calling     send
Calling     B           Terminated  timeout
Calling     transport   Terminated  transport
Calling     1xx         Proceeding  deliver
Calling     2xx         Accepted    deliver
Calling     300-699     Completed   ack deliver
Proceeding  1xx         Proceeding  deliver
Proceeding  2xx         Accepted    deliver
Proceeding  300-699     Completed   ack deliver
Accepted    2xx         Accepted    deliver
Accepted    M           Terminated
Completed   300-699     Completed   ack
Completed   transport   Terminated  transport
Completed   D           Terminated
"""

# RFC 3261, figure 6.
CLIENT = """
Trying      E           Trying      send
Trying      F           Terminated  timeout
Trying      transport   Terminated  transport
Trying      1xx         Proceeding  deliver
Trying      2xx         Completed   deliver
Trying      300-699     Completed   deliver
Proceeding  E           Proceeding  send
Proceeding  F           Terminated  timeout
Proceeding  transport   Terminated  transport
Proceeding  1xx         Proceeding  deliver
Proceeding  2xx         Completed   deliver
Proceeding  300-699     Completed   deliver
Completed   K           Terminated
"""

# RFC 6026, figure of section 8.5 (it replaces figure 7 of RFC 3261).
INVITE_SERVER = """
Proceeding  request     Proceeding  send
Proceeding  1xx         Proceeding  send
Proceeding  2xx         Accepted    send
Proceeding  300-699     Completed   send
Proceeding  transport   Proceeding  report
Accepted    request     Accepted
Accepted    2xx         Accepted    send
Accepted    ACK         Accepted    deliver
Accepted    transport   Accepted    report
Accepted    L           Terminated
Completed   request     Completed   send
Completed   G           Completed   send
Completed   ACK         Confirmed
Completed   transport   Completed   report
Completed   H           Terminated
Confirmed   I           Terminated
"""

# RFC 3261, figure 8.
SERVER = """
Trying      1xx         Proceeding  send
Trying      2xx         Completed   send
Trying      300-699     Completed   send
Proceeding  request     Proceeding  send
Proceeding  1xx         Proceeding  send
Proceeding  2xx         Completed   send
Proceeding  300-699     Completed   send
Proceeding  transport   Terminated  report
Completed   request     Completed   send
Completed   transport   Terminated  report
Completed   J           Terminated
"""

FIGURES = {
    ("INVITE", "client"): (INVITE_CLIENT, ["Calling", "Proceeding", "Accepted", "Completed", "Terminated"]),
    ("INFO", "client"): (CLIENT, ["Trying", "Proceeding", "Completed", "Terminated"]),
    ("INVITE", "server"): (INVITE_SERVER, ["Proceeding", "Accepted", "Completed", "Confirmed", "Terminated"]),
    ("INFO", "server"): (SERVER, ["Trying", "Proceeding", "Completed", "Terminated"]),
}

EVENTS = {"1xx": Input.PROVISIONAL, "2xx": Input.SUCCESS, "300-699": Input.FAILURE, "request": Input.REQUEST}
EVENTS |= {"ACK": Input.ACK, "transport": Input.TRANSPORT_ERROR}
EVENTS |= {letter: Input[f"TIMER_{letter}"] for letter in "ABDEFGHIJKLM"}
STATUS = {"1xx": 180, "2xx": 200, "300-699": 486}

UDP = Flow("udp", ("127.0.0.1", 5060), ("127.0.0.2", 5060))
TCP = Flow("tcp", ("127.0.0.1", 5060), ("127.0.0.2", 5060), 1)


def make_request(method: str, branch: str = "z9hG4bK1") -> Request:
    message = parse(
        f"{method} sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch={branch}\r\n"
        f"From: <sip:ann@example.com>;tag=a\r\nTo: <sip:bob@example.net>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n"
        "Route: <sip:10.0.0.1;lr>\r\nMax-Forwards: 70\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


class Bench:
    """One transaction, put into a state, with all that it does on record."""

    def __init__(self, method: str, side: str, flow: Flow = UDP, settings: Settings | None = None) -> None:
        self.out = Outbox()
        self.counters: Counter[str] = Counter()
        self.layer = Transactions(settings or Settings(), Timers(), self.out, self.counters)
        self.told: list[Any] = []
        self.request = make_request(method)
        self.transaction: Transaction
        if side == "client":
            self.transaction = self.layer.send(
                self.request, flow, None, lambda outcome, now: self.told.append(outcome), 0.0
            )
        else:
            self.transaction = self.layer.receive(self.request, flow)
            self.transaction.user = lambda ack, now: self.told.append(ack)
            if method == "INVITE":
                self.transaction.respond(self.request.response(100), 0.0)
        self.sent()

    def sent(self) -> list[str]:
        effects = [effect for effect in self.out.drain() if isinstance(effect, Transmit)]
        return [effect.data.decode().splitlines()[0] for effect in effects]

    def put(self, state: str) -> None:
        """Into the state, with a response to repeat where there would be one."""
        if isinstance(self.transaction, ServerTransaction) and state != "Trying":
            self.transaction._data = self.request.response(499).to_bytes()
        self.transaction.enter(State[state.upper()], 0.0)

    def feed(self, event: str, now: float = 0.0) -> None:
        transaction = self.transaction
        if event in STATUS and isinstance(transaction, ServerTransaction):
            transaction.respond(self.request.response(STATUS[event], to_tag="b"), now)
        elif event in STATUS and isinstance(transaction, ClientTransaction):
            transaction.response(self.request.response(STATUS[event], to_tag="b"), now)
        else:
            transaction.feed(now, EVENTS[event], make_request("ACK") if event == "ACK" else self.request)

    def happened(self, side: str, event: str) -> set[str]:
        names = {Failure.TIMEOUT: "timeout", Failure.TRANSPORT: "transport"}
        happened = {names.get(told, "deliver") if isinstance(told, Failure) else "deliver" for told in self.told}
        happened |= {"ack" if line.startswith("ACK ") else "send" for line in self.sent()}
        return happened | ({"report"} if self.counters["response_not_sent"] else set())


def cases() -> list[Any]:
    listed = []
    for (method, side), (figure, states) in FIGURES.items():
        arrows = {tuple(line.split()[:2]): line.split()[2:] for line in figure.strip().splitlines()}
        for state in states:
            for event in EVENTS:
                arrow = arrows.get((state, event), [state])
                name = f"{method}-{side}-{state}-{event}"
                listed.append(pytest.param(method, side, state, event, arrow[0], set(arrow[1:]), id=name))
    return listed


@pytest.mark.parametrize(("method", "side", "state", "event", "after", "happens"), cases())
def test_figure(method: str, side: str, state: str, event: str, after: str, happens: set[str]) -> None:
    bench = Bench(method, side)
    bench.put(state)
    bench.feed(event)
    assert bench.transaction.state.name.capitalize() == after
    assert bench.happened(side, event) == happens
    assert len(bench.layer) == (0 if "Terminated" in (state, after) else 1)


def times_of(bench: Bench, until: float) -> dict[str, list[float]]:
    """When something is sent, and when the transaction ends, if only time passes."""
    times: dict[str, list[float]] = {"sent": [], "over": []}
    while (due := bench.layer.timers.next_wake()) is not None and due <= until:
        bench.layer.timers.wake(due)
        times["sent"] += [due] * len(bench.sent())
        if not len(bench.layer) and not times["over"]:
            times["over"].append(due)
    return times


def test_an_invite_is_repeated_at_doubling_intervals_and_given_up_after_64_t1() -> None:
    bench = Bench("INVITE", "client")
    times = times_of(bench, 100)
    assert times["sent"] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert times["over"] == [32.0]
    assert bench.told == [Failure.TIMEOUT]


def test_another_request_is_repeated_at_intervals_of_at_most_t2() -> None:
    bench = Bench("INFO", "client")
    times = times_of(bench, 100)
    assert times["sent"] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert times["over"] == [32.0]
    assert bench.told == [Failure.TIMEOUT]


def test_after_a_provisional_response_another_request_is_repeated_every_t2() -> None:
    bench = Bench("INFO", "client")
    bench.feed("1xx", 0.1)
    assert times_of(bench, 100)["sent"] == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]


def test_after_a_provisional_response_an_invite_is_not_repeated() -> None:
    bench = Bench("INVITE", "client")
    bench.feed("1xx", 0.1)
    assert times_of(bench, 500) == {"sent": [], "over": []}


def test_a_refusal_of_an_invite_is_repeated_until_the_ack_and_64_t1_at_most() -> None:
    bench = Bench("INVITE", "server")
    bench.feed("300-699")
    assert bench.sent() == ["SIP/2.0 486 Busy Here"]
    assert times_of(bench, 100) == {
        "sent": [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5],
        "over": [32.0],
    }


LIVES = [
    # method, side, what happens at 0: how long it is kept then, on UDP and on TCP
    ("INVITE", "client", "300-699", 32.0, 0.0),  # timer D
    ("INVITE", "client", "2xx", 32.0, 32.0),  # timer M
    ("INFO", "client", "2xx", 5.0, 0.0),  # timer K
    ("INVITE", "server", "2xx", 32.0, 32.0),  # timer L
    ("INFO", "server", "2xx", 32.0, 0.0),  # timer J
]


@pytest.mark.parametrize(("method", "side", "event", "on_udp", "on_tcp"), LIVES)
def test_what_is_over_is_kept_for_late_repetitions(
    method: str, side: str, event: str, on_udp: float, on_tcp: float
) -> None:
    for flow, kept in ((UDP, on_udp), (TCP, on_tcp)):
        bench = Bench(method, side, flow)
        bench.feed(event)
        bench.sent()
        assert times_of(bench, 100) == {"sent": [], "over": [kept]}


def test_a_refusal_that_was_acknowledged_is_kept_for_t4() -> None:
    for flow, kept in ((UDP, 5.0), (TCP, 0.0)):
        bench = Bench("INVITE", "server", flow)
        bench.feed("300-699")
        bench.feed("ACK")
        bench.sent()
        assert times_of(bench, 100) == {"sent": [], "over": [kept]}


def test_nothing_is_repeated_on_a_connection() -> None:
    for method in ("INVITE", "INFO"):
        assert times_of(Bench(method, "client", TCP), 100) == {"sent": [], "over": [32.0]}
    refused = Bench("INVITE", "server", TCP)
    refused.feed("300-699")
    refused.sent()
    assert times_of(refused, 100) == {"sent": [], "over": [32.0]}


def test_other_timers_follow_from_the_settings() -> None:
    quick = Settings(t1=0.1, t2=0.4, t4=1.0)
    assert times_of(Bench("INFO", "client", settings=quick), 2.0)["sent"] == pytest.approx(
        [0.1, 0.3, 0.7, 1.1, 1.5, 1.9]
    )
    bench = Bench("INVITE", "client", settings=quick)
    bench.feed("300-699")
    bench.sent()
    assert times_of(bench, 100)["over"] == [32.0]  # timer D is never shorter


def test_the_ack_to_a_refusal_belongs_to_its_invite() -> None:
    """Section 17.1.1.3: same Request-URI, Via, Route, From, Call-ID and number; the To of the response."""
    bench = Bench("INVITE", "client")
    bench.transaction.feed(0.0, Input.FAILURE, bench.request.response(486, to_tag="b"))
    (effect,) = bench.out.drain()
    assert isinstance(effect, Transmit)
    ack = parse(effect.data)
    assert isinstance(ack, Request)
    assert (ack.method, str(ack.uri)) == ("ACK", "sip:bob@example.net")
    assert [str(via) for via in ack.vias] == [str(bench.request.via)]
    assert ack.headers.values("Route") == ["<sip:10.0.0.1;lr>"]
    assert (ack.from_.tag, ack.to.tag, ack.call_id, str(ack.cseq)) == ("a", "b", "1", "1 ACK")
    assert not ack.body
