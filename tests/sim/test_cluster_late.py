"""Sound that is held up once: the stream is too late afterwards, and comes back to its place without anybody hearing it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bed_audio import pitch
from cluster_world import SoundNode, Wire, tone

HERTZ = 433.0
CENTS = 3.0  # off the pitch; trained ears hear some 5


def held_up(
    after: float, seconds: float, spoken: float, rate: int = 8000, say: Callable[[int], np.ndarray] | None = None
) -> SoundNode:
    """b, when a has spoken for so long. after: s after a began, when the network stands still for `seconds`."""
    said = say or tone(rate, HERTZ)
    wire = Wire()
    first = 100
    begin = wire.now + first * 0.02 + after

    def delay() -> float:
        at = wire.now - begin
        return 0.0005 + (seconds - at if 0 <= at < seconds else 0.0)

    wire.delay = delay
    SoundNode(wire, "a", rate=rate, say=lambda tick: said(tick) if tick >= first else None)
    b = SoundNode(wire, "b", rate=rate, phase=0.007)
    wire.run(2.0 + spoken)
    return b


# A stream that was a frame later than it need be slipped a sample in each frame, for seconds: 11 cents off the pitch, which
# showed as a tone 2 dB too soft where it was looked for.
@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(("after", "seconds"), [(0.0, 0.02), (0.0, 0.04), (0.0, 0.1), (3.0, 0.06), (3.0, 0.1)])
def test_a_stream_that_was_held_up_once_is_not_out_of_tune_for_seconds(after: float, seconds: float, rate: int) -> None:
    heard = held_up(after, seconds, 12.0, rate).heard(8.0)
    off = [abs(1200 * np.log2(pitch(piece, HERTZ, rate) / HERTZ)) for piece in np.split(heard, 8)]
    assert max(off) < CENTS


def sweep(tick: int) -> np.ndarray:
    """From 300 to 900 Hz in each second: it is known what is heard when."""
    at = (np.arange(160) + tick * 160) % 8000 / 8000
    return np.rint(4000 * np.sin(2 * np.pi * (300 * at + 300 * at * at))).astype(np.int16)


def hiss(tick: int) -> np.ndarray:
    """No two frames are alike."""
    return np.random.default_rng(tick).integers(-4000, 4000, 160).astype(np.int16)


def later(heard: np.ndarray, said: Callable[[int], np.ndarray]) -> float:
    """s by which the last second of `heard` came after it was said."""
    ticks = range(len(heard) // 160 - 75, len(heard) // 160)
    whole = np.concatenate([said(tick) for tick in ticks]).astype(np.float64)
    found = np.correlate(whole, heard[-8000:].astype(np.float64), "valid")
    return (len(whole) - 8000 - int(np.argmax(found))) / 8000


@pytest.mark.parametrize("say", [sweep, hiss])
@pytest.mark.parametrize(("after", "seconds"), [(0.0, 0.04), (0.0, 0.1), (3.0, 0.1), (3.0, 0.15)])
def test_a_stream_that_was_held_up_once_is_soon_where_it_was(
    after: float, seconds: float, say: Callable[[int], np.ndarray]
) -> None:
    b = held_up(after, seconds, 9.0 + after, say=say)
    assert later(np.concatenate(b.frames), say) <= 0.046
    assert b.stream.splices > 0
    assert b.stream.concealed <= 3, "while nothing came"
