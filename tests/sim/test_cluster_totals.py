"""Totals of all nodes decide what members hear and who may come in; nobody is dropped because a node is gone."""

from __future__ import annotations

from dataclasses import replace

from town_world import Town

from xconf.cluster.node_command import nodes_command
from xconf.cluster.status import Load, Takes
from xconf.conference.events import NodeChanged

MUSIC = "music.wav"
ALONE = {"moh": MUSIC}


def test_two_members_on_two_nodes_are_not_alone_until_one_node_is_gone():
    town = Town("a", "b", profile=ALONE)
    ann, bob = town["a"].call(), town["b"].call()
    town.wait(10)
    assert (ann.hears, bob.hears) == ("mix", "mix")
    town.crash("b")
    town.wait(3.1)
    assert town["a"].gone == ["b"], "so that its sound ends"
    town.wait(8)
    assert ann.hears == MUSIC
    assert ann.ended is None
    town.start("b").call()
    town.wait(0.2)
    assert ann.hears == "mix"


def test_who_was_alone_hears_at_once_that_somebody_came_elsewhere():
    town = Town("a", "b", profile=ALONE)
    ann = town["a"].call()
    town.wait(10)
    assert ann.hears == MUSIC
    bob = town["b"].call()
    town.wait(0.2)
    assert ann.hears == "mix"
    bob.hang_up()
    town.wait(10)
    assert ann.hears == MUSIC


def test_an_administrator_on_another_node_lets_all_in():
    town = Town("a", "b", "c", profile={**ALONE, "wait_for_admin": True})
    ann, bob = town["a"].call(), town["b"].call()
    town.wait(10)
    assert (ann.hears, bob.hears) == (MUSIC, MUSIC)
    town["c"].call(flags="+speaker +admin")
    town.wait(0.3)
    assert (ann.hears, bob.hears) == ("mix", "mix")
    late = town["c"].call("3000", flags="")
    town.wait(10)
    assert late.hears == "mix"


def test_a_conference_ends_on_all_nodes_when_its_last_administrator_leaves():
    town = Town("a", "b", profile={"end_without_admin": True, "admin_grace": 5})
    ann, admin = town["a"].call(), town["b"].call(flags="+speaker +admin")
    town.wait(3)
    admin.hang_up()
    town.wait(4)
    assert ann.ended is None
    town.wait(8)
    assert ann.ended == "conference ended"


def test_an_administrator_elsewhere_keeps_a_conference_going():
    town = Town("a", "b", profile={"end_without_admin": True, "admin_grace": 5})
    ann, first = town["a"].call(), town["a"].call(flags="+speaker +admin")
    town["b"].call(flags="+speaker +admin")
    town.wait(3)
    first.hang_up()
    town.wait(30)
    assert ann.ended is None


def test_a_conference_does_not_end_at_once_because_its_administrators_node_is_out_of_sight():
    town = Town("a", "b", profile={"end_without_admin": True, "admin_grace": 5})
    ann = town["a"].call()
    town["b"].call(flags="+speaker +admin")
    town.wait(3)
    town.parted = {"b"}
    town.wait(25)
    assert town["a"].node.get("3000").others.members == 0
    town.parted = set()
    town.wait(60)
    assert ann.ended is None
    town.crash("b")
    town.wait(55)
    assert ann.ended == "conference ended"


def test_a_lock_holds_on_all_nodes_also_on_those_that_come_later():
    town = Town("a", "b")
    ann = town["a"].call()
    town["b"].call()
    town.wait(1)
    town["a"].did("3000 flags +locked")
    town.wait(0.2)
    barred = town["b"].call()
    town.start("c")
    town.wait(0.2)
    also = town["c"].call()
    town.wait(10)
    assert (barred.ended, also.ended) == ("conference locked", "conference locked")
    assert ann.ended is None


def test_a_lock_ends_when_the_last_has_left_wherever_that_is():
    town = Town("a", "b")
    ann, bob = town["a"].call(), town["b"].call()
    town.wait(1)
    town["a"].did("3000 flags +locked")
    town.wait(0.2)
    ann.hang_up()
    town.wait(2)
    assert town["a"].node.get("3000").locked
    bob.hang_up()
    town.wait(2)
    late = town["a"].call()
    town.wait(10)
    assert late.ended is None


def test_flags_that_were_changed_while_nodes_were_parted_are_the_same_afterwards():
    town = Town("a", "b", "c")
    for node in town.nodes.values():
        node.call()
    town.wait(1)
    town.parted = {"c"}
    town.wait(4)
    town["a"].did("3000 flags -vad")
    town["a"].did("3000 flags +locked")
    town["c"].did("3000 flags -alone-snd")
    town.parted = set()
    town.wait(1.5)
    flags = [set(node.node.get("3000").flags) for node in town.nodes.values()]
    assert flags[0] == flags[1] == flags[2]
    assert "locked" in flags[0] and "vad" not in flags[0]


