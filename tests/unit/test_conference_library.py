"""Where the sounds of a profile are, and sounds that somebody names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from xconf.conference.library import Library
from xconf.conference.profile import Profile
from xconf.media.sounds import Sounds
from xconf.media.sources import SoundError

FILES = ("8000/bye.wav", "bye.wav", "moh.wav", "mine/8000/bye.wav", "mine/16000/bye.wav", "mine/moh.wav")
MINE = Profile(sound_prefix="mine/")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for at, name in enumerate(FILES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(800, 0.1 * (at + 1)), 8000)
    (tmp_path / "broken.wav").write_text("no sound")
    return tmp_path


def heard(library: Library, spec: str, profile: Profile) -> str:
    """Which of the files it is."""
    found: list[str] = []

    def then(sound: object) -> None:
        assert not isinstance(sound, SoundError)
        first = sound.read()[80]  # type: ignore[attr-defined]
        found.append(FILES[round(first / 3276.8) - 1])

    library.fetch(spec, profile, then)
    return found[0]


def test_a_prefix_is_a_folder_whose_sounds_come_first(folder: Path) -> None:
    library = Library(Sounds(folder))
    assert heard(library, "bye.wav", Profile()) == "8000/bye.wav"
    assert heard(library, "moh.wav", Profile()) == "moh.wav"
    assert heard(library, "bye.wav", MINE) == "mine/8000/bye.wav"
    assert heard(library, "moh.wav", MINE) == "mine/moh.wav"
    assert heard(library, "bye.wav", Profile(sound_prefix="others")) == "8000/bye.wav"
    assert heard(library, str(folder / "mine/moh.wav"), MINE) == "mine/moh.wav"


def test_a_conference_at_48_khz_plays_what_was_recorded_for_a_lower_rate(tmp_path: Path) -> None:
    """Its prompts were said to be missing, for they are there at 8000 and 16000 Hz only."""
    sounds = Sounds(tmp_path)
    for rate, milliseconds in ((8000, 100), (16000, 200)):
        (tmp_path / str(rate)).mkdir(exist_ok=True)
        soundfile.write(tmp_path / str(rate) / "once.wav", np.zeros(rate * milliseconds // 1000), rate)
    for rate, seconds in ((48000, 0.2), (32000, 0.2), (16000, 0.2), (8000, 0.1)):
        assert sounds.find("once.wav", rate) == tmp_path / ("8000" if seconds == 0.1 else "16000") / "once.wav"


def test_tones_need_no_file(folder: Path) -> None:
    library = Library(Sounds(folder))
    assert library.open("tone_stream://%(100,0,500)", MINE).read() is not None


def test_what_is_missing_is_said_at_once_what_is_broken_when_it_was_read(folder: Path) -> None:
    library = Library(Sounds(folder))
    with pytest.raises(SoundError, match=r"no sound 'nowhere\.wav'"):
        library.fetch("nowhere.wav", MINE, lambda sound: None)
    with pytest.raises(SoundError, match="only files and tone_stream"):
        library.fetch("http://example.com/a.wav", MINE, lambda sound: None)
    told: list[object] = []
    library.fetch("broken.wav", MINE, told.append)
    assert "broken.wav cannot be read" in str(told[0])


def test_what_goes_wrong_aside_is_told_as_well(folder: Path) -> None:
    told: list[object] = []
    library = Library(Sounds(folder), lambda work, done: done(MemoryError("no room")))
    library.fetch("bye.wav", MINE, told.append)
    assert str(told[0]) == "sound 'bye.wav': no room"
