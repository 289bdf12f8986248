"""Keys that are set in a conference while it runs: nodes that come to it later have them, too."""

from __future__ import annotations

import pytest
from town_world import SteeredTown

from xconf.conference.profile import Profile


def profile_on(town: SteeredTown, node: str) -> Profile:
    conference = town[node].node.get("3000")
    assert conference is not None
    return conference.profile


def set_on_a(*changes: str) -> SteeredTown:
    """Somebody is in the conference on node a, where these were set; the others do not have it."""
    town = SteeredTown("a", "b", "c")
    town["a"].call(caller="Ann <1>")
    town.wait(1)
    for change in changes:
        town.ask("a", f"3000 set {change}")
    town.wait(1)
    return town


def test_a_node_that_comes_later_has_what_was_set():
    town = set_on_a("vad.level 500", "user_pin 4711", "member_join chime.wav", "vad.level 600", "sound_prefix ''")
    town["b"].call(caller="Bob <2>")
    town.wait(0.2)
    profile = profile_on(town, "b")
    assert (profile.vad.level, profile.user_pin, profile.member_join) == (600, "4711", "chime.wav")
    town["b"].node.get("3000").expect()
    town.wait(5)
    town["c"].call(caller="Cid <3>")
    town.wait(1)
    assert profile_on(town, "c").vad.level == 600


def test_where_nothing_was_set_nobody_is_asked():
    town = set_on_a()
    town["b"].call(caller="Bob <2>")
    town.wait(5)
    assert not town.broker.letters


def test_what_is_set_on_all_is_not_asked_for_besides():
    town = set_on_a()
    town["b"].call(caller="Bob <2>")
    town.wait(1)
    town.ask("b", "3000 set vad.level 500")
    town.wait(5)
    assert profile_on(town, "a").vad.level == profile_on(town, "b").vad.level == 500
    assert len(town.broker.letters) == 2, "the order, and that it is done"


def test_who_was_not_reached_has_it_when_the_bus_is_back():
    town = set_on_a()
    town["b"].call(caller="Bob <2>")
    town.wait(1)
    town.broker.up = False
    assert "without b" in town.ask("a", "3000 set vad.level 500").text
    town.wait(5)
    assert profile_on(town, "b").vad.level != 500
    town.broker.up = True
    town.wait(5)
    assert profile_on(town, "b").vad.level == 500


def test_two_nodes_that_have_set_other_keys_agree_and_then_ask_no_more():
    town = set_on_a()
    town["b"].call(caller="Bob <2>")
    town.wait(1)
    town.broker.up = False
    for node, change in (("a", "vad.level 500"), ("a", "vad.level 700"), ("b", "max_members 50")):
        town.ask(node, f"3000 set {change}")
    town.broker.up = True
    town.wait(10)
    assert profile_on(town, "b").vad.level == 700
    letters = len(town.broker.letters)
    town.wait(30)
    assert len(town.broker.letters) == letters


def test_what_cannot_be_set_here_is_left_and_the_rest_is_taken():
    town = set_on_a("user_controls other", "vad.level 500")
    conference = town["a"].node.get("3000")
    town["a"].census.set_keys.noted("3000", "user_controls")
    conference.profile = type(conference.profile)(**{**plain(conference.profile), "user_controls": "only-here"})
    town.wait(2)
    town["b"].call(caller="Bob <2>")
    town.wait(3)
    assert profile_on(town, "b").vad.level == 500 and profile_on(town, "b").user_controls != "only-here"
    letters = len(town.broker.letters)
    town.wait(30)
    assert len(town.broker.letters) == letters


def plain(profile: Profile) -> dict[str, object]:
    return {name: getattr(profile, name) for name in profile.__struct_fields__}


def test_a_node_that_says_nonsense_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    town = set_on_a("vad.level 500")
    answers = iter([[], ["x"], [3, ["vad.level"], ["vad.level", 7], "y", ["vad.level", "900"]]])

    def tell(words: list[str]):
        yield from ()
        return next(answers)

    town["a"].desk.finders["keys"] = tell
    town["b"].call(caller="Bob <2>")
    town.wait(1)
    before = profile_on(town, "b").vad.level
    assert before not in (500, 900)
    town.wait(5)
    assert profile_on(town, "b").vad.level == 900


def test_nothing_is_kept_of_a_conference_that_is_over():
    town = set_on_a("vad.level 500")
    bob = town["b"].call(caller="Bob <2>")
    town.wait(2)
    assert len(town["a"].census.set_keys) == len(town["b"].census.set_keys) == 1
    town.did("a", "3000 term")
    town.wait(40)
    assert bob.ended
    assert len(town["a"].census.set_keys) == len(town["b"].census.set_keys) == 0
    assert not town["b"].latecomer._asking
