"""What is said to a caller: alone and music, the PIN menu, and the goodbyes, recognised in the phones' recordings.

All scenes are played at the same time, each in a conference of its own; each test judges one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from bed_audio import hears, tone_level
from bed_crew import Phones
from bed_phones import Baresip, Recording
from bed_server import Server
from bed_stage import Stage

Prompt = Callable[..., np.ndarray]
FLAGS = {
    "+admin": "admin",
    "-admin": "unadmin",
    "-speaker": "unspeaker",
    "+speaker": "speaker",
    "+mute": "muted",
    "-mute": "unmuted",
    "+deaf": "deaf",
    "-deaf": "undeaf",
}


@dataclass
class Scene:
    """The phones of a part, what happened when (CLOCK_MONOTONIC), and what the server showed."""

    phones: dict[str, Baresip]
    times: dict[str, float] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Baresip:
        return self.phones[name]

    def mark(self, what: str) -> None:
        self.times[what] = time.monotonic()

    def end(self, *standing: str) -> Scene:
        """Hang up those whose calls stand, and stop all."""
        for name in standing:
            self.phones[name].hangup()
        for phone in self.phones.values():
            phone.stop()
        return self


def heard(phone: Baresip, sound: np.ndarray, since: float = 0) -> float:
    """When the phone heard a sound, seconds into its call; fails when it did not."""
    recording = phone.recording()
    at = hears(recording.between(since, recording.seconds), sound)
    assert at is not None, f"{phone.name} did not hear it in {recording.seconds:.1f} s"
    return since + at


def music_in(recording: Recording, start: float, music: np.ndarray) -> float | None:
    """Where in the piece the music stands that a phone heard from `start` for a second; None when it was none."""
    return hears(music, recording.between(start, start + 1.0))


def alone(server: Server, phones: Phones) -> Scene:
    scene = Scene({"first": phones.baresip("first"), "second": phones.baresip("second", tone=1013)})
    scene["first"].dial(server.uri("3010"))
    time.sleep(9)
    scene["second"].dial(server.uri("3010"))
    scene.mark("came")
    time.sleep(5)
    scene["second"].hangup()
    time.sleep(6)
    return scene.end("first")


def right_pins(server: Server, phones: Phones) -> Scene:
    """456 makes a user, 123 an admin; before that they are in no conference."""
    scene = Scene({name: phones.baresip(name) for name in ("user", "admin")})
    scene["user"].dial(server.uri("5001"))
    scene["admin"].dial(server.uri("5002"))
    time.sleep(4)
    scene.shown["before"] = [*admitted(server, "5001"), *admitted(server, "5002")]
    scene["user"].digits("456#")
    scene["admin"].digits("123#")
    time.sleep(3)
    scene.shown["user"], scene.shown["admin"] = server.members("5001"), server.members("5002")
    return scene.end("user", "admin")


def admitted(server: Server, conference: str) -> list[Any]:
    """Who is in a conference and past its PIN menu."""
    return [member for member in server.members(conference) if "auth" in str(member.get("flags"))]


def wrong_pins(server: Server, phones: Phones) -> Scene:
    scene = Scene({"wrong": phones.baresip("wrong")})
    scene["wrong"].dial(server.uri("5003"))
    time.sleep(4)
    for pin in ("111#", "789#", "45#"):
        scene["wrong"].digits(pin)
        time.sleep(3.5)
    scene["wrong"].wait_hungup(10)
    return scene.end()


def no_pin(server: Server, phones: Phones) -> Scene:
    scene = Scene({"idle": phones.baresip("idle")})
    scene["idle"].dial(server.uri("5004"))
    scene["idle"].wait_hungup(60)
    return scene.end()


def hasty(server: Server, phones: Phones) -> Scene:
    scene = Scene({"hasty": phones.baresip("hasty")})
    scene["hasty"].dial(server.uri("5005"))
    time.sleep(1)
    scene["hasty"].digits("456#")
    time.sleep(4)
    return scene.end("hasty")


def kicked(server: Server, phones: Phones) -> Scene:
    scene = Scene({"kicked": phones.baresip("kicked", tone=700)})
    scene["kicked"].dial(server.uri("3011"))
    (member,) = server.wait_members("3011", 1)
    time.sleep(2)
    server.ctl(f"3011 member {member['uuid']} kick")
    scene["kicked"].wait_hungup(8)
    return scene.end()


def flags(server: Server, phones: Phones) -> Scene:
    scene = Scene({"told": phones.baresip("told", tone=700), "other": phones.baresip("other", tone=1013)})
    scene["told"].dial(server.uri("3012"))
    (member,) = server.wait_members("3012", 1)
    scene["other"].dial(server.uri("3012"))
    time.sleep(5)
    for flag in FLAGS:
        server.ctl(f"3012 member {member['uuid']} flags {flag}")
        time.sleep(3)
    return scene.end("told", "other")


def playback(server: Server, phones: Phones) -> Scene:
    scene = Scene({"one": phones.baresip("one"), "two": phones.baresip("two")})
    scene["one"].dial(server.uri("3013"))
    (member,) = server.wait_members("3013", 1)
    scene["two"].dial(server.uri("3013"))
    time.sleep(4)
    server.ctl("3013 playback locked.wav async")
    time.sleep(4)
    server.ctl(f"3013 member {member['uuid']} playback kicked.wav async")
    time.sleep(4)
    return scene.end("one", "two")


def comings_and_goings(server: Server, phones: Phones) -> Scene:
    scene = Scene({name: phones.baresip(name) for name in ("stays", "third", "comes")})
    scene["stays"].dial(server.uri("3014"))
    scene["third"].dial(server.uri("3014"))
    time.sleep(6)
    scene["comes"].dial(server.uri("3014"))
    scene.mark("joined")
    time.sleep(4)
    scene.mark("left")
    scene["comes"].hangup()
    time.sleep(2)
    return scene.end("stays", "third")


def announced(server: Server, phones: Phones) -> Scene:
    scene = Scene({name: phones.baresip(name) for name in ("present", "witness", "comer")})
    scene["present"].dial(server.uri("3015"))
    scene["witness"].dial(server.uri("3015"))
    time.sleep(5)
    for change in ("announce_names on", "announce_count on"):
        server.ctl(f"3015 set {change}")
    scene["comer"].dial(server.uri("3015"))
    time.sleep(8)
    return scene.end("present", "witness", "comer")


PARTS = {
    "alone": alone,
    "right pins": right_pins,
    "wrong pins": wrong_pins,
    "no pin": no_pin,
    "hasty": hasty,
    "kicked": kicked,
    "flags": flags,
    "playback": playback,
    "comings and goings": comings_and_goings,
    "announced": announced,
}


@pytest.fixture(scope="module")
def stage(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(shared_server, tmp_path_factory.mktemp("prompts"), PARTS) as stage:
        yield stage


def test_who_is_alone_hears_so_then_music_until_somebody_comes(stage: Stage, prompt: Prompt) -> None:
    scene = stage.played("alone")
    recording = scene["first"].recording()
    welcome = heard(scene["first"], prompt("welcome"))
    said = heard(scene["first"], prompt("alone"))
    assert welcome < 1
    assert welcome < said
    after = said + len(prompt("alone")) / 8000
    assert music_in(recording, after + 0.5, prompt("moh")) is not None
    entered = scene.times["came"] - recording.started
    assert tone_level(recording.between(entered + 2.5, entered + 4.5), 1013) == pytest.approx(-18, abs=1)
    assert music_in(recording, entered + 2.5, prompt("moh")) is None
    # alone again: the music comes back
    assert music_in(recording, recording.seconds - 1.2, prompt("moh")) is not None
    assert hears(scene["second"].recording().samples, prompt("alone")) is None


def test_the_right_pin_lets_in_and_456_is_a_user_123_an_admin(stage: Stage, prompt: Prompt) -> None:
    scene = stage.played("right pins")
    assert scene.shown["before"] == []
    (user,), (admin,) = scene.shown["user"], scene.shown["admin"]
    assert "admin" not in user["flags"]
    assert "admin" in admin["flags"]
    for name in ("user", "admin"):
        asked = heard(scene[name], prompt("enter-pin"))
        assert heard(scene[name], prompt("welcome")) > asked
        assert hears(scene[name].recording().samples, prompt("bad-pin")) is None


def test_three_wrong_pins_end_the_call_with_the_bad_pin_prompt(stage: Stage, prompt: Prompt) -> None:
    phone = stage.played("wrong pins")["wrong"]
    asked = heard(phone, prompt("enter-pin"))
    assert heard(phone, prompt("bad-pin")) > asked
    # the third refusal is the last thing, with at most a goodbye behind it
    end = phone.recording().seconds
    assert heard(phone, prompt("bad-pin"), since=end - 3.5) > end - 3.5
    assert hears(phone.recording().samples, prompt("welcome")) is None


def test_no_pin_at_all_ends_the_call_after_three_times_ten_seconds(stage: Stage, prompt: Prompt) -> None:
    phone = stage.played("no pin")["idle"]
    assert hears(phone.recording().samples, prompt("welcome")) is None
    assert 20 < phone.recording().seconds < 50


def test_the_prompt_can_be_cut_short_by_typing(stage: Stage, prompt: Prompt) -> None:
    assert heard(stage.played("hasty")["hasty"], prompt("welcome")) < 4


def test_a_kicked_member_is_told(stage: Stage, prompt: Prompt) -> None:
    assert heard(stage.played("kicked")["kicked"], prompt("kicked")) > 1.5


def test_flags_set_by_the_operator_are_announced_to_the_one_concerned(stage: Stage, prompt: Prompt) -> None:
    scene = stage.played("flags")
    times = [heard(scene["told"], prompt(name)) for name in FLAGS.values()]
    assert times == sorted(times)
    for name in FLAGS.values():
        assert hears(scene["other"].recording().samples, prompt(name)) is None


def test_a_file_is_played_to_a_conference_or_to_one_member(stage: Stage, prompt: Prompt) -> None:
    scene = stage.played("playback")
    for name in ("one", "two"):
        assert heard(scene[name], prompt("locked")) > 3
    assert heard(scene["one"], prompt("kicked")) > 7
    assert hears(scene["two"].recording().samples, prompt("kicked")) is None


def test_joining_and_leaving_are_heard(stage: Stage) -> None:
    scene = stage.played("comings and goings")
    recording = scene["stays"].recording()

    def loudest(frequency: float, event: str) -> float:
        starts = scene.times[event] + np.arange(-0.5, 1.0, 0.05)
        return max(tone_level(recording.during(start, start + 0.1), frequency) for start in starts)

    assert loudest(660, "joined") > -40
    assert loudest(440, "left") > -40
    assert loudest(440, "joined") < -45


def test_who_comes_is_told_by_name_and_number_once_that_is_set(stage: Stage, prompt: Prompt) -> None:
    phone = stage.played("announced")["present"]
    named = heard(phone, prompt("has-joined"), since=5)
    counted = heard(phone, prompt("digits/3"), since=named)
    assert named < counted < heard(phone, prompt("members"), since=counted) < counted + 2
    assert hears(phone.recording().between(0, 5), prompt("has-joined")) is None
