"""Codecs against the formulas of their standards."""

from __future__ import annotations

import numpy as np

from xconf.media.codecs import LINEAR, PCMA, PCMU

ALL = np.arange(-32768, 32768).astype(np.int16)


def mu_law(sample: int) -> int:
    """G.711, mu-law, from 14-bit magnitudes: bias 33, eight segments of sixteen steps, all bits inverted."""
    value = sample >> 2
    sign = 0x80 if value < 0 else 0
    magnitude = min(-value if value < 0 else value, 8158) + 33
    segment = magnitude.bit_length() - 6
    return ~(sign | segment << 4 | magnitude >> (segment + 1) & 0x0F) & 0xFF


def a_law(sample: int) -> int:
    """G.711, A-law, from 13-bit magnitudes: even bits inverted."""
    value = sample >> 3
    sign = 0x80 if value >= 0 else 0
    magnitude = value if value >= 0 else -value - 1
    segment = max(0, magnitude.bit_length() - 5)
    mantissa = magnitude >> (segment if segment > 1 else 1) & 0x0F
    return (sign | segment << 4 | mantissa) ^ 0x55


def test_mu_law_of_every_sample() -> None:
    assert PCMU.encode(ALL[None])[0].tolist() == [mu_law(int(sample)) for sample in ALL]


def test_a_law_of_every_sample() -> None:
    assert PCMA.encode(ALL[None])[0].tolist() == [a_law(int(sample)) for sample in ALL]


def test_every_octet_of_g711_is_its_own_round_trip() -> None:
    octets = np.arange(256, dtype=np.uint8)[None]
    for codec in (PCMU, PCMA):
        again = codec.encode(codec.decode(octets))
        # Mu-law has two zeros, which are one sample.
        same = codec.decode(again) == codec.decode(octets)
        assert same.all()


def test_linear_is_big_endian_and_loses_nothing() -> None:
    for (rate, channels), codec in LINEAR.items():
        frame = np.array([[0, 1, -1, 32767, -32768, 258]], np.int16)
        assert codec.encode(frame).tobytes() == bytes.fromhex("0000 0001 ffff 7fff 8000 0102")
        assert (codec.decode(codec.encode(frame)) == frame).all()
        assert codec.frame_octets == rate // 50 * 2 * channels