def test_a_conference_is_full_when_it_is_on_all_nodes_together():
    town = Town("a", "b", profile={"max_members": 3})
    town["a"].call(), town["b"].call()
    town.wait(0.2)
    conference = town["a"].node.get("3000")
    conference.require_room()
    town["b"].call()
    town.wait(0.2)
    try:
        conference.require_room()
    except Exception as error:
        assert "3" in str(error)
    else:
        raise AssertionError("there is no room")


def test_totals_are_shown():
    town = Town("a", "b")
    town["a"].call()
    for _ in range(4):
        town["b"].call(flags="")
    town.wait(0.2)
    (row,) = town["a"].do("list").data
    assert (row["members"], row["all-members"], row["all-speakers"]) == (1, 5, 1)
    assert [row["node"] for row in town["b"].do("3000 show nodes").data] == ["b", "a"]


def test_coming_and_going_of_nodes_is_told():
    town = Town("a", "b")
    town.crash("b")
    town.wait(3.1)
    town.start("b")
    town.wait(0.1)
    town["b"].census.stop()
    town.wait(0.1)
    told = [(event.node, event.state) for event in town["a"].of(NodeChanged)]
    assert told == [("b", "joined"), ("b", "silent"), ("b", "returned"), ("b", "left")]


def test_the_table_of_nodes():
    town = Town("a", "b")
    town["a"].table.add([nodes_command(town["a"].census, Load)])
    town["b"].call()
    town.wait(1)
    town.crash("b")
    town.start("c")
    town.wait(3.1)
    rows = town["a"].do("nodes").data
    assert [(row["node"], row["state"]) for row in rows] == [("a", "this one"), ("b", "silent"), ("c", "here")]
    assert rows[1]["losses"] == 1


def test_the_table_of_nodes_tells_where_callers_are_sent_to():
    town = Town("a", "b")
    there = Load(uri="sip:192.0.2.21", region="eu", takes=Takes.LISTENERS)
    town["a"].table.add([nodes_command(town["a"].census, lambda: there)])
    town.wait(1)
    reply = town["a"].do("nodes")
    assert [(row["region"], row["takes"], row["sip"]) for row in reply.data] == [
        ("eu", "listeners", "sip:192.0.2.21"),
        ("", "none", ""),
    ]
    assert reply.text.splitlines()[1].endswith("eu      listeners  sip:192.0.2.21")


def test_kamailios_list_of_the_nodes():
    town = Town("a", "b", "c", "d")
    for number, node in enumerate(town.nodes.values()):
        node.load = Load(2, 10, uri=f"sip:192.0.2.{number}")
    town["a"].table.add([nodes_command(town["a"].census, lambda: town["a"].load)])
    town.wait(1.2)
    town["b"].load = replace(town["b"].load, draining=True)
    town.crash("c")
    town["d"].census.stop()
    town.wait(0.1)
    town.crash("d")
    town.wait(3.1)
    reply = town["a"].do("nodes --dispatcher")
    assert [(row["node"], row["sip"], row["flags"]) for row in reply.data] == [
        ("a", "sip:192.0.2.0", 8),
        ("b", "sip:192.0.2.1", 9),  # takes no calls, but has some
        ("c", "sip:192.0.2.2", 9),  # and who knows whether this one does
    ]
    lines = reply.text.splitlines()
    assert lines[0].startswith("# kamailio's dispatcher list, written by node a at 1970-01-01 00:00:0")
    assert [line for line in lines if not line.startswith("#")] == [
        "1 sip:192.0.2.0 8 0 rweight=98",
        "1 sip:192.0.2.1 9 0 rweight=1",
        "1 sip:192.0.2.2 9 0 rweight=1",
    ]


def test_a_list_of_no_nodes_takes_no_others_place():
    town = Town("a", "b")
    town["a"].table.add([nodes_command(town["a"].census, Load)])
    town.wait(1)
    refused = town["a"].do("nodes --dispatcher")
    assert not refused.ok and "cluster.router" in refused.text
    assert "--dispatcher" in town["a"].do("nodes --csv").text


def test_what_was_flushed_is_told_anew():
    town = Town("a", "b")
    town["a"].call(), town["b"].call()
    town.wait(0.2)
    assert town["a"].did("dm-flush-status-cache") == "forgot 1 nodes"
    town.wait(1.5)
    assert town["a"].do("list").data[0]["all-members"] == 2
