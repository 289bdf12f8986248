"""Commands on any node for members on all, over a broker that may fail, lose and show what it carries."""

from __future__ import annotations

from typing import Any

import pytest
from town_world import SECRET, SteeredTown

from xconf.cluster.bus.post import Ask, Correspondent, Post, Told
from xconf.cluster.seal import key_id


@pytest.fixture
def town() -> SteeredTown:
    town = SteeredTown("a", "b", "c")
    town["a"].call(caller="Ann <1001>", flags="+speaker +admin")
    town["b"].call(caller="Bob <1002>")
    town["b"].call(caller="Bea <1003>")
    town["c"].call(caller="Cid <1004>", flags="")
    town.wait(7)
    return town


def uuid_of(town: SteeredTown, name: str, caller: str) -> str:
    return next(m.id for m in town[name].node.get("3000").members.values() if m.caller.startswith(caller))


@pytest.mark.parametrize("node", ["a", "b", "c"])
def test_members_of_all_nodes_are_shown_on_any(town, node):
    rows = town.ask(node, "3000 show members").data
    assert {(row["node"], row["caller"][:3]) for row in rows} == {
        ("a", "Ann"),
        ("b", "Bob"),
        ("b", "Bea"),
        ("c", "Cid"),
    }
    assert "without" not in town.did(node, "3000 show members")


def test_a_thousand_members_elsewhere_are_shown():
    town = SteeredTown("a", "b")
    for _ in range(1000):
        town["b"].call(flags="")
    town.wait(1)
    assert len(town.ask("a", "3000 show members").data) == 1000


@pytest.mark.parametrize("who", ["uuid", "Bea", "1003"])
def test_a_member_on_another_node_is_kicked_by_uuid_name_or_number(town, who):
    bea = next(m.call for m in town["b"].node.get("3000").members.values() if m.caller.startswith("Bea"))
    word = uuid_of(town, "b", "Bea") if who == "uuid" else who
    assert town.did("a", f"3000 member {word} kick") == f"kicked {bea.member.id}"
    town.wait(5)
    assert bea.ended == "kicked"


def test_flags_and_playback_of_a_member_elsewhere(town):
    cid = next(iter(town["c"].node.get("3000").members.values()))
    assert "speaker" in town.did("b", f"3000 member {cid.id} flags +speaker")
    assert cid.settings.speaker
    assert town.did("b", f"3000 member {cid.id} playback news.wav async") == "playing news.wav"
    town.wait(2.5)
    assert "news.wav" in cid.call.heard
    assert town.did("b", "3000 member Cid playback stop") == "stopped"


def test_who_waits_for_the_end_of_a_sound_elsewhere_is_told_when_it_ends(town):
    cid = next(iter(town["c"].node.get("3000").members.values()))
    assert town.ask("a", f"3000 member {cid.id} playback news.wav", within=8).text == "played news.wav"


def test_the_conference_ends_on_all_nodes(town):
    calls = [m.call for node in town.nodes.values() for m in node.node.get("3000").members.values()]
    text = town.did("c", "3000 term")
    assert text.splitlines()[0] == "c: 3000 ends, with 1 members"
    assert not any(mix.linked for node in town.nodes.values() for mix in node.media.mixes), "or all goodbyes are heard"
    town.wait(20)
    assert {call.ended for call in calls} == {"conference ended"}


def test_all_are_muted_by_command_or_by_an_administrators_key():
    town = SteeredTown("a", "b")
    for node in town.nodes.values():
        node.configure({}, {"default": {"5": "mute-all"}, "admin": {"5": "mute-all"}})
        node.node.reload(node.profiles, node.controls)
    admin = town["a"].call(flags="+speaker +admin")
    bob = town["b"].call()
    town.wait(7)
    town.did("b", "3000 mute-all")
    assert bob.leg.mute
    played = [mix.played.count("all-muted.wav") for node in town.nodes.values() for mix in node.media.mixes]
    assert played == [0, 1], "once: the tunnel brings it to the others"
    town.did("a", "3000 unmute-all")
    town.wait(0.1)
    assert not bob.leg.mute
    admin.press("5")
    town.wait(1)
    assert bob.leg.mute


