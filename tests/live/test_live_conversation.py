"""People talk for a minute: three baresips in 3000, a listener at 4000, linphone with a baresip in 3001.

One minute is recorded once, by all of them at the same time; each test then looks at one thing in the recordings.
What lies near a stall of the machine itself is left out, and said so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from bed_audio import Spot, clicks, gaps, tone_levels
from bed_crew import Phones
from bed_phones import Recording
from bed_server import Server

from bench.stalls import Stall, StallMonitor, without_stalls

MINUTE = 60.0
TONES = {"ann": 433.0, "bob": 1013.0, "cat": 1709.0}
LISTENER = "dan"
LINPHONE, PARTNER = 620.0, 1310.0
SENT = -18.0  # dBFS RMS of every tone
SEGMENT = 0.5  # seconds of sound whose level is judged at once
MARGIN = 0.3  # seconds around a stall: buffers on the way make its effect late, and recordings are placed to 0.1 s
QUIET_START = 7.0  # seconds after the last one joined: prompts and join tones are over


@dataclass
class Conversation:
    """What everybody heard; `start` and `end` (CLOCK_MONOTONIC) bound the minute in which all were there."""

    start: float
    end: float
    stalls: list[Stall]
    remarks: str  # on the stalls, and on the server's ticks; printed with what fails
    heard: dict[str, Recording]
    lasted: dict[str, float] = field(default_factory=dict)

    def minute(self, who: str) -> np.ndarray:
        return self.heard[who].during(self.start, self.end)

    def levels(self, who: str, frequency: float) -> np.ndarray:
        """Levels of a tone in what `who` heard, of the pieces that no stall was near."""
        recording = self.heard[who]
        levels = tone_levels(self.minute(who), frequency, recording.rate, SEGMENT)
        times = self.start + (np.arange(len(levels)) + 0.5) * SEGMENT
        fair = set(without_stalls(times, self.stalls, MARGIN + SEGMENT / 2))
        return np.array([level for level, at in zip(levels, times, strict=True) if at in fair])

    def fair(self, spots: list[Spot]) -> list[Spot]:
        """Of some spots of the minute, those that no stall was near."""
        return [spot for spot in spots if without_stalls([self.start + spot.start], self.stalls, MARGIN + spot.length)]


def converse(server: Server, phones: Phones, stalls: StallMonitor) -> Conversation:
    speakers = {name: phones.baresip(name, tone=frequency) for name, frequency in TONES.items()}
    listener = phones.baresip(LISTENER, tone=2503)
    partner = phones.baresip("eve", tone=PARTNER, codecs="PCMA/8000/1")
    linphone = phones.linphone("lin", tone=LINPHONE)
    everybody = {**speakers, LISTENER: listener, "eve": partner}
    dialled = {}
    for name, phone in everybody.items():
        phone.dial(server.uri({LISTENER: "4000", "eve": "3001"}.get(name, "3000")))
        dialled[name] = time.monotonic()
    linphone.dial(server.uri("3001"))
    server.wait_members("3000", 4)
    server.wait_members("3001", 2)
    start = time.monotonic() + QUIET_START
    time.sleep(QUIET_START + MINUTE + 0.5)
    ticks = server.ctl("status")
    lasted = {}
    for name, phone in everybody.items():
        lasted[name] = time.monotonic() - dialled[name]
        phone.hangup()
    linphone.hangup()
    for phone in (*everybody.values(), linphone):
        phone.stop()
    heard = {name: phone.recording() for name, phone in everybody.items()} | {"lin": linphone.recording()}
    return Conversation(start, start + MINUTE, stalls.stalls(), f"{stalls.describe()}\n{ticks}", heard, lasted)


@pytest.fixture(scope="module")
def conversation(
    shared_server: Server, stalls: StallMonitor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    shared_server.wait_idle()
    phones = Phones(tmp_path_factory.mktemp("conversation"))
    try:
        yield converse(shared_server, phones, stalls)
    finally:
        phones.stop()
    shared_server.wait_idle(15)
    shared_server.check_log()


PAIRS = [(who, other) for who in (*TONES, LISTENER) for other in TONES if who != other]


@pytest.mark.parametrize(("who", "other"), PAIRS)
def test_each_hears_the_others_as_loud_as_they_speak(conversation: Conversation, who: str, other: str) -> None:
    levels = conversation.levels(who, TONES[other])
    assert len(levels) > MINUTE / SEGMENT / 4, f"hardly anything is left to judge: {conversation.remarks}"
    assert levels == pytest.approx(SENT, abs=1.0), conversation.remarks


@pytest.mark.parametrize("who", TONES)
def test_nobody_hears_himself(conversation: Conversation, who: str) -> None:
    own = conversation.levels(who, TONES[who])
    assert own.max() <= SENT - 40


@pytest.mark.parametrize("who", [*TONES, LISTENER])
def test_no_gaps(conversation: Conversation, who: str) -> None:
    long = [spot for spot in conversation.fair(gaps(conversation.minute(who))) if spot.length > 0.02]
    assert not long, conversation.remarks


@pytest.mark.parametrize("who", [*TONES, LISTENER])
def test_no_clicks(conversation: Conversation, who: str) -> None:
    heard = [frequency for name, frequency in TONES.items() if name != who]
    found = conversation.fair(clicks(conversation.minute(who), heard))
    assert not found, conversation.remarks


@pytest.mark.parametrize("who", [*TONES, LISTENER])
def test_nothing_is_lost_on_the_way(conversation: Conversation, who: str) -> None:
    """What a phone's decoder never got is missing in its recording, which is then shorter than the call."""
    missing = conversation.lasted[who] - conversation.heard[who].seconds
    stalled = sum(stall.end - stall.start for stall in conversation.stalls)
    assert missing < 0.5 + stalled


@pytest.mark.parametrize("who", TONES)
def test_the_listener_is_not_heard(conversation: Conversation, who: str) -> None:
    assert conversation.levels(who, 2503).max() <= SENT - 40


def test_linphone_and_a_phone_with_a_law_hear_each_other(conversation: Conversation) -> None:
    for who, own, other in (("lin", LINPHONE, PARTNER), ("eve", PARTNER, LINPHONE)):
        others = conversation.levels(who, other)
        # linphone stretches sound a little to follow the other clock, which costs level in single pieces
        assert np.median(others) == pytest.approx(SENT, abs=1.0), conversation.remarks
        assert np.quantile(others, 0.1) > SENT - 3
        assert np.median(conversation.levels(who, own)) <= SENT - 40
