"""What management commands print, octet for octet: people and scripts of theirs rely on it."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Sequence
from textwrap import dedent
from types import SimpleNamespace

import pytest
from conference_world import World

from xconf.conference.elsewhere import Share


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A conference with an administrator, a listener, and a caller who is asked for a PIN. UUIDs are counted."""
    numbers = itertools.count(1)
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers)))
    world = World()
    for caller, flags in (("Ann <1001>", "+speaker +admin"), ('"Bob Smith" <1002>', "")):
        call = world.settled(caller=caller, flags=flags)
        call.leg.media = SimpleNamespace(codec=SimpleNamespace(label="PCMU"), ptime=20)  # type: ignore[assignment]
    return world


class Nodes:
    """Two other nodes of a cluster."""

    node = "a"

    def __init__(self, *shares: Share) -> None:
        self.known: Sequence[Share] = shares

    def shares(self, conference: str) -> Sequence[Share]:
        return self.known if conference == "3000" else ()

    def members(self, conference: str) -> int:
        return sum(share.members for share in self.shares(conference))

    def administered(self, conference: str) -> bool:
        return False

    def begun(self, conference: str) -> None:
        pass

    def flush(self) -> int:
        count, self.known = len(self.known), ()
        return count


TEXTS = {
    "list": """\
        NAME  ID                                    PROFILE  MEDIA      MEMBERS  ALL-MEMBERS  SPEAKERS  ALL-SPEAKERS  WAITING  ACCESS  SECONDS
        3000  00000000-0000-0000-0000-000000000001  default  8000/20/1  2        2            1         1             0        open    12
        """,
    "3000 show status": """\
        name          3000
        id            00000000-0000-0000-0000-000000000001
        profile       default
        media         8000/20/1
        members       2
        all-members   2
        speakers      1
        all-speakers  1
        waiting       0
        access        open
        seconds       12
        flags         transcoding,status-xchg,alone-snd,vad,cng
        state         -
        codecs        pcmu,pcma,l16/8000,opus,g722,l16/16000
        vad-level     300
        agc           0:0:3:20
        cng-level     120
        term-timer    0
        playback      -
        recording     -
        """,
    "3000 show members": """\
        UUID                                  ROLE      FLAGS                  TALKING  VAD  TALK  LISTEN  SECONDS  CODEC  CALLER
        00000000-0000-0000-0000-000000000002  admin     speaker,admin,vad,cng  no       300  0     0       12       PCMU   Ann <1001>
        00000000-0000-0000-0000-000000000003  listener  vad,cng                no       300  0     0       6        PCMU   "Bob Smith" <1002>
        """,
    "3000 show groups": """\
        CODEC  PTIME  LISTEN  MEMBERS  SPEAKERS
        PCMU   20     0       2        1
        """,
    "3000 show nodes": """\
        NODE  MEMBERS  SPEAKERS  AGE
        here  2        1         0
        """,
    "3000 show waiting": "no callers wait\n",
    "3000 member 1001 status": """\
        uuid           00000000-0000-0000-0000-000000000002
        role           admin
        flags          speaker,admin,vad,cng
        talking        no
        vad            300
        talk           0
        listen         0
        seconds        12
        codec          PCMU
        caller         Ann <1001>
        stage          in
        state          -
        call-id        call-1
        agc            -
        playback       -
        ptime          20
        packets        0
        lost           0
        late           0
        jitter-ms      0.0
        lost-there     -
        round-trip-ms  -
        """,
    "dm-flush-status-cache": "forgot 0 nodes\n",
    "3000 flags": "flags: transcoding status-xchg alone-snd vad cng\n",
    "3000 flags -vad +agc": "flags: transcoding status-xchg alone-snd cng agc\n",
    "3000 member 1002 flags": "flags: vad cng\n",
    "3000 member 1002 flags +speaker +mute -vad +agc": "flags: speaker mute agc cng\n",
    "3000 member 1001 set agc 600:100:3:20": "agc of 00000000-0000-0000-0000-000000000002 is set\n",
    "3000 member 1002 kick": "kicked 00000000-0000-0000-0000-000000000003\n",
    "3000 playback song.wav async": "playing song.wav\n",
    "3000 playback stop": "nothing was played\n",
    "3000 member 1002 playback song.wav async": "playing song.wav\n",
    "3000 member 1002 playback stop": "nothing was played\n",
    "3000 set vad.level 500": "vad.level: 500 (was 300)\n",
    "3000 term": "3000 ends, with 2 members\n",
    "profiles": """\
        NAME     INHERIT
        default  -
        pin      default
        """,
    "help dm-flush": """\
        dm-flush-status-cache
            Forgets what other nodes said of their members; each says it anew.
        """,
}


@pytest.mark.parametrize("line", TEXTS)
def test_what_is_printed(world: World, line: str) -> None:
    assert world.did(line) + "\n" == dedent(TEXTS[line])


@pytest.mark.parametrize("line", TEXTS)
def test_programs_are_told_the_same_as_json(world: World, line: str) -> None:
    result = world.do(line)
    assert json.loads(json.dumps(result.data)) == result.data
    if isinstance(result.data, dict) and "show" in line:
        for key, value in result.data.items():
            told = ",".join(value) if isinstance(value, list) else str(value)
            assert f"{key} " in result.text and (told in result.text or value is None)


def test_other_nodes_of_a_cluster_are_counted_shown_and_forgotten(world: World) -> None:
    world.node.elsewhere = Nodes(Share("c", 200, 3, 2.6), Share("b", 10, 0, 0.2))
    assert world.did("3000 show nodes") + "\n" == dedent("""\
        NODE  MEMBERS  SPEAKERS  AGE
        a     2        1         0
        b     10       0         0
        c     200      3         3
        """)
    (row,) = world.do("list").data
    assert [row[key] for key in ("members", "all-members", "speakers", "all-speakers")] == [2, 212, 1, 4]
    world.did("3000 flags -status-xchg")
    assert world.do("list").data[0]["all-members"] == 2, "what is not exchanged is not counted"
    world.did("3000 flags +status-xchg")
    assert world.did("dm-flush-status-cache") == "forgot 2 nodes"
    assert world.do("list").data[0]["all-members"] == 2


def test_nobody_there_is_said_too() -> None:
    world = World()
    assert world.did("list") == "no conferences"
    world.call().hang_up()
    world.wait(1)
    for what, text in (("members", "no members"), ("groups", "nobody listens"), ("waiting", "no callers wait")):
        assert world.did(f"3000 show {what}") == text
