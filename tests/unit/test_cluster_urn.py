"""Names that are drawn by their weights."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.cluster.urn import Urn

NAMES = [f"n{number}" for number in range(256)]


def urn(weights: dict[str, float]) -> Urn:
    made = Urn()
    for name, weight in weights.items():
        made.put(name, weight)
    return made


def test_names_are_drawn_as_they_weigh() -> None:
    one = urn({"a": 1, "b": 2, "c": 5})
    drawn = Counter(one.draw(str(number)) for number in range(2000))
    assert drawn["a"] == pytest.approx(250, abs=60)
    assert drawn["b"] == pytest.approx(500, abs=80)
    assert drawn["c"] == pytest.approx(1250, abs=90)


def test_of_256_each_has_its_share() -> None:
    drawn = Counter(urn(dict.fromkeys(NAMES, 3.0)).draw(str(number)) for number in range(25_600))
    assert len(drawn) == 256 and max(drawn.values()) < 150 and min(drawn.values()) > 55


def test_few_draws_change_when_one_name_goes() -> None:
    one = urn(dict.fromkeys(NAMES, 1.0))
    before = [one.draw(str(number)) for number in range(5000)]
    one.remove("n7")
    after = [one.draw(str(number)) for number in range(5000)]
    moved = sum(old != new for old, new in zip(before, after, strict=True) if old != "n7")
    assert "n7" not in after and "n7" in before
    assert moved < 5000 * 0.05


def test_the_draws_are_the_same_on_any_machine() -> None:
    one = urn({"a": 1, "b": 2, "c": 5})
    assert "".join(one.draw(f"30{number:02}") for number in range(20)) == "cbcbaccccbcaaccaccac"


CHANGES = st.lists(st.tuples(st.sampled_from(NAMES[:20]), st.integers(0, 5)), max_size=60)


@given(CHANGES, st.text(max_size=8))
def test_whichever_way_the_weights_came_about_the_draw_is_the_same(changes: list[tuple[str, int]], what: str) -> None:
    one, last = Urn(), dict(changes)
    for name, weight in changes:
        if weight:
            one.put(name, weight)
        else:
            one.remove(name)
    there = {name: weight for name, weight in last.items() if weight}
    assert set(one) == there.keys() and len(one) == len(there)
    assert all((name in one) == (name in there) for name in NAMES)
    if there:
        assert one.draw(what) == urn(there).draw(what)
        assert one.draw(what) in there


def test_a_name_alone_is_drawn_always_also_by_what_is_no_unicode() -> None:
    assert {urn({"a": 0.01}).draw(what) for what in ("", "x", "\udcff")} == {"a"}
