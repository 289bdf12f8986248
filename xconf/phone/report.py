"""What happened, as a person reads it or as a program does: one line for each event, with seconds since the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True, frozen=True)
class Happening:
    """`at`: monotonic seconds; `event`: a word for programs; `text`: for people; `details`: for JSON."""

    at: float
    event: str
    text: str
    details: dict[str, object] = field(default_factory=dict)


Listener = Callable[[Happening], None]


def reporter(stream: TextIO, began: float, *, as_json: bool) -> Listener:
    """A listener that prints at once, with seconds since `began`."""

    def tell(happening: Happening) -> None:
        at = happening.at - began
        line = f"{at:9.3f}  {happening.text}"
        if as_json:
            line = json.dumps({"at": round(at, 6), "event": happening.event, **happening.details})
        print(line, file=stream, flush=True)

    return tell


@dataclass(slots=True, frozen=True)
class Summary:
    """The call in numbers. Times in seconds, levels in dB relative to full scale."""

    answered_after: float | None
    duration: float
    codec: str
    sent: int
    received: int
    lost: int
    jitter: float
    round_trip: float | None
    sound_after: float | None
    sounding: float
    level: float
    peak: float
    digits_heard: str
    stray: int
    malformed: int
    unwanted: int
    sources: int

    @property
    def text(self) -> str:
        """One line for a person."""
        if self.answered_after is None:
            return "not answered"
        parts = [
            f"{self.duration:.1f} s in {self.codec}",
            f"sent {self.sent} packets",
            f"received {self.received}, lost {self.lost}, jitter {self.jitter * 1000:.1f} ms",
            self._heard(),
        ]
        if self.round_trip is not None:
            parts.insert(3, f"round trip {self.round_trip * 1000:.1f} ms")
        if self.digits_heard:
            parts.append(f"keys heard {self.digits_heard}")
        if self.stray or self.malformed or self.unwanted:
            parts.append(
                f"left aside: {self.stray} from elsewhere, {self.malformed} malformed, {self.unwanted} not agreed"
            )
        return "; ".join(parts)

    def _heard(self) -> str:
        if not self.sounding:
            return "heard nothing" if self.received else "heard nothing, for no sound arrived"
        return f"heard sound for {self.sounding:.1f} s at {self.level:.1f} dB, peak {self.peak:.1f} dB"
