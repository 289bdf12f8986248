"""Recordings: what was said is in the file, prompts are not; and a disk that fails ends the recording alone."""

from __future__ import annotations

import stat
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from media_world import HOST, Wire, level
from node_world import TICK, Node

from xconf.conference import events
from xconf.media.tape import Format, Tape, TapeError

RATE = 8000
QUIET = {"member_join": "", "member_leave": "", "alone_sound": False, "member_welcome": "", "cng": {"enable": False}}


class Folder:
    """Recordings in a folder, written at once, or when `go_on` is called where they are held up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: list[Callable[[], None]] | None = None

    def tape(self, name: str, rate: int, channels: int, form: Format) -> tuple[Tape, str]:
        tape = Tape(self.path, name, rate, channels, form)
        return tape, str(tape.path)

    def name(self, conference: str) -> str:
        return f"{conference}-{len(list(self.path.glob('*')))}"

    def run(self, work: Callable[[], None], done: Callable[[Any], None]) -> None:
        def now() -> None:
            try:
                work()
            except TapeError as error:
                done(error)
            else:
                done(None)

        now() if self.held is None else self.held.append(now)

    def go_on(self) -> None:
        held, self.held = self.held or [], None
        for now in held:
            now()


class World(Node):
    def __init__(self, path: Path, **record: Any) -> None:
        super().__init__({**QUIET, "record": record})
        self.folder = Folder(path)
        self.conferences.recorder = self.folder
        self.wires: list[Wire] = []
        self.ticks = 0

    def phone(self) -> Wire:
        """Somebody calls, from a telephone that is heard."""
        wire = Wire(self.call().leg)
        wire.leg.set_media(wire.media(), host=HOST, addressed=True)
        self.wires.append(wire)
        return wire

    def says(self, seconds: float, tones: dict[Wire, float]) -> None:
        """Some speak at once, a tone each; the others are silent."""
        for _ in range(round(seconds / TICK)):
            for wire, frequency in tones.items():
                time = (self.ticks * 160 + np.arange(160)) / RATE
                wire.timestamp = 160 * self.ticks
                wire.speak((8000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16))
            self.ticks += 1
            self.run(TICK)

    def told(self) -> list[tuple[float, int, str]]:
        """The recordings that ended: how long they are, what is left out, and why."""
        return [(e.seconds, e.lost, e.error) for e in self.events if isinstance(e, events.RecordingEnded)]

    def files(self) -> list[Path]:
        return sorted(self.folder.path.iterdir())

    def close(self) -> None:
        for wire in self.wires:
            wire.socket.close()
        super().close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "recordings")
    yield world
    world.close()


@pytest.fixture
def tracked(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "recordings", tracks=True)
    yield world
    world.close()


def read(path: Path) -> np.ndarray:
    sound, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return np.asarray(sound)


def gaps(sound: np.ndarray) -> int:
    """Stretches of 10 ms that are silent."""
    return int((np.abs(sound[: len(sound) // 80 * 80].reshape(-1, 80)).max(axis=1) == 0).sum())


def test_what_is_said_is_in_the_file_with_nothing_missing(world: World) -> None:
    ann, bob = world.phone(), world.phone()
    world.says(0.5, {ann: 500.0})
    assert world.did("3000 record start") == f"recording to {world.folder.path}/3000-0.wav"
    world.says(4.0, {ann: 500.0, bob: 1300.0})
    world.did("3000 record stop")
    sound = read(world.folder.path / "3000-0.wav")
    assert len(sound) == round(4.0 * RATE)
    middle = sound[RATE:-RATE]
    assert level(middle, 500.0) == pytest.approx(8000, rel=0.05)
    assert level(middle, 1300.0) == pytest.approx(8000, rel=0.05)
    assert gaps(sound) == 0
    assert world.told() == [(4.0, 0, "")]


def test_silence_is_as_long_as_it_was(world: World) -> None:
    ann = world.phone()
    world.did("3000 record start")
    world.says(1.0, {ann: 500.0})
    world.says(70.0, {})
    world.says(1.0, {ann: 900.0})
    world.did("3000 record stop")
    (path,) = world.files()
    sound = read(path)
    assert len(sound) == 72 * RATE
    assert level(sound[: RATE // 2], 500.0) > 7000
    assert np.abs(sound[5 * RATE : 70 * RATE]).max() == 0
    assert level(sound[-RATE // 2 :], 900.0) > 7000


def test_each_who_speaks_has_a_track_that_lies_beside_the_mix(tracked: World) -> None:
    ann, bob = tracked.phone(), tracked.phone()
    tracked.did("3000 record start meeting")
    tracked.says(1.0, {ann: 500.0})
    tracked.says(1.0, {})
    tracked.says(1.0, {ann: 500.0, bob: 1300.0})
    tracked.callers[1].hang_up()
    tracked.says(1.0, {ann: 500.0})
    tracked.did("3000 record stop")
    names = [path.name for path in tracked.files()]
    first, second = tracked.callers[0].member.id[:8], tracked.callers[1].member.id[:8]
    assert names == sorted(["meeting.wav", f"meeting-1-{first}.wav", f"meeting-2-{second}.wav"])
    mix, one, two = (
        read(tracked.folder.path / name).astype(int)
        for name in ("meeting.wav", f"meeting-1-{first}.wav", f"meeting-2-{second}.wav")
    )
    assert len(mix) == len(one) == len(two) == 4 * RATE
    assert (mix == one + two).all()
    assert two[: 2 * RATE].max() == 0
    assert level(two[round(2.2 * RATE) : round(2.8 * RATE)], 1300.0) > 7000
    assert two[round(3.5 * RATE) :].max() == 0


def test_prompts_are_left_out_and_what_is_played_back_is_not(world: World) -> None:
    ann = world.phone()
    world.did("3000 record start")  # which all are told
    world.run(3.0)
    assert np.abs(np.concatenate(world.callers[0].frames[-150:])).max() > 1000, "nobody was told"
    world.did("3000 playback tone_stream://%(1000,0,800)")
    world.run(2.0)
    world.says(1.0, {ann: 500.0})
    world.did("3000 record stop")
    sound = read(world.files()[0])
    assert np.abs(sound[: 3 * RATE]).max() == 0
    assert level(sound[3 * RATE + 800 : 4 * RATE - 800], 800.0) > 1000
    assert level(sound[-RATE // 2 :], 500.0) > 7000


def test_who_comes_later_is_told(world: World) -> None:
    world.phone()
    world.did("3000 record start")
    world.run(4.0)
    late = world.call()
    assert late.hears == "sound"
    world.until(late, "mix", 5.0)
    world.did("3000 record pause")
    world.run(5.0)
    assert world.call().hears == "mix"


def test_a_pause_is_left_out(world: World) -> None:
    ann = world.phone()
    world.did("3000 record start")
    world.says(1.5, {ann: 500.0})
    assert "paused" in world.did("3000 record pause")
    world.says(2.0, {ann: 900.0})
    world.did("3000 record resume")
    world.says(1.5, {ann: 1300.0})
    world.did("3000 record stop")
    sound = read(world.files()[0])
    assert len(sound) == 3 * RATE
    assert level(sound[400 : RATE + 2000], 500.0) > 7000
    assert level(sound[-RATE - 2000 : -400], 1300.0) > 7000
    assert level(sound, 900.0) < 200, "more than what was on its way"


def test_it_begins_when_somebody_comes_and_ends_when_all_have_left(tmp_path: Path) -> None:
    world = World(tmp_path / "recordings", auto=True)
    world.phone()
    world.run(2.0)
    assert world.do("3000 record status").text.startswith("recording: ")
    world.callers[0].hang_up()
    world.run(0.1)
    assert world.told() == [(2.0, 0, "")]
    world.phone()
    world.run(1.0)
    world.did("3000 record stop")
    world.call()
    assert world.did("3000 record") == "3000 is not recorded"
    assert len(world.files()) == 2
    world.close()


def test_a_recording_of_a_conference_that_is_ended_is_whole(world: World) -> None:
    ann = world.phone()
    world.did("3000 record start")
    world.says(2.0, {ann: 500.0})
    world.did("3000 term")
    world.run(5.0)
    ((seconds, _, error),) = world.told()
    assert error == ""
    assert len(read(world.files()[0])) == round(seconds * RATE)


def test_files_are_for_nobody_else(world: World) -> None:
    world.phone()
    world.did("3000 record start")
    world.run(1.0)
    assert stat.S_IMODE(world.files()[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(world.folder.path.stat().st_mode) == 0o700


def test_what_is_written_so_far_can_be_heard_whatever_comes(world: World) -> None:
    ann = world.phone()
    world.did("3000 record start")
    world.says(3.0, {ann: 500.0})
    with wave.open(str(world.files()[0])) as file:
        assert file.getnframes() >= 1.9 * RATE


def test_no_name_leads_out_of_the_folder(world: World) -> None:
    world.phone()
    for name in ("../up", "/etc/passwd", ".hidden", "a/b"):
        assert "is no name for a file" in world.do(f"3000 record start {name}").text
    assert "not one of start" in world.do("3000 record begin").text


def test_a_file_that_is_there_is_not_written_over(world: World) -> None:
    world.folder.path.mkdir()
    (world.folder.path / "meeting.wav").write_text("precious")
    world.phone()
    world.did("3000 record start meeting")
    assert [error for _, _, error in world.told()] == [f"{world.folder.path}/meeting.wav: File exists"]
    assert (world.folder.path / "meeting.wav").read_text() == "precious"


def test_a_folder_that_takes_no_file_ends_the_recording_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, _ = world.phone(), world.phone()

    def read_only(*_: Any) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("xconf.media.tape.os.open", read_only)
    world.did("3000 record start")
    world.says(2.0, {ann: 500.0})
    assert [error for _, _, error in world.told()] == [f"{world.folder.path}/3000-0.wav: Read-only file system"]
    assert level(world.callers[1].heard(1.0).ravel(), 500.0) > 7000, "the others hear it no more"
    monkeypatch.undo()
    world.did("3000 record start")
    world.says(1.0, {ann: 500.0})
    world.did("3000 record stop")
    assert [error for _, _, error in world.told()][1:] == [""], "when that is mended, it can be recorded"


def test_a_disk_that_is_full_ends_the_recording_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, _ = world.phone(), world.phone()
    world.did("3000 record start")
    world.says(2.0, {ann: 500.0})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xconf.media.tape.WaveFile.write", full)
    world.says(3.0, {ann: 500.0})
    ((_, _, error),) = world.told()
    assert error == f"{world.folder.path}/3000-0.wav: No space left on device"
    assert level(world.callers[1].heard(1.0).ravel(), 500.0) > 7000, "the others hear it no more"
    assert world.did("3000 record") == "3000 is not recorded"
    assert "not recorded" in world.do("3000 record stop").text


def test_a_disk_that_hangs_costs_the_recording_what_it_cannot_hold_and_no_memory(world: World) -> None:
    ann = world.phone()
    world.did("3000 record start")
    world.says(2.0, {ann: 500.0})
    world.folder.held = []
    world.says(60.0, {ann: 500.0})
    assert len(world.folder.held) == 1
    world.folder.go_on()
    world.says(1.0, {ann: 900.0})
    world.did("3000 record stop")
    ((seconds, lost, error),) = world.told()
    assert (seconds, error) == (63.0, "")
    assert lost == pytest.approx(58 * 50 - 1500, abs=100)
    sound = read(world.files()[0])
    assert len(sound) == 63 * RATE
    assert level(sound[-RATE // 2 :], 900.0) > 7000, "what came after is where it belongs"


def test_without_a_folder_it_says_what_to_do(tmp_path: Path) -> None:
    node = Node(QUIET)
    node.call()
    assert "recording.folder" in node.do("3000 record start").text
    node.close()


def test_a_key_records_and_ends_it(world: World) -> None:
    ann = world.phone()
    world.callers[0].member.settings.admin = True
    for expected in ("recording to", "recorded to"):
        result = world.do(f"3000 member {world.callers[0].member.id} record")
        assert result.ok and result.text.startswith(expected)
        world.says(1.0, {ann: 500.0})


def test_opus(tmp_path: Path) -> None:
    world = World(tmp_path / "recordings", format="opus")
    ann = world.phone()
    world.did("3000 record start")
    world.says(3.0, {ann: 500.0})
    world.did("3000 record stop")
    (path,) = world.files()
    assert path.suffix == ".opus"
    sound, rate = soundfile.read(path, dtype="int16")
    assert len(sound) / rate == pytest.approx(3.0, abs=0.05)
    assert level(sound[rate:-rate], 500.0, rate) == pytest.approx(8000, rel=0.1)
    world.close()
