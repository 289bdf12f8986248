"""What one node tells another of a call that it forwards is believed if it is genuine, of this call, for this node, new and fresh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.calls.once import MOST, WITHIN
from xconf.calls.placed import HEADER, Placed, Placements
from xconf.sip.message import Request


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def invite(call_id: str = "one", tag: str = "t") -> Request:
    return Request("INVITE", "sip:3000@192.0.2.2", [("From", f"<sip:1001@192.0.2.9>;tag={tag}"), ("Call-ID", call_id)])


def nodes(clock: Clock, *names: str) -> list[Placements]:
    return [Placements(name, [b"the key"], clock) for name in names]


def sealed(by: Placements, request: Request, to: str = "b", *, host: str = "192.0.2.9", trunk: str = "") -> Request:
    request.headers.set(*by.seal(request, host, trunk, to))
    return request


def test_what_the_first_node_has_found_out_is_believed() -> None:
    a, b = nodes(Clock(), "a", "b")
    assert b.open(sealed(a, invite(), trunk="carrier")) == Placed("192.0.2.9", "carrier", "a")
    assert b.open(invite()) is None


@given(st.text(min_size=1), st.text(), st.text())
def test_any_name_comes_through(node: str, trunk: str, host: str) -> None:
    try:
        f"{node}{trunk}{host}".encode()
    except UnicodeEncodeError:
        return
    a, b = nodes(Clock(), node, "b")
    assert b.open(sealed(a, invite(), host=host, trunk=trunk)) == Placed(host, trunk, node)


def test_it_is_taken_once_and_not_by_another_node() -> None:
    a, b, c = nodes(Clock(), "a", "b", "c")
    request = sealed(a, invite())
    assert c.open(request) is None
    assert b.open(request) is not None
    assert b.open(request) is None


@pytest.mark.parametrize(
    ("away", "believed"), [(0, True), (WITHIN - 1, True), (WITHIN + 1, False), (-WITHIN - 1, False)]
)
def test_it_is_believed_for_a_minute(away: float, believed: bool) -> None:
    clock = Clock()
    a, b = nodes(clock, "a", "b")
    request = sealed(a, invite())
    clock.now += away
    assert (b.open(request) is not None) is believed


def test_it_belongs_to_one_call() -> None:
    a, b = nodes(Clock(), "a", "b")
    value = sealed(a, invite()).headers.get(HEADER)
    assert value is not None
    for other in (invite(call_id="two"), invite(tag="u")):
        other.headers.set(HEADER, value)
        assert b.open(other) is None


@given(st.data())
def test_nothing_of_it_can_be_changed(data: st.DataObject) -> None:
    a, b = nodes(Clock(), "a", "b")
    request = sealed(a, invite(), trunk="carrier")
    value = request.headers.get(HEADER) or ""
    place = data.draw(st.integers(0, len(value) - 1))
    char = data.draw(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]))
    changed = value[:place] + char + value[place + 1 :]
    request.headers.set(HEADER, changed)
    assert (b.open(request) is not None) is (changed == value)


@pytest.mark.parametrize("value", ["", ";seal=", "seal=", "from=1;seal=é", "from=192.0.2.9;trunk=;by=a;at=x;seal=00"])
def test_nonsense_is_not_believed(value: str) -> None:
    (b,) = nodes(Clock(), "b")
    request = invite()
    request.headers.set(HEADER, value)
    assert b.open(request) is None


def test_while_the_secret_is_changed_both_count() -> None:
    clock = Clock()
    a, b = nodes(clock, "a", "b")
    a.keys, b.keys = [b"new", b"the key"], [b"the key", b"new"]
    assert b.open(sealed(a, invite())) is not None
    b.keys = [b"the key"]
    assert b.open(sealed(a, invite("two"))) is None


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    a, b = nodes(clock, "a", "b")
    for number in range(MOST + 10):
        assert b.open(sealed(a, invite(str(number)))) is not None
    assert len(b._once._taken) == MOST
    clock.now += 3 * WITHIN
    assert b.open(sealed(a, invite("last"))) is not None
    assert len(b._once._taken) == 1
