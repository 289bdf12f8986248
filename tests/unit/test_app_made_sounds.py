"""Words that are spoken, and files of web servers: what is heard, and what is said when they cannot be had."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from xconf.app.made_sounds import ESPEAK, MOST_FILES, Speech, Web
from xconf.conference.library import SAY, Library
from xconf.conference.profile import Profile
from xconf.media.sounds import Sounds
from xconf.media.sources import SoundError

RATE = 8000
ECHO = {"e": ["sh", "-c", 'cat > "$0"', "{file}"]}


def say(words: str, engine: str = "espeak-ng", voice: str = "en") -> str:
    """As a profile with that engine and voice has it."""
    return Library(Sounds(Path())).locate(SAY + words, Profile(tts_engine=engine, tts_voice=voice))


def tone(path: Path, frequency: float) -> None:
    at = np.arange(RATE) / RATE
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * frequency * at), RATE)


def heard(sounds: Sounds, spec: str) -> np.ndarray:
    sound = sounds.load(spec, RATE)
    frames = []
    while (frame := sound.read()) is not None:
        frames.append(frame)
    return np.concatenate(frames)


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, redirects `away/…` and counts."""

    asked: list[str]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            its.asked.append(self.path)
            if self.path.startswith("/ok/away"):
                self.send_response(302)
                self.send_header("Location", f"{self.path.partition('?')[2]}")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    its = Server(("127.0.0.1", 0), Handler)
    its.asked = []
    (tmp_path / "ok").mkdir()
    (tmp_path / "secret").mkdir()
    tone(tmp_path / "ok" / "a.wav", 500.0)
    tone(tmp_path / "secret" / "b.wav", 500.0)
    thread = threading.Thread(target=its.serve_forever, args=(0.05,))
    thread.start()
    yield its
    its.shutdown()
    thread.join()
    its.server_close()


@pytest.fixture
def place(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def sounds(tmp_path: Path, place: str) -> Sounds:
    made = Sounds(tmp_path)
    web = Web([f"{place}/ok/"])
    made.made = {"http://": web.file}
    return made


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng")
def test_words_are_spoken(tmp_path: Path) -> None:
    sounds = Sounds(tmp_path)
    sounds.made = {SAY: Speech(ESPEAK).file}
    short, long = heard(sounds, say("One.")), heard(sounds, say("One, two, three, four, five, six."))
    assert np.abs(short).max() > 3000
    assert len(long) > 2 * len(short) > RATE / 2


def test_a_program_that_is_missing_is_named_with_what_to_do() -> None:
    with pytest.raises(
        SoundError, match=r"no program no-such-program; install it .* or name another one in sounds.speech"
    ):
        Speech({"e": ["no-such-program", "{file}"]}).file(say("hello", "e"))


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng")
def test_each_profile_has_its_voice(tmp_path: Path) -> None:
    sounds = Sounds(tmp_path)
    sounds.made = {SAY: Speech(ESPEAK).file}
    english, german = (heard(sounds, say("Guten Tag, Julia.", voice=voice)) for voice in ("en", "de"))
    assert len(english) != len(german)


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(SoundError, match="no engine 'espeak' in sounds.speech; did you mean espeak-ng"):
        Speech(ESPEAK).file(say("hello", "espeak"))


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(SoundError, match="say: sh failed: no voice"):
        Speech({"e": ["sh", "-c", "echo no voice >&2; exit 3", "{file}"]}).file(say("hello", "e"))


def test_what_is_said_is_no_command() -> None:
    words = "'; $(touch /tmp/x) `id` --help"
    assert Speech(ECHO).file(say(words, "e")).read_text() == words


def test_words_without_end_and_no_words_are_refused() -> None:
    with pytest.raises(SoundError, match="at most 1000 characters"):
        Speech(ECHO).file(say(2000 * "x", "e"))
    with pytest.raises(SoundError, match="give some words"):
        Speech(ECHO).file(say(" ", "e"))


def test_a_program_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xconf.app.made_sounds.SPEAKING", 0.2)
    with pytest.raises(SoundError, match="took more than"):
        Speech({"e": ["sh", "-c", "exec sleep 60", "{file}"]}).file(say("hello", "e"))


def test_the_same_words_are_made_once_and_only_so_many_are_kept() -> None:
    speech = Speech(ECHO)
    first = speech.file(say("0", "e"))
    assert speech.file(say("0", "e")) == first
    for number in range(1, MOST_FILES + 1):
        speech.file(say(str(number), "e"))
    assert len(list(first.parent.iterdir())) == MOST_FILES
    assert not first.exists()


def test_files_of_a_web_server_that_is_allowed_are_played(sounds: Sounds, place: str) -> None:
    wave = heard(sounds, f"{place}/ok/a.wav")
    spectrum = np.abs(np.fft.rfft(wave.astype(float)))
    assert np.argmax(spectrum) * RATE / len(wave) == pytest.approx(500, abs=2)
    assert len(heard(sounds, f"{place}/ok/away/?/ok/a.wav")) >= RATE, "a redirection to what is allowed"


@pytest.mark.parametrize(
    "path",
    ["/secret/b.wav", "/ok/../secret/b.wav", "/ok/%2e%2e/secret/b.wav", "/okay/b.wav", "/"],
)
def test_other_addresses_are_refused(sounds: Sounds, server: Server, place: str, path: str) -> None:
    with pytest.raises(SoundError, match="is not allowed"):
        sounds.load(place + path, RATE)
    with pytest.raises(SoundError, match="is not allowed"):
        sounds.load(f"http://ann@127.0.0.1:{server.server_port}/ok/a.wav", RATE)
    assert server.asked == []


def test_a_redirection_to_another_address_is_not_followed(sounds: Sounds, server: Server, place: str) -> None:
    with pytest.raises(SoundError, match="which sounds.urls does not allow"):
        sounds.load(f"{place}/ok/away/?/secret/b.wav", RATE)
    assert len(server.asked) == 1


def test_what_a_web_server_says_is_told(sounds: Sounds, place: str) -> None:
    with pytest.raises(SoundError, match="the server says 404"):
        sounds.load(f"{place}/ok/none.wav", RATE)


def test_a_file_without_end_is_refused(sounds: Sounds, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xconf.app.made_sounds.LARGEST", 1000)
    with pytest.raises(SoundError, match="more than"):
        sounds.load(f"{place}/ok/a.wav", RATE)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(SoundError, match="cannot be had"):
        Web(["http://127.0.0.1:9/"]).file("http://127.0.0.1:9/a.wav")
