"""Telephones with G.722 and Opus in one conference at 48 kHz, recorded for some seconds; each test looks at one of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bed_audio import read_wav, tone_level
from bed_crew import Phones
from bed_server import BIN, Server

QUIET = dict.fromkeys(("member_welcome", "member_join", "member_leave", "member_alone", "moh"), "")
PROFILE = {
    "default": {**QUIET, "sample_rate": 48000, "codecs": ["opus", "g722", "l16/16000"], "cng": {"enable": False}}
}
TONES = {"gus": 433, "oli": 1013, "lin": 1709, "xen": 2503, "lou": 3203}
CODECS = {"gus": "G722/8000", "oli": "opus/48000", "lin": "opus/48000", "xen": "opus/48000", "lou": "L16/16000"}
SENT = -18.0  # dBFS RMS of every tone


@dataclass
class Heard:
    """What each phone heard while all of them spoke; what the server showed, and its log."""

    recordings: dict[str, np.ndarray]
    rates: dict[str, int]
    members: dict[str, dict[str, Any]]
    counters: dict[str, int]


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    folder = tmp_path_factory.mktemp("codecs")
    server, phones = Server(folder / "server", {"profiles": PROFILE}), Phones(folder)
    try:
        yield converse(server, phones, folder)
        server.wait_idle()
        server.stop()
    finally:
        phones.stop()
        server.kill()


def converse(server: Server, phones: Phones, folder: Path) -> Heard:
    """All five are there for some seconds; the last of these are kept."""
    everybody = {
        "gus": phones.baresip("gus", tone=TONES["gus"], rate=16000, codecs="G722/16000/1"),
        "oli": phones.baresip("oli", tone=TONES["oli"], rate=48000, codecs="opus/48000/2", config="opus_stereo no\n"),
        "lou": phones.baresip("lou", tone=TONES["lou"], rate=16000, codecs="L16/16000/1"),
        "lin": phones.linphone("lin", tone=TONES["lin"], rate=48000),
    }
    for phone in everybody.values():
        phone.dial(server.uri("3000"))
    record = folder / "xen.wav"
    words = ("--from", "xen", "--codec", "opus", "--ptime", "40", "--duration", "6s", "--record", str(record))
    command = [str(BIN / "xconf"), "phone", server.uri("3000"), "--tone", str(TONES["xen"]), *words]
    xen = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    server.wait_members("3000", 5)
    start = time.monotonic() + 2
    time.sleep(5)
    members, counters = server.members("3000"), server.data("counters")
    assert xen.wait(10) == 0
    for phone in everybody.values():
        phone.hangup()
    phones.stop()
    recordings = {name: phone.recording() for name, phone in everybody.items()}
    parts = {name: recording.during(start, start + 2.5) for name, recording in recordings.items()}
    rates = {name: recording.rate for name, recording in recordings.items()}
    parts["xen"], rates["xen"] = read_wav(record)
    parts["xen"] = parts["xen"][rates["xen"] * 2 : rates["xen"] * 9 // 2]
    named = {next(name for name in TONES if name in member["caller"]): member for member in members}
    return Heard(parts, rates, named, counters)


@pytest.mark.parametrize("listener", TONES)
def test_each_hears_all_others_and_not_itself(heard: Heard, listener: str) -> None:
    rate = heard.rates[listener]
    levels = {name: tone_level(heard.recordings[listener], tone, rate) for name, tone in TONES.items()}
    own = levels.pop(listener)
    # Opus is made for speech: of four tones at once it gives back some a little softer.
    assert all(abs(level - SENT) < 3 for level in levels.values()), levels
    assert own < SENT - 25


@pytest.mark.parametrize("phone", TONES)
def test_what_was_agreed_on_is_shown(heard: Heard, phone: str) -> None:
    assert heard.members[phone]["codec"] == CODECS[phone]
