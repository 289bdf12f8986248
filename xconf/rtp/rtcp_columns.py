"""RTCP of many legs at once (RFC 3550, section 6): compound packets as rows of words, what `rtcp` does one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.rtp.rtcp import ntp_middle, ntp_time

Ints = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_CNAME = 1
_BLOCK = 6  # words of a report block
_SENDER = 5  # words of sender information
_32 = 0xFFFFFFFF


@dataclass(slots=True, frozen=True)
class Sent:
    """Sender information (6.4.1), an item per packet but for the time, 64 bits of NTP, which all have in common."""

    ntp: int
    timestamp: Ints
    packets: Ints
    octets: Ints


@dataclass(slots=True, frozen=True)
class Blocks:
    """One report block per packet (6.4.1). fraction: of 256; lost: cumulative; jitter: timestamp units; the last two: 1/65536 s."""

    ssrc: Ints
    fraction: Ints
    lost: Ints
    highest: Ints
    jitter: Ints
    last_sr: Ints
    delay: Ints


@dataclass(slots=True, frozen=True)
class Told:
    """What the first reports of datagrams say, a column each; zero where a datagram does not say it.

    well_formed: RTCP, as far as it was read; sr: the middle of the NTP time of a sender report; block: has a report block
    (`fraction` of 256 lost, `jitter` in timestamp units, and `round_trip` in s, NaN before our first report).
    """

    well_formed: Bools
    sr: Ints
    block: Bools
    fraction: Ints
    jitter: Ints
    round_trip: npt.NDArray[np.float64]


def compose(
    ssrc: Ints, cname: str, *, sent: Sent | None = None, blocks: Blocks | None = None, bye: bool = False
) -> Octets:
    """Compound packets, uint8[n, octets]: sender or receiver reports from `ssrc`, the CNAME, and BYE if it is the last."""
    words: list[Ints | int] = []
    count = 0 if blocks is None else 1
    if sent is None:
        words += [_head(count, _RR, 1 + _BLOCK * count), ssrc]
    else:
        words += [_head(count, _SR, 1 + _SENDER + _BLOCK * count), ssrc]
        words += [sent.ntp >> 32, sent.ntp, sent.timestamp, sent.packets, sent.octets]
    if blocks is not None:
        words += [blocks.ssrc, blocks.fraction << 24 | blocks.lost & 0xFFFFFF, blocks.highest, blocks.jitter]
        words += [blocks.last_sr, blocks.delay]
    name = _items(cname)
    words += [_head(1, _SDES, 1 + len(name)), ssrc, *name]
    if bye:
        words += [_head(1, _BYE, 1), ssrc]
    table = np.empty((len(ssrc), len(words)), ">u4")
    for at, word in enumerate(words):
        table[:, at] = word & _32
    return table.view(np.uint8)


def read(data: Octets, lengths: Ints, wall: float) -> Told:
    """Of each datagram the first report. data: uint8[n, width], width a multiple of 4; wall: the time of day, in s.

    A datagram may hold other packets first, or alone (RFC 5506): then it says nothing here.
    """
    table = data.view(">u4")[:, : 2 + _SENDER + _BLOCK].astype(np.int64)
    first = table[:, 0]
    kind, size = first >> 16 & 0xFF, 4 * ((first & 0xFFFF) + 1)
    is_sr, is_rr = kind == _SR, kind == _RR
    own = np.where(is_sr, 2 + _SENDER, 2)  # words before the block
    has = (is_sr | is_rr) & ((first >> 24 & 0x1F) > 0)
    well_formed = (first >> 30 == 2) & (kind >= 192) & (kind < 224) & (lengths >= 8) & (size <= lengths)
    well_formed &= ~(is_sr | is_rr) | (size >= 4 * (own + _BLOCK * has))
    has &= well_formed
    row = np.arange(len(table))
    lost, jitter, last, delay = (table[row, own + at] for at in (1, 3, 4, 5))
    round_trip = (ntp_middle(ntp_time(wall)) - last - delay + (1 << 31)) % (1 << 32) - (1 << 31)
    return Told(
        well_formed,
        np.where(is_sr & well_formed, (table[:, 2] << 16 | table[:, 3] >> 16) & _32, 0),
        has,
        np.where(has, lost >> 24, 0),
        np.where(has, jitter, 0),
        np.where(has & (last != 0), np.maximum(round_trip, 0) / 65536, np.nan),
    )


def _head(count: int, kind: int, words: int) -> int:
    return 0x80 << 24 | count << 24 | kind << 16 | words


def _items(cname: str) -> list[int]:
    """The words of a chunk of SDES after its source: the CNAME, and at least one null (6.5)."""
    text = cname.encode()
    chunk = bytes([_CNAME, len(text)]) + text
    chunk += bytes(4 - len(chunk) % 4)
    return [int.from_bytes(chunk[at : at + 4], "big") for at in range(0, len(chunk), 4)]
