"""Management commands: what they show, and what they say when they are wrong."""

from __future__ import annotations

import json
import uuid

import pytest
from conference_world import World


@pytest.fixture
def world() -> World:
    world = World()
    world.settled(caller="Ann <1001>", flags="+speaker +admin")
    world.settled(caller='"Bob Smith" <1002>', flags="")
    return world


def test_list_shows_all_conferences_in_columns(world: World) -> None:
    world.call("5000", profile="pin")
    heading, first, second = world.did("list").splitlines()
    columns = "NAME ID PROFILE MEDIA MEMBERS ALL-MEMBERS SPEAKERS ALL-SPEAKERS WAITING ACCESS SECONDS"
    assert heading == heading.rstrip() and heading.split() == columns.split()
    name, number, *rest = first.split()
    assert (name, str(uuid.UUID(number))) == ("3000", number)
    assert rest == ["default", "8000/20/1", "2", "2", "1", "1", "0", "open", "12"]
    assert second.split()[2:] == ["pin", "8000/20/1", "0", "0", "0", "0", "1", "pin", "0"]
    assert second.index("pin") == heading.index("PROFILE")
    assert World().did("list") == "no conferences"


def test_members_are_shown_with_whole_uuids(world: World) -> None:
    text = world.did("3000 show members")
    heading, ann, bob = text.splitlines()
    assert heading.split() == [
        "UUID",
        "ROLE",
        "FLAGS",
        "TALKING",
        "VAD",
        "TALK",
        "LISTEN",
        "SECONDS",
        "CODEC",
        "CALLER",
    ]
    assert str(uuid.UUID(ann.split()[0])) == ann.split()[0]
    assert ann.split()[1:3] == ["admin", "speaker,admin,vad,cng"]
    assert bob.split()[1:3] == ["listener", "vad,cng"]
    assert bob.endswith('"Bob Smith" <1002>')


def test_programs_get_the_same_as_data(world: World) -> None:
    assert [row["role"] for row in world.do("3000 show members").data] == ["admin", "listener"]
    assert world.do("list").data[0]["members"] == 2
    assert world.do("3000 show status").data["flags"] == ["transcoding", "status-xchg", "alone-snd", "vad", "cng"]
    member = world.do("3000 member 1001 status").data
    assert (member["caller"], member["packets"], member["stage"]) == ("Ann <1001>", 0, "in")
    for line in ("list", "help", "3000 show status", "3000 show members", "3000 member ann status"):
        json.dumps(world.do(line).data)


@pytest.mark.parametrize("word", ["1001", "ann", "Ann <1001>", "ANN"])
def test_a_member_is_found_by_name_or_number(world: World, word: str) -> None:
    assert world.do(["3000", "member", word, "status"]).data["role"] == "admin"


def test_a_name_that_two_have_is_refused_with_their_uuids(world: World) -> None:
    other = world.settled(caller="Ann <1009>")
    refused = world.do("3000 member ann kick")
    assert not refused.ok
    assert "'ann' is 2 members of 3000; which?" in refused.text
    assert other.member.id in refused.text
    assert world.do("3000 member 1009 kick").ok


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "no command; try help"),
        ("lst", "no command 'lst'; did you mean list?"),
        ("300 term", "no conference '300'; did you mean 3000?"),
        ("9 show members", "no conference '9'; there is 3000"),
        ("3000", "what about 3000? there is"),
        ("3000 tern", "no command 'tern'; did you mean term?"),
        ("3000 show", "show needs an argument: show status|profile|groups|members|nodes|waiting"),
        ("3000 show cats", "show: 'cats' is not one of status, profile, groups, members, nodes, waiting"),
        ("3000 term now", "term takes no argument"),
        ("3000 flags +loud", "flags: no flag 'loud'"),
        ("3000 flags loud", "flags: 'loud' needs a + or a - before it"),
        ("3000 member", "a member and a command are needed"),
        ("3000 member ann", "a member and a command are needed"),
        ("3000 member anne kick", "no member 'anne' in 3000; did you mean ann"),
        ("3000 member ann kik", "no command 'kik'; did you mean kick"),
        ("3000 member ann vol-talk loud", "vol-talk: 'loud' is not like +1, -1 or 0"),
        ("3000 member ann set agc 1:2", "set: '1:2' is not like 600:100:3:20"),
        ("3000 member ann set colour red", "set: 'colour' cannot be set; there is agc"),
        (
            "3000 playback",
            "playback needs an argument: playback FILE|FOLDER|tone_stream://… [async] | queue SOUND [async] | stop",
        ),
        ('3000 "', "no closing quotation"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(world: World, line: str, text: str) -> None:
    result = world.do(line)
    assert not result.ok
    assert result.text.startswith(text)
    assert "\n" not in result.text


def test_help_has_every_command_with_its_usage(world: World) -> None:
    text = world.did("help")
    for usage in (
        "list",
        "<conference> show status|profile|groups|members|nodes|waiting",
        "<conference> member <member> vol-talk +N|-N|0",
    ):
        assert usage in text.splitlines()
    assert len(world.did("help agc-level").splitlines()) == 2
    assert all(told["help"] for told in world.do("help").data)


def test_keypad_commands_work_from_the_socket_too(world: World) -> None:
    assert world.did("3000 member ann vol-talk +2") == "vol-talk: +2"
    assert world.did("3000 member ann vad-level +100") == "vad-level: 400"
    world.did("3000 member ann mute")
    assert "mute" in world.did("3000 member ann flags")


def test_control_characters_of_a_caller_reach_no_terminal() -> None:
    world = World()
    world.call(caller="\x1b[31mEve\r\n9999 term\x00 <1>" + "x" * 500)
    text = world.did("3000 show members")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2
    assert len(text.splitlines()[1]) < 200


def test_a_file_name_may_have_spaces(world: World) -> None:
    world.did("3000 playback 'my song.wav' async")
    assert world.media.mixes[0].sounds == ["my song.wav"]
