"""Profiles: what a configuration may say of a conference, and what it is told when it says something else."""

from __future__ import annotations

from typing import Any

import pytest

from xconf.conference.errors import ConfigError
from xconf.conference.profile import Profile, agc_text, parse_agc, resolve


def test_an_empty_profile_is_the_reference_default() -> None:
    profile = resolve({"default": None})["default"]
    assert profile == Profile()
    assert (profile.sample_rate, profile.ptime, profile.channels, profile.conference_term_timer) == (8000, 20, 1, 0)
    assert (profile.vad.enable, profile.vad.level, profile.cng.level, profile.agc.data) == (True, 300, 120, "0:0:3:20")


def test_what_is_inherited_can_be_overridden_key_by_key() -> None:
    profiles = resolve(
        {
            "base": {"vad": {"level": 500, "enable": False}, "moh": "jazz.wav", "admin_pin": "99"},
            "middle": {"inherit": "base", "vad": {"enable": True}},
            "leaf": {"inherit": "middle", "moh": "rock.wav", "pin_auth": True},
        }
    )
    leaf = profiles["leaf"]
    assert (leaf.vad.level, leaf.vad.enable, leaf.moh, leaf.admin_pin) == (500, True, "rock.wav", "99")
    assert profiles["base"].moh == "jazz.wav"


@pytest.mark.parametrize(
    ("profiles", "place", "text"),
    [
        ({"a": {"vad": {"level": 5000}}}, "profiles.a.vad.level", "0..1800"),
        ({"a": {"vad": {"levl": 5}}}, "profiles.a.vad.levl", "did you mean level?"),
        ({"a": {"vad": 3}}, "profiles.a.vad", "keys with values"),
        ({"a": {"cng": {"level": -1}}}, "profiles.a.cng.level", "0..10000"),
        ({"a": {"agc": {"data": "1:2"}}}, "profiles.a.agc", "level:low-level:factor:margin"),
        ({"a": {"agc": {"data": "9999:0:0:0"}}}, "profiles.a.agc", "0..1800"),
        ({"a": {"sample_rate": 44100}}, "profiles.a.sample_rate", "8000 or 16000"),
        ({"a": {"ptime": 25}}, "profiles.a.ptime", "10 or 20 or 30 or 40 or 60"),
        ({"a": {"admin_pin": 123}}, "profiles.a.admin_pin", "in quotes"),
        ({"a": {"user_pin": "12345678901"}}, "profiles.a.user_pin", "1 to 10 digits"),
        ({"a": {"alone_sound": "maybe"}}, "profiles.a.alone_sound", "true or false"),
        ({"a": {"colour": "red"}}, "profiles.a.colour", "unknown key"),
        ({"a": {"pin_auth": True}}, "profiles.a.pin_auth", "admin_pin or user_pin"),
        ({"a": {"admin_pin": "1", "user_pin": "1"}}, "profiles.a.user_pin", "differ"),
        ({"a": {"transcoding": False}}, "profiles.a.transcoding", "codecs must name the one codec"),
        (
            {"a": {"transcoding": False, "codecs": ["g722"]}},
            "profiles.a.transcoding",
            "sample_rate must be that of g722, 16000",
        ),
        ({"a": {"transcoding": False, "codecs": ["opus"], "ptime": 40}}, "profiles.a.transcoding", "ptime must be 20"),
        (
            {"a": {"transcoding": False, "codecs": ["pcmu"], "echo_guard": True}},
            "profiles.a.transcoding",
            "leave out noise_suppression and echo_guard",
        ),
        ({"a": {"codecs": ["speex"]}}, "profiles.a.codecs", "no codec 'speex'"),
        ({"a": {"inherit": "defalt"}, "default": {}}, "profiles.a.inherit", "did you mean default?"),
        ({"a": {"inherit": "b"}, "b": {"inherit": "a"}}, "profiles.b.inherit", "a -> b -> a"),
        ({"a": {"inherit": "a"}}, "profiles.a.inherit", "a -> a"),
        ({"a": [1]}, "profiles.a", "keys with values"),
    ],
)
def test_a_fault_is_named_with_its_place_and_what_is_allowed(profiles: dict[str, Any], place: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(profiles)
    assert ".".join(caught.value.path) == place
    assert text in caught.value.text
    assert "\n" not in str(caught.value)


def test_a_pin_is_never_in_a_message() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"a": {"admin_pin": "12a45"}})
    assert "12a45" not in str(caught.value)


def test_automatic_gain_is_written_as_it_is_read() -> None:
    assert agc_text(parse_agc("600:100:3:20")) == "600:100:3:20"
    with pytest.raises(ValueError, match="0..100"):
        parse_agc("600:100:300:20")
