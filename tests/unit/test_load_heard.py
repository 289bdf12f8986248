"""What the load generator says of what its callers heard."""

from __future__ import annotations

import numpy as np
import pytest

from xconf.media.codecs import PCMU
from xconf.phone.load_heard import Heard, Quality
from xconf.rtp.packet import RtpPacket

LOUD = PCMU.encode(np.full(160, 8000, np.int16)).tobytes()
QUIET = PCMU.encode(np.zeros(160, np.int16)).tobytes()
STARTED = 1000.0


class Ears:
    """Callers 0..count-1, all of them spoken to, and packets for them."""

    def __init__(self, count: int = 1) -> None:
        self.heard = Heard(count, PCMU, np.ones(count, bool))
        for caller in range(count):
            self.heard.start(caller, 0)

    def packet(
        self,
        number: int,
        at: float | None = None,
        *,
        caller: int = 0,
        payload: bytes = LOUD,
        ssrc: int = 7,
        base: int = 0,
    ) -> None:
        """The packet of that number, which arrives when it is due unless said otherwise. base: of number and timestamp."""
        self.batch([(number, at, caller, payload, ssrc, base)])

    def batch(self, packets: list[tuple[int, float | None, int, bytes, int, int]]) -> None:
        data = np.zeros((len(packets), 200), np.uint8)
        for row, (number, _, _, payload, ssrc, base) in enumerate(packets):
            timestamp = (base + number * 160) & 0xFFFFFFFF
            raw = RtpPacket(0, (base + number) & 0xFFFF, timestamp, ssrc, payload).serialize()
            data[row, : len(raw)] = np.frombuffer(raw, np.uint8)
        at = [number * 0.02 if at is None else at for number, at, *_ in packets]
        lengths = np.full(len(packets), 172)
        callers = np.array([caller for _, _, caller, *_ in packets])
        self.heard.take(callers, data, lengths, STARTED + np.array(at))

    def quality(self) -> Quality:
        return self.heard.quality()


def test_a_clean_stream() -> None:
    ears = Ears()
    for number in range(100):
        ears.packet(number)
    quality = ears.quality()
    assert (quality.received, quality.expected, quality.lost) == (100, 100, 0)
    assert (quality.out_of_order, quality.doubled, quality.late, quality.silent) == (0, 0, 0, 0)
    assert quality.jitter_worst < 0.01
    assert quality.longest_gap == pytest.approx(0.02)


def test_loss_across_the_wrap_of_the_numbers() -> None:
    ears = Ears()
    for number in range(100):
        if number not in (50, 51, 70):
            ears.packet(number, base=65500)
    assert (ears.quality().lost, ears.quality().expected) == (3, 100)


def test_timestamps_may_wrap() -> None:
    ears = Ears()
    for number in range(100):
        ears.packet(number, base=(1 << 32) - 8000)
    assert (ears.quality().late, ears.quality().lost) == (0, 0)
    assert ears.quality().jitter_worst < 0.01


def test_order_and_doubles() -> None:
    ears = Ears()
    for number in (0, 1, 3, 2, 4, 4, 5):
        ears.packet(number)
    quality = ears.quality()
    assert (quality.lost, quality.out_of_order, quality.doubled) == (0, 1, 1)


def test_several_packets_of_a_caller_in_one_batch_count_in_their_order() -> None:
    ears = Ears(2)
    ears.batch([(number, None, caller, LOUD, 7, 0) for number in (0, 1, 2, 4, 3) for caller in (0, 1)])
    quality = ears.quality()
    assert (quality.callers, quality.received, quality.lost, quality.out_of_order) == (2, 10, 0, 2)


def test_late_is_what_a_jitter_buffer_would_drop() -> None:
    ears = Ears()
    for number in range(50):
        ears.packet(number, number * 0.02 + (0.07 if number in (20, 21) else 0.05 if number == 30 else 0.0))
    assert ears.quality().late == 2
    assert ears.quality().longest_gap == pytest.approx(0.09)


def test_a_clock_that_runs_slower_makes_nothing_late() -> None:
    ears = Ears()
    for number in range(0, 50 * 600):
        ears.packet(number, number * 0.02 * 1.0003)
    assert ears.quality().late == 0


def test_jitter_is_that_of_the_rfc() -> None:
    ears = Ears()
    for number in range(400):
        ears.packet(number, number * 0.02 + (0.004 if number % 2 else 0.0))
    assert ears.quality().jitter_median == pytest.approx(4.0, rel=0.01)


def test_another_source_begins_anew_and_what_was_before_still_counts() -> None:
    ears = Ears()
    for number in (0, 1, 3):
        ears.packet(number)
    for number in range(4, 10):
        ears.packet(number, ssrc=8, base=30_000)
    quality = ears.quality()
    assert (quality.received, quality.lost, quality.late) == (9, 1, 0)


def test_silence_counts_from_the_first_sound_on() -> None:
    ears = Ears()
    for number in range(100):
        ears.packet(number, payload=LOUD if 20 <= number < 50 or number >= 60 else QUIET)
    quality = ears.quality()
    assert (quality.silent, quality.judged) == (10, 80)
    assert quality.longest_silence == pytest.approx(0.2)
    assert quality.unheard == 0


def test_callers_who_hear_nothing_are_named() -> None:
    ears = Ears(3)
    for number in range(10):
        ears.packet(number, caller=0)
        ears.packet(number, caller=1, payload=QUIET)
    assert ears.quality().unheard == 2


def test_what_is_no_rtp_is_counted() -> None:
    ears = Ears()
    ears.heard.take(np.array([0]), np.zeros((1, 200), np.uint8), np.array([172]), np.array([STARTED]))
    assert (ears.quality().malformed, ears.quality().received) == (1, 0)


def test_a_caller_who_has_hung_up_is_not_listened_to() -> None:
    ears = Ears()
    ears.packet(0)
    ears.heard.stop(0)
    ears.packet(5)
    assert (ears.quality().received, ears.quality().lost) == (1, 0)