def latecomers() -> tuple[SteeredTown, dict[str, Any]]:
    """Who came to which node, one second after the other; Zoe, an administrator, last."""
    town, calls = SteeredTown("a", "b"), {}
    for node in town.nodes.values():
        node.configure({}, {"default": {"5": "kick-last"}, "admin": {"5": "kick-last"}})
        node.node.reload(node.profiles, node.controls)
    for name, where in (("Ann", "a"), ("Bob", "b"), ("Cid", "a"), ("Dan", "b")):
        flags = "+speaker +admin" if name == "Ann" else "+speaker"
        calls[name] = town[where].call(caller=f"{name} <1>", flags=flags)
        town.wait(1)
    calls["Zoe"] = town["a"].call(caller="Zoe <1>", flags="+speaker +admin")
    town.wait(7)
    return town, calls


def test_who_came_last_on_any_node_is_removed():
    town, calls = latecomers()
    assert town.did("a", "3000 kick-last").endswith("Dan <1>")
    town.wait(5)
    assert town.did("b", "3000 kick-last").endswith("Cid <1>")
    town.wait(5)
    assert town.did("b", "3000 kick-last").endswith("Bob <1>")
    town.wait(5)
    assert town.ask("b", "3000 kick-last").text == "nobody in 3000 can be removed"
    assert {name for name, call in calls.items() if call.ended} == {"Bob", "Cid", "Dan"}


def test_an_administrators_key_removes_who_came_last_on_any_node():
    town, calls = latecomers()
    calls["Ann"].press("5")
    town.wait(5)
    assert calls["Dan"].ended == "kicked" and not calls["Cid"].ended
    town.broker.up = False
    calls["Ann"].press("5")
    town.wait(5)
    assert calls["Cid"].ended == "kicked" and not calls["Bob"].ended, "without the bus it is done on this node"


def test_who_came_last_is_found_without_the_bus_on_this_node_alone_which_is_said():
    town, calls = latecomers()
    town.broker.up = False
    text = town.did("a", "3000 kick-last")
    assert "Cid <1>" in text and text.endswith("without b: the bus between the nodes (RabbitMQ) cannot be reached")
    town.wait(5)
    assert calls["Cid"].ended == "kicked" and not calls["Dan"].ended


def test_a_conference_that_is_only_elsewhere_is_steered_all_the_same():
    town = SteeredTown("a", "b")
    bob = town["b"].call()
    town.wait(7)
    assert town.did("a", "3000 playback news.wav async") == "playing news.wav"
    assert town["b"].media.mixes[0].sounds == ["news.wav"]
    assert "locked" in town.did("a", "3000 flags +locked")
    assert town["b"].node.get("3000").locked
    assert town.ask("a", "3000 show status").data["members"] == 1
    town.did("a", "3000 member 1001 kick")
    town.wait(5)
    assert bob.ended == "kicked"


def test_conferences_of_other_nodes_are_listed():
    town = SteeredTown("a", "b")
    town["a"].call("1000")
    town["b"].call("2000"), town["b"].call("2000", flags="")
    town.wait(0.2)
    rows = town.ask("a", "list").data
    assert [(row["name"], row["members"], row["all-members"], row["all-speakers"]) for row in rows] == [
        ("1000", 1, 1, 1),
        ("2000", 0, 2, 1),
    ]


def test_what_happens_on_all_nodes_is_followed_on_one(town):
    follower = town["a"].desk.follower
    feed, one = follower.feed(""), follower.feed("4000")
    news: list[int] = []
    for each in (feed, one):
        each.listen(lambda: news.append(1))
    town.wait(0.3)
    bob = next(iter(town["b"].node.get("3000").members.values())).call
    town["c"].call("4000")
    bob.hang_up()
    town["a"].did("3000 flags +locked")
    town.wait(0.5)
    assert news
    told = feed.read()
    assert {("b", "member-left"), ("c", "member-joined"), ("a", "flag-changed")} <= {
        (row["node"], row["event"]) for row in told
    }
    assert {row["conference"] for row in one.read()} == {"4000"}
    feed.close(), one.close()
    town.wait(15)
    assert len(town["b"].desk._teller) == 0, "nobody is told who does not ask any more"


def test_a_node_that_comes_later_is_followed_too_and_a_slow_reader_is_told_what_it_missed():
    town = SteeredTown("a")
    feed = town["a"].desk.follower.feed("")
    feed.listen(lambda: None)
    town.start("b")
    town.wait(4)
    feed.read()
    for _ in range(1200):
        town["b"].call(flags="").hang_up()
        town.wait(0.05)
    town.wait(3)
    first, second, *_ = feed.read()
    assert first["event"] == "events-lost" and first["count"] > 50
    assert second["node"] == "b"
    feed.close()


def test_what_is_played_on_one_node_is_stopped_from_another(town):
    town.did("b", "3000 playback news.wav async")
    town.wait(0.3)
    assert town.did("c", "3000 playback stop") == "stopped"
    assert [mix.sounds for node in town.nodes.values() for mix in node.media.mixes] == [[], [], []]


