"""What arrived from one RTP source, for its receiver reports (RFC 3550, appendices A.1, A.3 and A.8)."""

from __future__ import annotations

from xconf.rtp.packet import distance
from xconf.rtp.rtcp import ReportBlock, SenderReport, ntp_middle

MAX_DROPOUT = 3000  # packets ahead that still are the same run of numbers
MAX_MISORDER = 100  # packets behind that still are late ones
_NO_NUMBER = -1


class SourceStatistics:
    """Packets, loss and jitter of one source. `now` is monotonic seconds.

    The call's signalling has told of the source, so it counts from its first packet, without the probation of A.1.
    """

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.received = 0
        self.jitter = 0.0
        """Interarrival jitter in timestamp units (6.4.1)."""
        self._first = 0
        self._highest = _NO_NUMBER
        self._suspect = _NO_NUMBER
        self._transit: tuple[float, int] | None = None
        self._expected_before = 0
        self._received_before = 0
        self._sender_report: tuple[int, float] | None = None

    def packet(self, sequence: int, now: float, timestamp: int | None = None) -> None:
        """Note an arrival. `timestamp` is left out for packets whose timestamps are no sampling times (events)."""
        if self._highest == _NO_NUMBER:
            self._first = self._highest = sequence
        elif not self._advance(sequence):
            return
        self.received += 1
        if timestamp is not None:
            self._measure_jitter(timestamp, now)

    def _advance(self, sequence: int) -> bool:
        """Move the highest number on; False for a packet from nowhere (A.1), unless a second one follows on it."""
        ahead = distance(sequence, self._highest & 0xFFFF, 16)
        if -MAX_MISORDER <= ahead <= MAX_DROPOUT:
            self._highest += max(ahead, 0)
        elif sequence == self._suspect:
            self._restart(sequence)
        else:
            self._suspect = (sequence + 1) & 0xFFFF
            return False
        return True

    def _restart(self, sequence: int) -> None:
        """The source began anew: so do the counts."""
        self._first = self._highest = sequence
        self._suspect = _NO_NUMBER
        self._transit = None
        self.received = self._expected_before = self._received_before = 0

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        if self._transit is not None:
            before, timestamp_before = self._transit
            difference = (now - before) * self.clock_rate - distance(timestamp, timestamp_before, 32)
            self.jitter += (abs(difference) - self.jitter) / 16
        self._transit = now, timestamp

    @property
    def highest_sequence(self) -> int:
        """The extended highest sequence number: its cycles above the 16 bits of the packet; 0 before any packet."""
        return max(self._highest, 0)

    @property
    def expected(self) -> int:
        return self._highest - self._first + 1 if self._highest != _NO_NUMBER else 0

    @property
    def lost(self) -> int:
        """Packets expected but not received; negative when more were doubled than lost."""
        return self.expected - self.received

    def sender_report(self, report: SenderReport, now: float) -> None:
        """Note the source's SR, for the round trip that it will work out."""
        self._sender_report = ntp_middle(report.ntp), now

    def report(self, now: float) -> ReportBlock:
        """The block of the next report; its fraction lost is that since the block before."""
        expected = self.expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self.expected, self.received
        last_sr, delay = 0, 0
        if self._sender_report is not None:
            last_sr, arrived = self._sender_report
            delay = min(int((now - arrived) * 65536), 0xFFFFFFFF)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0,
            cumulative_lost=max(-(1 << 23), min(self.lost, (1 << 23) - 1)),
            highest_sequence=self.highest_sequence & 0xFFFFFFFF,
            jitter=min(int(self.jitter), 0xFFFFFFFF),
            last_sr=last_sr,
            delay_since_last_sr=delay,
        )
