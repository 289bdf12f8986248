"""Hold music: one producer however many listen, from a file or a folder, in the middle of it, whatever breaks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_world import level
from node_world import Node

from xconf.conference.profile import Profile

QUICK = {"member_welcome": "", "member_alone": "", "cng": {"enable": False}}


def tone(path: Path, frequency: float, seconds: float = 2.0) -> None:
    path.parent.mkdir(exist_ok=True)
    wave = 0.25 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * 8000)) / 8000)
    soundfile.write(path, wave, 8000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sounds of whom there is only music: a folder with a file of 400 Hz and one of 700."""
    tone(tmp_path / "music" / "1.wav", 400)
    tone(tmp_path / "music" / "2.wav", 700)
    for spec in Profile().sounds().values():
        if "://" not in spec:
            tone(tmp_path / spec, 1000, 0.1)
    return tmp_path


@pytest.fixture
def make_node(folder: Path) -> Iterator[Callable[[str], Node]]:
    nodes: list[Node] = []

    def make(moh: str) -> Node:
        nodes.append(Node({**QUICK, "moh": moh}, folder))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


def hears(wave: np.ndarray) -> float:
    """Which of the tones it is; 0: none."""
    best = max((400.0, 700.0, 1500.0), key=lambda frequency: level(wave, frequency))
    return best if level(wave, best) > 4000 else 0.0


def test_all_who_wait_hear_one_producer_and_who_comes_later_joins_in_the_middle(
    make_node: Callable[[str], Node],
) -> None:
    node = make_node("music")
    first = node.call("3001")
    node.run(1.5)
    assert node.sounds.streams == 1
    second, third = node.call("3002"), node.call("3003")
    node.run(1.0)
    assert node.sounds.streams == 1, "one decoder however many listen"
    assert hears(first.heard(0.4)) == 700
    for caller in (second, third):
        assert np.array_equal(caller.heard(0.9), first.heard(0.9)), "all are at the same place"
    first.hang_up()
    node.run(2.0)
    assert hears(second.heard(0.4)) == 400, "it goes round, and goes on without who came first"
    second.hang_up()
    third.hang_up()
    node.run(0.1)
    assert node.sounds.streams == 0


def test_who_is_joined_leaves_the_music_to_the_others(make_node: Callable[[str], Node]) -> None:
    node = make_node("music")
    ann, bob = node.call("3001"), node.call("3002")
    node.run(0.5)
    node.call("3001")
    node.run(0.5)
    assert (ann.hears, bob.hears) == ("mix", "sound")
    assert hears(bob.heard(0.4)) == 400


def test_a_folder_that_changes_is_noticed(make_node: Callable[[str], Node], folder: Path) -> None:
    node = make_node("music")
    ann = node.call()
    node.run(0.5)
    tone(folder / "music" / "3.wav", 1500)
    (folder / "music" / "1.wav").unlink()
    node.run(2.0)
    assert hears(ann.heard(0.4)) == 700
    for expected in (1500, 700, 1500):
        node.run(2.0)
        assert hears(ann.heard(0.4)) == expected


def test_a_folder_that_is_emptied_is_silence_until_there_is_music_again(
    make_node: Callable[[str], Node], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node("music")
    ann = node.call()
    node.run(0.5)
    for file in (folder / "music").iterdir():
        file.unlink()
    with caplog.at_level(logging.WARNING):
        node.run(5.0)  # what was opened before is heard to its end
    assert hears(ann.heard(0.4)) == 0
    assert [record.message for record in caplog.records if "music" in record.message] == [
        f"music music: there is no sound file in {folder}/music; it is tried again in 10 s"
    ]
    tone(folder / "music" / "9.wav", 1500)
    node.run(10.0)
    assert hears(ann.heard(0.4)) == 1500


def test_a_file_goes_round_in_memory(make_node: Callable[[str], Node]) -> None:
    node = make_node("music/1.wav")
    ann = node.call()
    node.run(5.0)
    assert node.sounds.streams == 0
    assert level(ann.heard(4.0), 400) == pytest.approx(8192, rel=0.05)


def test_a_long_file_goes_round_too(
    make_node: Callable[[str], Node], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xconf.media.sounds.SHORT", 1.0)
    node = make_node("music/2.wav")
    ann = node.call()
    node.run(5.0)
    assert node.sounds.streams == 1
    assert level(ann.heard(4.0), 700) == pytest.approx(8192, rel=0.05)
