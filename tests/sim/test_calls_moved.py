"""Members of a node that is drained go on, on another one, as what they were; nobody is asked or told anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from calls_world import PROFILES, ROOT, SIP, Office, Phone

from xconf.calls.access import Route
from xconf.calls.leaving import Drain
from xconf.calls.moved import PARAMETER, Moves
from xconf.calls.once import WITHIN
from xconf.calls.placement import Elsewhere
from xconf.calls.trunk import Trunk
from xconf.conference import events
from xconf.conference.controls import build
from xconf.conference.dispatch import load_table
from xconf.conference.member import Member
from xconf.conference.profile import resolve
from xconf.media.leg import Agc
from xconf.sip.events import Event, Referred
from xconf.sip.flow import Flow
from xconf.sip.uri import URI

KEYS = [b"k" * 32]
OTHER = "127.0.0.200"
JOINS, LEAVES, WELCOME = 900.0, 1100.0, 1300.0
PROFILE = {
    **PROFILES["default"],
    "member_join": f"tone_stream://%(400,0,{JOINS:g})",
    "member_leave": f"tone_stream://%(400,0,{LEAVES:g})",
    "member_welcome": f"tone_stream://%(400,0,{WELCOME:g})",
}


class Node:
    """A placement that names one node, when this one takes no calls, or always."""

    def __init__(self, host: str, *, always: bool = False) -> None:
        self.host, self.always = host, always

    def choose(self, *caller: Any, closed: bool, without: Any = ()) -> Elsewhere | None:
        other = Elsewhere("other", URI("sip", host=self.host, port=SIP), "a test says so")
        return other if closed or self.always else None

    def open(self) -> Sequence[str]:
        return ["other"]


class Pair:
    """Nodes a, which is drained, and b; telephones that go where they are told to."""

    def __init__(self) -> None:
        self.a = Office()
        self.b = Office(beside=self.a, address=OTHER)
        self.day = 1_700_000_000.0
        for office in (self.a, self.b):
            office.calls.moves = Moves(KEYS, lambda: self.day + self.a.now)
        self.a.calls.placement = Node(OTHER)
        self.drain = Drain(self.a.reactor, self.a.calls, lambda: None)
        self.told: list[URI] = []
        self.old: list[Any] = []
        self.use()

    def use(self, **profile: Any) -> None:
        """What both nodes have as the default profile of conferences that begin from now on."""
        table = load_table([ROOT / "dtmf"])
        for office in (self.a, self.b):
            office.conferences.reload(resolve({**PROFILES, "default": PROFILE | profile}), build({}, table))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            for phone in self.a.phones:
                phone.speak_on()
            self.a.reactor.run(0.02)
            self.b.tick()
            self.a.tick()

    def up(self, address: str, number: str = "3000", *, node: str = "", follows: bool = True) -> Phone:
        """A telephone with a call to a, or to that address."""
        phone = self.a.phone(address)
        usual = phone._handle

        def handle(event: Event) -> None:
            if isinstance(event, Referred) and follows:
                self.told.append(event.target)
                event.session.referrals.accept(self.a.now)
                self.old.append(event.session)
                self.dial(phone, str(event.target), event.target.host)
            elif isinstance(event, Referred):
                event.session.referrals.refuse(603, self.a.now)
            else:
                usual(event)

        phone.sip.handle = handle
        self.dial(phone, f"sip:{number}@{node or '127.0.0.1'}", node or "127.0.0.1")
        self.run(0.2)
        assert phone.is_up, phone.refusal
        return phone

    def dial(self, phone: Phone, uri: str, host: str, caller: str = "") -> None:
        phone.events.clear()
        phone.session = phone.sip.user_agent.invite(
            uri,
            sdp=phone.sdp(),
            flow=Flow("udp", (phone.address, SIP), (host, SIP)),
            from_=f"<sip:{caller or 'u' + phone.address[-1]}@{phone.address}>",
            now=self.a.now,
        )
        phone.sip.pump()

    def move(self) -> None:
        """All of a's go, and hang up there when they have arrived."""
        self.drain.begin()
        self.run(0.5)
        for session in self.old:
            session.referrals.notify(200, "OK", self.a.now)
            session.hangup(self.a.now)
        for phone in self.a.phones:
            phone.sip.pump()
        self.run(1.5)

    def member(self, office: Office, number: int = 0) -> Member:
        members = [*office.conferences.named("3000").members.values()]
        return members[number]

    def press(self, phone: Phone, digits: str) -> None:
        for digit in digits:
            phone.info(f"Signal={digit}\r\nDuration=100\r\n".encode())
            self.run(0.1)

    def close(self) -> None:
        self.drain.end()
        for session in self.old:
            session.hangup(self.a.now)
        for phone in self.a.phones:
            phone.hang_up()
        self.run(0.2)
        self.a.sleep(80)
        self.b.close()
        self.a.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    world = Pair()
    yield world
    world.close()


