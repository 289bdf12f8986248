"""A node that is drained: no new calls, those that are up end or are moved, then it is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from calls_world import Office, Phone

from xconf.api.drain_commands import drain_commands
from xconf.calls.leaving import Drain
from xconf.conference import events
from xconf.conference.dispatch import dispatch
from xconf.sip.events import Event, Referred


class Node:
    """A server whose operator drains it; `stops` counts how often it would have stopped."""

    def __init__(self) -> None:
        self.office = Office()
        self.stops = 0
        self.drain = Drain(self.office.reactor, self.office.calls, self._empty)
        self.office.conferences.commands.add(drain_commands(self.drain))

    def _empty(self) -> None:
        self.stops += 1

    def obedient(self, phone: Phone, status: int = 200) -> list[str]:
        """This telephone goes where it is told to, and finds that; where to."""
        targets: list[str] = []
        usual = phone._handle

        def handle(event: Event) -> None:
            if not isinstance(event, Referred):
                usual(event)
                return
            targets.append(str(event.target))
            event.session.referrals.accept(self.office.now)
            event.session.referrals.notify(status, "so be it", self.office.now)

        phone.sip.handle = handle
        return targets


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.drain.end()
    node.office.close()


def test_new_calls_are_refused_and_the_last_one_to_end_stops_the_server(node: Node) -> None:
    office = node.office
    ann, bob = office.phones_in(2)
    assert "2 calls" in office.did("drain")
    late = office.phone("127.0.0.9")
    late.dial()
    office.run(1)
    assert late.refusal is not None and late.refusal.status == 503
    assert late.refusal.headers.get("Retry-After") == "10"
    ann.tone = 440.0
    bob.forget()
    office.run(2)
    assert bob.hears(440)  # nothing is different for them
    ann.tone = None
    ann.hang_up()
    office.run(2)
    assert node.stops == 0 and bob.is_up
    bob.hang_up()
    office.run(1)
    assert node.stops == 1


def test_nobody_is_called_by_a_node_that_is_drained(node: Node) -> None:
    assert node.office.calls.full() is None
    node.drain.begin()
    assert "drained" in str(node.office.calls.full())


def test_what_takes_too_long_is_cut_short(node: Node) -> None:
    node.office.phones_in(1)
    node.office.did("drain 30")
    node.office.run(29)
    assert node.stops == 0
    node.office.run(2)
    assert node.stops == 1


def test_an_empty_node_stops_at_once(node: Node) -> None:
    node.office.did("drain")
    node.office.run(0.5)
    assert node.stops == 1


def test_undrain_takes_new_calls_again_and_does_not_stop(node: Node) -> None:
    node.office.did("drain 5")
    assert node.drain.active and node.drain.summary == "0 calls to end, the rest in 5 s"
    node.office.did("undrain")
    node.office.run(10)
    assert node.stops == 0 and not node.drain.active and node.drain.summary == ""
    node.office.phone().call()
    refused = dispatch(node.office.conferences, "undrain")
    assert not refused.ok and refused.text == "the node is not being drained"


def test_new_calls_are_sent_on_to_the_other_nodes_in_turns(node: Node) -> None:
    office = node.office
    office.phones_in(1)
    office.did("drain to sip:127.0.0.8:5070 sip:127.0.0.7;transport=tcp")
    office.run(0.5)
    assert [str(event.headers.get("Refer-To")) for event in office.sent("REFER")] == ["<sip:3000@127.0.0.8:5070>"]
    contacts = []
    for number in ("3001", "3002", "3003"):
        late = office.phone(f"127.0.0.{20 + len(contacts)}")
        late.dial(number)
        office.run(0.5)
        assert late.refusal is not None and late.refusal.status == 302
        contacts.append(late.refusal.headers.get("Contact"))
    assert contacts == [
        "<sip:3001@127.0.0.7;transport=tcp>",
        "<sip:3002@127.0.0.8:5070>",
        "<sip:3003@127.0.0.7;transport=tcp>",
    ]


def test_strangers_and_wrong_numbers_learn_of_no_other_node(node: Node) -> None:
    office = node.office
    office.phones_in(1)
    office.did("drain to sip:127.0.0.8")
    lost = office.phone("127.0.0.30")
    lost.dial("nowhere")
    office.rules.allow = lambda host: host != "127.0.0.31"
    stranger = office.phone("127.0.0.31")
    stranger.dial()
    office.run(0.5)
    assert [phone.refusal.status for phone in (lost, stranger) if phone.refusal] == [404, 403]


def test_telephones_are_moved_to_the_number_that_they_dialled(node: Node) -> None:
    office = node.office
    ann, bob, cat = office.phones_in(2) + office.phones_in(1, number="4001")
    targets = [node.obedient(phone) for phone in (ann, bob, cat)]
    office.did("drain to sip:127.0.0.8:5070")
    office.run(2)
    assert targets == [["sip:3000@127.0.0.8:5070"]] * 2 + [["sip:4001@127.0.0.8:5070"]]
    assert all(phone.up.ended for phone in (ann, bob, cat))
    left = [event.reason for event in office.events if isinstance(event, events.MemberLeft)]
    assert left == ["moved to another node"] * 3
    assert node.stops == 1


def test_who_cannot_be_moved_stays_till_the_end(node: Node) -> None:
    office = node.office
    ann, bob = office.phones_in(2)
    node.obedient(ann)
    asked = node.obedient(bob, 486)
    office.did("drain 60 to sip:127.0.0.8")
    office.run(5)
    assert ann.up.ended and bob.is_up and len(asked) == 1  # and is not asked over and over
    assert node.drain.summary.startswith("1 calls to move to sip:127.0.0.8: 1 moved, 1 would not")
    assert node.stops == 0
    office.sleep(60)
    assert node.stops == 1


def test_hundreds_are_moved_some_at_a_time(node: Node) -> None:
    office = node.office
    phones = office.phones_in(60)
    for phone in phones:
        node.obedient(phone)
    office.did("drain to sip:127.0.0.8")
    office.run(1)
    moved = len(office.sent("REFER"))
    assert 0 < moved <= 30
    office.run(3)
    assert len(office.sent("REFER")) == 60 and node.stops == 1


@pytest.mark.parametrize(
    "words", ["soon", "-1", "86401", "10 20", "to", "to 127.0.0.8", "to sip:3000@127.0.0.8", "to tel:110"]
)
def test_what_is_not_understood_drains_nothing(node: Node, words: str) -> None:
    result = dispatch(node.office.conferences, f"drain {words}")
    assert not result.ok and not node.drain.active
