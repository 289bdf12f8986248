"""A recording of real telephones, listened to; and a name that a real telephone says, told to who asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bed_audio import gaps, hears, read_wav, tone_level, without_tones
from bed_crew import Phones
from bed_server import Server

ANN, BOB = 1013, 433
SENT = -18.0


@pytest.fixture
def recorder(make_server: Callable[..., Server]) -> Iterator[Server]:
    """A server that records, and one of whose profiles asks for names."""
    server = make_server(
        {
            "recording": {"folder": "recordings"},
            "profiles": {
                "default": {"record": {"tracks": True}, "cng": {"enable": False}},
                "named": {
                    "inherit": "default",
                    "ask_names": True,
                    "alone_sound": False,
                    "member_welcome": "",
                    "user_controls": "named",
                },
            },
            "controls": {"named": {"1": "roll-call"}},
            "dialplan": [
                {"number": "3061", "conference": "3061", "profile": "named", "flags": "+speaker"},
                {"number": r"(30\d\d)", "conference": r"\1", "profile": "default", "flags": "+speaker"},
            ],
        }
    )
    yield server
    server.wait_idle(15)
    server.check_log()


def test_what_telephones_say_is_recorded_each_on_its_track_and_names_are_told(
    recorder: Server, phones: Phones, prompt: Callable[..., np.ndarray]
) -> None:
    ann, bob = phones.baresip("ann", tone=ANN), phones.baresip("bob", tone=BOB)
    cem = phones.baresip("cem", tone=1500)
    cem.dial(recorder.uri("3061"))
    ann.dial(recorder.uri("3060"))
    bob.dial(recorder.uri("3060"))
    recorder.wait_members("3060", 2)
    time.sleep(2.5)  # both are welcomed
    recorder.ctl("3060 record start")
    time.sleep(4)
    recorder.ctl("3060 record stop")
    recorder.wait_members("3061", 1)  # it has said its name for as long as one may
    asked = time.monotonic()
    cem.digits("1")
    time.sleep(5.5)
    for phone in (ann, bob, cem):
        phone.hangup()
        phone.stop()

    heard = ann.recording()
    assert tells(heard.between(0, heard.seconds), prompt("recorded"))
    mix, *tracks = files(recorder.folder / "recordings")
    assert len(mix) / 8000 == pytest.approx(4.0, abs=0.5)
    assert [tone_level(mix, ANN), tone_level(mix, BOB)] == pytest.approx([SENT, SENT], abs=0.7)
    assert not tells(mix, prompt("recorded"))
    assert gaps(mix) == []
    assert sorted(round(tone_level(track, ANN) - tone_level(track, BOB), -1) > 0 for track in tracks) == [False, True]
    assert {len(track) for track in tracks} == {len(mix)}
    assert np.abs(sum(tracks) - mix).max() < 1e-6, "they lie beside the mix to the sample"

    named = cem.recording()
    assert hears(named.between(0, named.seconds), prompt("say-name")) is not None
    told = named.during(asked, asked + 5.5)
    seconds = sum(tone_level(told[at : at + 800], 1500) > SENT - 3 for at in range(0, len(told) - 800, 800)) / 10
    assert seconds == pytest.approx(4.0, abs=0.5), "its own name, as it said it"


def tells(sound: np.ndarray, prompt: np.ndarray) -> bool:
    """Whether a prompt is in it, below the tones of who speaks."""
    tones = [float(ANN), float(BOB)]
    return hears(without_tones(sound, tones), without_tones(prompt, tones)) is not None


def files(folder: Path) -> list[np.ndarray]:
    """The mix, and the tracks; for nobody but the server's user."""
    paths = sorted(folder.iterdir(), key=lambda path: len(path.name))
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    return [read_wav(path)[0] for path in paths]