def test_unknown_and_ambiguous_members():
    town = SteeredTown("a", "b")
    town["a"].call(caller="Ann <1>"), town["b"].call(caller="Ann <2>")
    town.wait(1)
    result = town.ask("a", "3000 member Ann kick")
    assert not result.ok and "is 2 members of 3000" in result.text
    result = town.ask("a", "3000 member Zoe kick")
    assert (result.ok, result.text) == (False, "no member 'Zoe' in 3000 on any node")


def test_without_the_broker_what_is_here_works_and_the_rest_is_said(town):
    town.broker.up = False
    text = town.did("a", "3000 show members")
    assert text.splitlines()[-1] == "without b, c: the bus between the nodes (RabbitMQ) cannot be reached"
    assert len(town.ask("a", "3000 show members").data) == 1
    ann = uuid_of(town, "a", "Ann")
    assert town.ask("a", f"3000 member {ann} flags +mute").ok
    result = town.ask("a", "3000 member Bob kick")
    assert not result.ok and result.text.endswith("(RabbitMQ) cannot be reached")
    assert town.ask("a", "list").data[0]["all-members"] == 4, "totals go on"
    town.did("a", "3000 flags +locked")
    town.wait(0.3)
    assert town["c"].node.get("3000").locked, "so do flags"
    town.broker.up = True
    assert len(town.ask("a", "3000 show members").data) == 4


def test_a_broker_that_loses_letters_costs_patience_and_nothing_else(town):
    town.broker.lost = 1.0
    text = town.did("a", "3000 show members")
    assert text.splitlines()[-1] == "without b, c: no answer"
    town.broker.lost = 0.3
    for _ in range(20):
        town.ask("a", "3000 show members")
    town.broker.lost = 0.0
    assert len(town.ask("a", "3000 show members").data) == 4
    assert len(town["a"].desk._questions) == 0


def test_a_node_that_crashes_while_it_is_asked(town):
    town.crash("c")
    result = town.ask("a", "3000 show members")
    assert {row["node"] for row in result.data} == {"a", "b"}
    assert "without c" in result.text
    town.wait(3)
    assert "without" not in town.did("a", "3000 show members")


def test_a_node_alone_writes_no_letters():
    town = SteeredTown("a")
    town["a"].call()
    assert "node" not in town.ask("a", "3000 show members").data[0]
    assert town.broker.letters == []


def test_nobody_else_on_the_broker_can_ask_or_repeat(town):
    town.did("a", "3000 member Bea flags +deaf")
    bea = uuid_of(town, "b", "Bea")
    town.did("b", f"3000 member {bea} flags -deaf")
    for to, letter in list(town.broker.letters):
        town.broker.deliver(to, letter)  # whoever reads the broker sends it again
        town.broker.deliver("b", letter)
        town.broker.deliver("b", letter[:-1] + bytes((letter[-1] ^ 1,)))
        town.broker.deliver("b", letter[:50])
    town.wait(1)
    assert not town["b"].node.get("3000").members[bea].settings.deaf
    dropped = town["b"].desk._post.dropped
    assert set(dropped) >= {"replayed", "astray", "forged"}
    assert not any(b"Bea" in letter for _, letter in town.broker.letters), "callers' names are not for the broker"


def test_a_letter_to_a_former_run_of_a_node_is_not_taken():
    epochs = {"a": 5, "b": 7}
    posts = {n: Post(n, epochs[n], [SECRET], lambda o: Correspondent(epochs[o], {key_id(SECRET)})) for n in epochs}
    letter = posts["a"].seal("b", Ask(1, "run", ["3000", "term"]))
    epochs["b"] = 8
    again = Post("b", 8, [SECRET], lambda o: Correspondent(epochs[o], {key_id(SECRET)}))
    assert again.open(letter) is None
    assert again.dropped == {"astray": 1}
    assert posts["b"].open(letter) == ("a", Ask(1, "run", ["3000", "term"]))


def test_two_secrets_during_a_change():
    old, new = SECRET, b"the secret of tomorrow"
    keys = {"a": [new, old], "b": [old]}
    posts = {
        name: Post(name, 1, keys[name], lambda other: Correspondent(1, [key_id(secret) for secret in keys[other]]))
        for name in keys
    }
    assert posts["b"].open(posts["a"].seal("b", Told(1, True, ""))) is not None
    keys["b"] = [new]
    posts["b"].adopt([new])
    assert posts["b"].open(posts["a"].seal("b", Told(1, True, ""))) is not None