def joined(office: Office) -> int:
    return sum(isinstance(event, events.MemberJoined) for event in office.events)


def test_who_is_moved_is_what_he_was_and_nobody_is_told(pair: Pair) -> None:
    pair.use(pin_auth=True, user_pin="456", ask_names=True, join_muted=True)
    pair.b.rules.routes[r"30\d\d"] = Route("3000", "default", {"speaker": True, "auth": True})
    there = pair.up("127.0.0.7", node=OTHER)
    pair.run(8)  # its name is asked for, and it says nothing
    here = pair.up("127.0.0.6", "4000", follows=False)
    moved = pair.up("127.0.0.2", "4000")
    for phone in (here, moved):
        pair.press(phone, "456#")
    pair.run(3)
    assert [joined(office) for office in (pair.a, pair.b)] == [2, 1]
    member = pair.member(pair.a, 1)
    for name, on in (("speaker", True), ("mute", False), ("admin", True), ("agc", True)):
        member.set_flag(name, on)
    member.settings.step_talk(2)
    member.settings.agc_settings = Agc(500, 100, 5, 30)
    before = member.settings
    pair.run(3)
    for phone in (there, here, moved):
        phone.forget()
    pair.move()
    assert [len(office.conferences.named("3000").members) for office in (pair.a, pair.b)] == [1, 2]
    assert pair.member(pair.b, 1).settings == before, "rights, mute, volume: all as they were"
    for phone in (there, here, moved):
        for hertz in (JOINS, LEAVES, WELCOME):
            assert not phone.hears(hertz), (phone.address, hertz)
    left = [event.reason for event in pair.a.events if isinstance(event, events.MemberLeft)]
    assert left == ["moved to another node"]
    assert pair.b.logged("where the caller was on another node")
    assert pair.a.logged("transfer to sip:4000@127.0.0.200:5060;xconf=placed: 200") and not pair.a.logged(PARAMETER)
    moved.tone = 500.0
    pair.run(1)
    there.forget()
    pair.run(0.5)
    assert there.hears(500)
    moved.tone = None
    moved.hang_up()
    pair.run(1)
    assert there.hears(LEAVES), "who leaves in the end is told of as ever"


def test_a_locked_or_full_conference_keeps_those_who_are_in_it(pair: Pair) -> None:
    pair.use(max_members=2)
    pair.up("127.0.0.7", node=OTHER)
    pair.up("127.0.0.2")
    pair.b.conferences.named("3000").set_flag("locked", True)
    pair.up("127.0.0.3")
    pair.move()
    assert len(pair.b.conferences.named("3000").members) == 3


def test_who_went_to_another_conference_by_a_key_goes_on_in_that(pair: Pair) -> None:
    pair.up("127.0.0.2")
    member = pair.member(pair.a)
    member.move("4711", "wide")
    pair.run(0.5)
    pair.move()
    conference = pair.b.conferences.named("4711")
    assert len(conference.members) == 1 and conference.profile_name == "wide"
    assert pair.b.conferences.get("3000") is None


