"""Every digit of the default controls profile, pressed on real phones, proved by what is heard.

All pairs of phones play their parts at the same time, each in a conference of its own; each test judges one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from bed_audio import hears, tone_level
from bed_crew import Phones
from bed_phones import Baresip
from bed_server import Server
from bed_stage import Stage

ANN, BOB = 1013.0, 433.0
SENT = -18.0
SETTLE = 3.2  # seconds after a key: the announcement is over
LOOK = 0.7  # seconds of sound that are then looked at
GONE = SENT - 40


class Pair:
    """Two speakers who hear each other; `press` lets Ann press keys, and notes when what came of it can be heard."""

    def __init__(self, server: Server, phones: Phones, conference: str, *, level: float = SENT) -> None:
        self.conference = conference
        self.ann: Baresip = phones.baresip(f"ann{conference}", tone=ANN, level=level)
        self.bob: Baresip = phones.baresip(f"bob{conference}", tone=BOB)
        self.ann.dial(server.uri(conference))
        self.bob.dial(server.uri(conference))
        server.wait_members(conference, 2)
        self.times: list[float] = []
        self.look(6)

    def look(self, settle: float = SETTLE) -> None:
        time.sleep(settle)
        self.times.append(time.monotonic())
        time.sleep(LOOK)

    def press(self, keys: str, settle: float = SETTLE) -> None:
        self.ann.digits(keys)
        self.look(settle)

    def end(self) -> Pair:
        for phone in (self.ann, self.bob):
            phone.hangup()
            phone.stop()
        return self

    def hears(self, who: Baresip, frequency: float) -> list[float]:
        """The level of a tone at each of the noted times."""
        recording = who.recording()
        return [tone_level(recording.during(at + 0.1, at + LOOK - 0.1), frequency) for at in self.times]

    def ann_hears_bob(self) -> list[float]:
        return self.hears(self.ann, BOB)

    def bob_hears_ann(self) -> list[float]:
        return self.hears(self.bob, ANN)


def level_of_mean(mean: float) -> float:
    """dBFS RMS of a sine whose mean of |sample| is so much."""
    return float(20 * np.log10(mean * np.pi / 2 / np.sqrt(2) / 32768))


def press_all(keys: tuple[str, ...], conference: str, settle: float, level: float = SENT) -> Callable[..., Pair]:
    """A part for the stage: Ann presses key after key."""

    def part(server: Server, phones: Phones) -> Pair:
        pair = Pair(server, phones, conference, level=level)
        for key in keys:
            pair.press(key, settle)
        return pair.end()

    return part


def hang_up(server: Server, phones: Phones) -> Pair:
    pair = Pair(server, phones, "3026")
    pair.ann.digits("#")
    pair.ann.wait_hungup(8)
    server.wait_members("3026", 1)
    pair.bob.hangup()
    pair.ann.stop()
    pair.bob.stop()
    return pair


def linphone_hangs_up(server: Server, phones: Phones) -> None:
    phone = phones.linphone("lin")
    phone.dial(server.uri("3027"))
    server.wait_members("3027", 1)
    phone.digits("#")
    phone.wait_hungup(8)
    phone.stop()


PARTS = {
    "deaf": press_all(("*", "*"), "3020", SETTLE),
    "deaf-mute": press_all(("0", "0"), "3021", SETTLE + 1.5),
    "talk": press_all(("3", "3", "2", "1", "1", "2"), "3022", 2.5, -26),
    "listen": press_all(("6", "5", "4", "4", "5"), "3023", 2.5),
    "strict": press_all(("9", "8"), "3024", SETTLE, level_of_mean(350)),
    "quiet": press_all(("7", "8"), "3025", SETTLE, level_of_mean(250)),
    "hash": hang_up,
    "linphone": linphone_hangs_up,
}


@pytest.fixture(scope="module")
def stage(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(shared_server, tmp_path_factory.mktemp("keys"), PARTS) as stage:
        yield stage


def test_star_makes_deaf_and_hearing_again(stage: Stage, prompt: Callable[..., np.ndarray]) -> None:
    pair = stage.played("deaf")
    before, deaf, after = pair.ann_hears_bob()
    assert before == pytest.approx(SENT, abs=1)
    assert deaf < GONE
    assert after == pytest.approx(SENT, abs=1)
    assert pair.bob_hears_ann() == pytest.approx([SENT] * 3, abs=1)
    recording = pair.ann.recording().samples
    assert hears(recording, prompt("deaf")) is not None
    assert hears(recording, prompt("undeaf")) is not None


def test_0_makes_deaf_and_mute_and_back(stage: Stage) -> None:
    pair = stage.played("deaf-mute")
    for levels in (pair.ann_hears_bob(), pair.bob_hears_ann()):
        assert levels[0] == pytest.approx(SENT, abs=1)
        assert levels[1] < GONE
        assert levels[2] == pytest.approx(SENT, abs=1)


def test_3_2_1_change_what_the_others_hear(stage: Stage) -> None:
    pair = stage.played("talk")
    normal, louder, loudest, again, softer, softest, last = pair.bob_hears_ann()
    assert normal == pytest.approx(-26, abs=1)
    assert normal + 1 < louder < loudest - 1
    assert normal - 1 > softer > softest + 1
    assert [again, last] == pytest.approx([normal] * 2, abs=0.3)
    assert pair.ann_hears_bob() == pytest.approx([SENT] * 7, abs=1)


def test_6_5_4_change_what_i_hear(stage: Stage) -> None:
    pair = stage.played("listen")
    normal, louder, again, softer, softest, last = pair.ann_hears_bob()
    assert normal == pytest.approx(SENT, abs=1)
    assert louder > normal + 1
    assert normal - 1 > softer > softest + 1
    assert [again, last] == pytest.approx([normal] * 2, abs=0.3)
    assert pair.bob_hears_ann() == pytest.approx([SENT] * 6, abs=1)


def test_9_8_7_change_how_loud_one_must_speak(stage: Stage) -> None:
    """The threshold is 300: a voice of 350 is heard, not at 400 (9), again at 300 (8); one of 250 only at 200 (7)."""
    heard, gated, again = stage.played("strict").bob_hears_ann()
    assert [heard, again] == pytest.approx([level_of_mean(350)] * 2, abs=1)
    assert gated < level_of_mean(350) - 25
    gated, heard, gated_again = stage.played("quiet").bob_hears_ann()
    assert heard == pytest.approx(level_of_mean(250), abs=1)
    assert max(gated, gated_again) < level_of_mean(250) - 25


def test_hash_hangs_up_with_a_goodbye(stage: Stage, prompt: Callable[..., np.ndarray]) -> None:
    pair = stage.played("hash")
    assert hears(pair.ann.recording().samples, prompt("bye")) is not None


def test_keys_of_a_linphone_work_too(stage: Stage) -> None:
    stage.played("linphone")
