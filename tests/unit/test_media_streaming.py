"""Sounds that are decoded while they are heard: what is heard of them, and what they take."""

from __future__ import annotations

import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_world import level

from xconf.media.reader import FileReader, Programme, Reader, sound_files
from xconf.media.sources import Fader, Recorded, SoundError
from xconf.media.streaming import BLOCK, BLOCKS, Stream

RATE = 8000
FRAME = 160


def sine(frequency: float, seconds: float, rate: int = RATE, amplitude: float = 0.25) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def steps(
    path: Path, frequencies: list[float], rate: int = RATE, *, channels: int = 1, kind: str | None = None
) -> Path:
    """A file with a second of each tone."""
    wave = np.concatenate([sine(frequency, 1.0, rate) for frequency in frequencies])
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate, subtype=kind)
    return path


class Later:
    """Does what is to be done elsewhere when it is told to."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        work, self.work = self.work, []
        for each in work:
            each()


def stream(reader: Callable[[], Reader], later: Later | None = None, rate: int = RATE) -> Stream:
    """One that has begun, unless `later` decides when it does."""
    sound = Stream(reader, rate, later or (lambda work: work()), Counter())
    if later is None:
        sound.prime()
    return sound


def rest(sound: Recorded | Fader, most: int = 10_000) -> np.ndarray:
    """What is heard to the end."""
    frames = []
    while len(frames) < most and (frame := sound.read()) is not None:
        frames.append(frame)
    return np.concatenate(frames) if frames else np.zeros(0, np.int16)


@pytest.mark.parametrize(
    ("name", "kind", "rate", "channels"),
    [
        ("a.wav", "PCM_16", 8000, 1),
        ("a.wav", "FLOAT", 44100, 2),
        ("a.wav", "ULAW", 8000, 1),
        ("a.flac", "PCM_24", 48000, 2),
        ("a.ogg", "VORBIS", 22050, 1),
        ("a.opus.ogg", "OPUS", 48000, 2),
        ("a.mp3", "MPEG_LAYER_III", 44100, 2),
        ("a.mp3", "MPEG_LAYER_III", 16000, 1),
    ],
)
@pytest.mark.parametrize("conference", [8000, 16000])
def test_files_of_all_kinds_are_heard_as_they_are(
    tmp_path: Path, name: str, kind: str, rate: int, channels: int, conference: int
) -> None:
    path = steps(tmp_path / name, [500, 900, 1700], rate, channels=channels, kind=kind)
    heard = rest(stream(lambda: FileReader(path, conference), rate=conference))
    assert len(heard) / conference == pytest.approx(3.0, abs=0.1)
    for second, frequency in enumerate((500, 900, 1700)):
        part = heard[round((second + 0.2) * conference) : round((second + 0.8) * conference)]
        assert level(part, frequency, conference) == pytest.approx(8192, rel=0.06)
        for other in {500, 900, 1700} - {frequency}:
            assert level(part, other, conference) < 80


def test_blocks_are_joined_without_a_click(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(440, 6.0, 44100), 44100)
    heard = rest(stream(lambda: FileReader(path, RATE)))[800:-800].astype(int)
    # A sine is its two neighbours' sum over 2 cos w: what is left of that is no part of the tone.
    left = heard[2:] + heard[:-2] - 2 * np.cos(2 * np.pi * 440 / RATE) * heard[1:-1]
    assert np.abs(left).max() < 8


def test_it_goes_on_where_it_was_wound_to(tmp_path: Path) -> None:
    path = steps(tmp_path / "a.flac", [300, 500, 700, 900, 1100, 1300], 44100)
    sound = stream(lambda: FileReader(path, RATE))
    for _ in range(25):
        sound.read()
    assert sound.position == pytest.approx(0.5)
    sound.seek(4.0)
    assert sound.position == 4.0
    assert level(np.concatenate([sound.read() for _ in range(40)]), 1100) == pytest.approx(8192, rel=0.05)
    assert sound.position == pytest.approx(4.8)
    sound.seek(1.0)
    assert level(np.concatenate([sound.read() for _ in range(40)]), 500) == pytest.approx(8192, rel=0.05)
    sound.seek(-3.0)
    assert len(rest(sound)) == pytest.approx(6 * RATE, abs=FRAME)
    sound.seek(5.5)
    assert len(rest(sound)) == pytest.approx(0.5 * RATE, abs=FRAME)
    sound.seek(99.0)
    assert sound.read() is None


def test_an_mp3_is_wound_to_the_place_that_was_named(tmp_path: Path) -> None:
    path = steps(tmp_path / "a.mp3", [300, 500, 700, 900, 1100, 1300], 44100, kind="MPEG_LAYER_III")
    sound = stream(lambda: FileReader(path, RATE))
    sound.seek(3.1)
    heard = np.concatenate([sound.read() for _ in range(35)])
    assert level(heard, 900) == pytest.approx(8192, rel=0.06)
    assert level(heard, 1100) < 200


class TwoHours:
    """A reader that makes up its samples: second n is all n."""

    seconds = 7200.0

    def __init__(self) -> None:
        self.at = 0
        self.closed = False
        self.ahead = 0

    def read(self, samples: int) -> np.ndarray:
        samples = min(samples, round(self.seconds * RATE) - self.at)
        block = ((self.at + np.arange(samples)) // RATE).astype(np.int16)
        self.at += samples
        return block

    def seek(self, seconds: float) -> None:
        self.at = round(seconds * RATE)

    def close(self) -> None:
        self.closed = True


def test_two_hours_take_no_more_memory_than_two_seconds() -> None:
    reader = TwoHours()
    sound = stream(lambda: reader)
    tracemalloc.start()
    try:
        for tick in range(round(reader.seconds * 50)):
            frame = sound.read()
            assert frame is not None
            if tick == 10_000:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()  # it takes time; what comes later is judged by how far the reader is ahead
            if tick % 2500 == 0:
                assert (frame == tick // 50).all()
                assert reader.at <= (tick + 2 + (BLOCKS + 1) * BLOCK) * FRAME
    finally:
        tracemalloc.stop()
    assert sound.read() is None
    assert peak < 1 << 20
    assert not sound._counters


def test_what_is_not_there_in_time_is_silence_and_counted() -> None:
    later, reader = Later(), TwoHours()
    reader.at = 5 * RATE
    sound = stream(lambda: reader, later)
    assert [sound.read().any() for _ in range(3)] == [False, False, False]
    assert sound._counters["underruns"] == 3
    assert len(later.work) == 1, "asked for once, however often it is missing"
    later.run()
    heard = [sound.read() for _ in range(BLOCKS * BLOCK + 5)]
    assert all((frame == 5).all() for frame in heard[:50])
    assert [bool(frame.any()) for frame in heard[-6:]] == [True] + [False] * 5
    later.run()
    assert sound.read()[0] == 7, "nothing is left out"
    assert sound.position == pytest.approx((BLOCKS * BLOCK + 1) * 0.02)


def test_what_was_decoded_before_it_was_wound_is_not_heard() -> None:
    later, reader = Later(), TwoHours()
    sound = stream(lambda: reader, later)
    sound.prime()
    sound.read()
    sound.seek(3000.0)
    assert not sound.read().any()
    later.run()
    assert sound.read()[0] == 3000


def test_a_sound_that_is_closed_gives_its_file_back() -> None:
    later, reader = Later(), TwoHours()
    sound = stream(lambda: reader, later)
    sound.prime()
    sound.close()
    assert sound.read() is None
    assert not reader.closed, "closing may wait for the disk"
    later.run()
    assert reader.closed


def test_a_sound_may_be_closed_and_wound_at_any_moment_of_the_decoding() -> None:
    """Readers on one side, a decoding thread on the other: the last word is what counts."""
    for _ in range(50):
        reader = TwoHours()
        threads: list[threading.Thread] = []

        def ahead(work: Callable[[], None], threads: list[threading.Thread] = threads) -> None:
            threads.append(threading.Thread(target=work))
            threads[-1].start()

        sound = Stream(lambda reader=reader: reader, RATE, ahead, Counter())  # type: ignore[misc]
        sound.prime()
        for at in (100.0, 200.0, 300.0):
            sound.seek(at)
            sound.read()
        for _ in range(2000):
            frame = sound.read()
            assert frame is not None
            assert not frame.any() or frame[0] >= 300
            if frame.any():
                break
        sound.close()
        for thread in threads:
            thread.join()
        assert reader.closed


def test_a_file_that_breaks_off_ends_and_says_why(tmp_path: Path) -> None:
    class Breaking(TwoHours):
        def read(self, samples: int) -> np.ndarray:
            if self.at > 3 * RATE:
                raise SoundError("the disk is gone")
            return super().read(samples)

    sound = stream(Breaking)
    assert len(rest(sound)) / RATE == pytest.approx(3.0, abs=0.6)
    assert sound.error == "the disk is gone"
    broken = tmp_path / "broken.mp3"
    broken.write_text("no sound")
    with pytest.raises(SoundError, match=r"broken\.mp3 cannot be read"):
        stream(lambda: FileReader(broken, RATE))


def test_pipes_and_devices_keep_nobody_waiting(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", Path("/dev/zero"), tmp_path):
        with pytest.raises(SoundError, match="is no file"):
            FileReader(path, RATE)


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    wave = sine(500, 1.0).astype(np.float32)
    wave[100:200] = np.nan
    wave[300:400] = np.inf
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    heard = FileReader(tmp_path / "a.wav", RATE).read(RATE)
    assert not heard[100:200].any()
    assert level(heard[1000:], 500) == pytest.approx(8192, rel=0.05)


def folder(tmp_path: Path, **tones: float) -> Path:
    for name, frequency in tones.items():
        soundfile.write(tmp_path / f"{name}.wav", sine(frequency, 0.5), RATE)
    return tmp_path


def tones_of(wave: np.ndarray, known: tuple[float, ...] = (400, 600, 800, 1000)) -> list[float]:
    """The tone of each half second."""
    parts = [wave[at : at + 4000] for at in range(0, len(wave) - 2000, 4000)]
    return [max(known, key=lambda tone: level(part, tone)) for part in parts]


def test_a_folder_is_played_in_order_without_gaps(tmp_path: Path) -> None:
    place = folder(tmp_path, a10=800, a2=600, A1=400)
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / "a3.wav").write_text("broken")
    heard = rest(stream(lambda: Programme(lambda: sound_files(place), RATE)))
    assert len(heard) == 12_000
    assert tones_of(heard) == [400, 600, 800]


def test_a_folder_goes_round_and_what_changes_in_it_is_noticed(tmp_path: Path) -> None:
    place = folder(tmp_path, a=400, b=600)
    reader = Programme(lambda: sound_files(place), RATE, loop=True)
    assert tones_of(reader.read(12_000)) == [400, 600, 400]
    folder(tmp_path, c=800)
    (place / "a.wav").unlink()
    assert tones_of(reader.read(16_000)) == [600, 800, 600, 800]


def test_a_shuffled_folder_plays_each_once_and_none_twice_in_a_row(tmp_path: Path) -> None:
    place = folder(tmp_path, a=400, b=600, c=800, d=1000)
    once = tones_of(rest(stream(lambda: Programme(lambda: sound_files(place), RATE, shuffled=True))))
    assert sorted(once) == [400, 600, 800, 1000]
    orders = set()
    for _ in range(10):
        heard = tones_of(Programme(lambda: sound_files(place), RATE, shuffled=True, loop=True).read(48_000))
        assert all(sorted(heard[at : at + 4]) == [400, 600, 800, 1000] for at in (0, 4, 8))
        assert all(one != two for one, two in zip(heard, heard[1:], strict=False))
        orders.add(tuple(heard))
    assert len(orders) > 1


def test_a_folder_with_nothing_to_hear_says_so_and_does_not_turn_for_ever(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no sound file in"):
        sound_files(tmp_path)
    with pytest.raises(SoundError, match="cannot be read"):
        sound_files(tmp_path / "nowhere")
    (tmp_path / "a.wav").write_text("broken")
    for loop in (False, True):
        with pytest.raises(SoundError, match=r"a\.wav cannot be read"):
            Programme(lambda: sound_files(tmp_path), RATE, loop=loop)
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    with pytest.raises(SoundError, match="nothing to hear"):
        Programme(lambda: sound_files(tmp_path), RATE, loop=True).read(100)


def test_a_volume_is_heard_at_once_and_does_not_wrap() -> None:
    class Steady(TwoHours):
        def read(self, samples: int) -> np.ndarray:
            return np.full(samples, 20_000, np.int16)

    sound = Fader(stream(Steady))
    assert sound.read()[0] == 20_000
    sound.step = -2
    assert sound.read()[0] == pytest.approx(20_000 / 2, rel=0.01)
    sound.step = 4
    assert sound.read()[0] == 32767