def test_who_has_not_given_his_pin_yet_is_asked_there(pair: Pair) -> None:
    pair.use(pin_auth=True, user_pin="456")
    phone = pair.up("127.0.0.2")
    pair.move()
    assert [PARAMETER in uri.params for uri in pair.told] == [False]
    assert joined(pair.b) == 0
    pair.press(phone, "456#")
    pair.run(1)
    assert joined(pair.b) == 1


@pytest.mark.parametrize("wrong", ["again", "another caller", "another secret", "late", "bent"])
def test_what_is_not_to_be_believed_makes_nobody_a_member(pair: Pair, wrong: str) -> None:
    pair.use(pin_auth=True, user_pin="456")
    phone = pair.up("127.0.0.2")
    pair.press(phone, "456#")
    pair.run(1)
    moves = Moves([b"x" * 32] if wrong == "another secret" else KEYS, lambda: pair.day + pair.a.now)
    member = pair.member(pair.a)
    member.set_flag("admin", True)
    uri = moves.seal(URI("sip", user="3000", host=OTHER), member, URI("sip", user="u3", host="127.0.0.3"))
    if wrong == "late":
        pair.day += WITHIN + 1
    if wrong == "bent":
        coded = uri.params[PARAMETER] or ""
        uri = uri.replaced(params={PARAMETER: coded[:-4] + ("AAAA" if coded[-4:] != "AAAA" else "BBBB")})
    if wrong == "again":
        first = pair.a.phone("127.0.0.5")
        pair.dial(first, str(uri), OTHER, "u3")
        pair.run(0.5)
        assert joined(pair.b) == 1
    stranger = pair.a.phone("127.0.0.3")
    pair.dial(stranger, str(uri), OTHER, "u4" if wrong == "another caller" else "u3")
    pair.run(1)
    assert stranger.is_up and joined(pair.b) == (wrong == "again"), "he is asked for the PIN"


@pytest.mark.parametrize("said", ["", "=", "a", "AAAA", "\u00e9", "A" * 3000, "AAAAAAAAAAAAAAAAAAAAAAe30"])
def test_nonsense_is_passed_over(pair: Pair, said: str) -> None:
    phone = pair.a.phone("127.0.0.3")
    pair.dial(phone, str(URI("sip", user="3000", host=OTHER, params={PARAMETER: said})), OTHER)
    pair.run(0.5)
    assert phone.is_up and joined(pair.b) == 1


def test_a_node_that_sends_the_caller_on_sends_along_what_he_was(pair: Pair) -> None:
    pair.up("127.0.0.2")
    pair.b.calls.placement = Node("127.0.0.201", always=True)
    pair.drain.begin(targets=[URI("sip", host=OTHER)])
    pair.run(0.5)
    (uri,) = pair.told
    assert "xconf" not in uri.params and uri.params[PARAMETER]
    contact = next(m.headers.get("Contact") for m in pair.b.sent("SIP/2.0 302"))
    assert contact == f"<sip:3000@127.0.0.201:5060;xconf=placed;{PARAMETER}={uri.params[PARAMETER]}>"


def test_whose_call_came_by_a_front_calls_that_again(pair: Pair) -> None:
    trunk = Trunk(name="front", front=True)
    pair.a.rules.trunk_of = lambda request, flow: trunk  # type: ignore[method-assign]
    phone = pair.a.phone("127.0.0.2")
    usual = phone._handle

    def handle(event: Event) -> None:
        if isinstance(event, Referred):
            pair.told.append(event.target)
            event.session.referrals.refuse(603, pair.a.now)
        else:
            usual(event)

    phone.sip.handle = handle
    routes = ["<sip:127.0.0.2;lr;r2=on>", "<sip:127.0.0.1:5060;transport=udp;lr;r2=on>"]
    phone.dial("3000", headers=[("Record-Route", route) for route in routes])
    pair.run(0.3)
    pair.drain.begin()
    pair.run(0.5)
    (uri,) = pair.told
    assert (uri.user, uri.host, uri.port, uri.transport) == ("3000", "127.0.0.1", 5060, "udp")
    assert set(uri.params) == {"transport", PARAMETER}, "and the front chooses the node"
