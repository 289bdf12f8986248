"""How the calls of the load generator fared: one object, as a person reads it or as JSON."""

from __future__ import annotations

import resource
from dataclasses import dataclass

import numpy as np

from xconf.phone.load_calls import LoadCalls
from xconf.phone.load_heard import Quality
from xconf.phone.load_media import LoadMedia, Sent
from xconf.sip.transport import SIPService


@dataclass(slots=True)
class Window:
    """The time between the last answer and the first hang-up: what was sent to all callers in it."""

    began: float | None = None
    seconds: float = 0.0
    packets: int = 0
    call_seconds: float = 0.0

    def open(self, now: float, packets: int, call_seconds: float) -> None:
        self.began, self.packets, self.call_seconds = now, -packets, -call_seconds

    def close(self, now: float, packets: int, call_seconds: float) -> None:
        """Does nothing when it is closed, or was not opened."""
        if self.began is None:
            return
        self.seconds, self.began = now - self.began, None
        self.packets += packets
        self.call_seconds += call_seconds

    @property
    def rate(self) -> float:
        """Packets a second that a call was sent."""
        return self.packets / self.call_seconds if self.seconds and self.call_seconds else 0.0


@dataclass(slots=True)
class Goodbyes:
    """How hanging up went: how many requests had been repeated before it, and the seconds that it took."""

    said: bool = False
    repeated_before: int = 0
    seconds: float = 0.0


@dataclass(slots=True, frozen=True)
class Result:
    """Times in seconds. `packets_per_call` is a second's, while all calls were held; 50 are due of 20 ms each.

    `arrived`: packets to all callers; `overflowed`: of those to measured callers, how many found no room here;
    `stray`: how many came from elsewhere; `repeated`: SIP requests that were sent again for want of an answer, before
    the first hang-up and after it; `moved`, `not_moved`: how often a server has had a call go elsewhere (REFER).
    """

    dialled: int
    answered: int
    failed: int
    failures: dict[str, int]
    moved: int
    not_moved: int
    repeated: int
    repeated_byes: int
    unanswered_byes: int
    set_up_median: float
    set_up_99: float
    set_up_worst: float
    held: float
    packets_per_call: float
    hung_up_in: float
    arrived: int
    overflowed: int
    stray: int
    sent: Sent
    measured: Quality
    cpu: float

    @property
    def text(self) -> str:
        """Some lines for a person."""
        return "\n".join(f"{name:<9} {line}" for name, line in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        heard, sent = self.measured, self.sent
        reasons = "".join(f"; {count} x {reason}" for reason, count in sorted(self.failures.items()))
        loss = f"{heard.lost} of {heard.expected} packets lost ({100 * heard.lost / max(1, heard.expected):.3f} %)"
        return [
            ("", "how it went"),
            (
                "calls",
                f"{self.dialled} dialled, {self.answered} answered, {self.failed} failed{reasons}{self._moves()}",
            ),
            ("set-up", f"median {_ms(self.set_up_median)}, 99 % within {_ms(self.set_up_99)}, {self._repeated()}"),
            ("held", f"{self.held:.1f} s, each call was sent {self.packets_per_call:.2f} packets a second of 50"),
            (
                "hang-up",
                f"in {self.hung_up_in:.2f} s, {self.repeated_byes} repeated, {self.unanswered_byes} unanswered",
            ),
            ("heard", f"{self.arrived} packets by all; of {heard.callers} callers listened to: {loss}"),
            ("", f"{heard.out_of_order} out of order, {heard.doubled} doubled, {heard.late} late, {self._odd()}"),
            ("", f"jitter {heard.jitter_median:.2f} ms (worst {heard.jitter_worst:.2f}), {self._gap()}"),
            ("sound", self._sound()),
            ("said", f"{sent.packets} packets, {sent.refused} refused by the system, {sent.left_out} left out"),
            ("", f"late here: 99 % within {_ms(sent.lateness_99)}, worst {_ms(sent.lateness_worst)}; {self._own()}"),
        ]

    def _moves(self) -> str:
        if not self.moved and not self.not_moved:
            return ""
        return f"; {self.moved} moved to other servers, {self.not_moved} not taken there"

    def _repeated(self) -> str:
        return f"longest {_ms(self.set_up_worst)}; {self.repeated} requests repeated"

    def _odd(self) -> str:
        return f"{self.measured.malformed} malformed, {self.stray} from elsewhere, {self.overflowed} without room here"

    def _gap(self) -> str:
        return f"longest wait for a packet {_ms(self.measured.longest_gap)}"

    def _own(self) -> str:
        return f"CPU of this program {self.cpu:.1f} s"

    def _sound(self) -> str:
        heard = self.measured
        if not heard.judged and not heard.unheard:
            return "not judged, for nobody spoke to those listened to"
        share = 100 * heard.silent / max(1, heard.judged)
        return (
            f"silent for {share:.2f} % of the time, longest {heard.longest_silence:.2f} s; "
            f"{heard.unheard} callers heard nothing"
        )


def make_result(calls: LoadCalls, sip: SIPService, media: LoadMedia, held: Window, goodbyes: Goodbyes) -> Result:
    """The numbers until now."""
    times = np.array(calls.set_up or [0.0])
    median, high, worst = np.percentile(times, (50, 99, 100)).tolist()
    repeated, before = sip.user_agent.counters["retransmitted"], goodbyes.repeated_before
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Result(
        dialled=calls.dialled,
        answered=calls.answered,
        failed=sum(calls.failures.values()),
        failures=dict(calls.failures),
        moved=calls.moved,
        not_moved=calls.not_moved,
        repeated=before if goodbyes.said else repeated,
        repeated_byes=repeated - before if goodbyes.said else 0,
        unanswered_byes=sip.user_agent.transactions.unanswered,
        set_up_median=median,
        set_up_99=high,
        set_up_worst=worst,
        held=held.seconds,
        packets_per_call=held.rate,
        hung_up_in=goodbyes.seconds,
        arrived=media.arrived,
        overflowed=media.overflowed,
        stray=media.stray,
        sent=media.sent,
        measured=media.heard.quality(),
        cpu=used.ru_utime + used.ru_stime,
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
