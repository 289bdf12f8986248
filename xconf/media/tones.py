"""Tones, and the little language that describes them: `tone_stream://%(on,off,f1,f2,…)`.

The language is FreeSWITCH's TGML. Parts stand one after the other, with or without `;` between them:

    %(2000,4000,440,480)   2,000 ms of both tones, then 4,000 ms of silence; a frequency of 0 is silence
    0-9 a-d * #            a key of the telephone, d and w long, or as `7(1000,500)` says
    v=-7                   decibels below full scale, for what follows; -63..0
    d=250, w=50            how long a key's tone and the silence after it are, in ms
    >=2, <=2, +=0.1        what follows grows softer (louder) every 2 ms, by 0.1 decibels
    l=2                    each part that follows is heard so often
    L=3, loops=3           all of it is heard so often; -1: without end
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xconf.media.sources import Clip, Samples, SoundError

PREFIX = "tone_stream://"
LONGEST = 60.0  # s of one pass
_RAMP = 0.004  # s: tones begin and end softly, so that they do not click
_MOST_LOOPS = 100_000

_NUMBER = r"\d{1,7}(?:\.\d{0,4})?|\.\d{1,4}"
_PART = re.compile(
    rf"""\s*(?:
    %\(\s*(?P<on>{_NUMBER})\s*,\s*(?P<off>{_NUMBER})\s*(?P<frequencies>(?:,\s*(?:{_NUMBER})\s*){{1,16}})\)
    | (?P<setting>loops|[crvdwlL<>+])\s*=\s*(?P<value>-?(?:{_NUMBER}))
    | (?P<key>[0-9A-Da-d*\#])\s*(?:\(\s*(?P<key_on>{_NUMBER})\s*,\s*(?P<key_off>{_NUMBER})\s*\))?
    )\s*;*""",
    re.VERBOSE,
)
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = {key: (_ROWS[at // 4], _COLUMNS[at % 4]) for at, key in enumerate("123A456B789C*0#D")}  # ITU-T Q.23


@dataclass(frozen=True, slots=True)
class _Manner:
    """How the parts that follow sound. slope: decibels a second."""

    decibels: float = -12.0
    every: float = 0.0  # ms of a step; below 0: softer
    step: float = 0.0  # dB
    on: float = 250.0  # ms, of keys
    off: float = 50.0
    repeats: int = 1

    @property
    def slope(self) -> float:
        """Decibels that are gained in a second."""
        return self.step * 1000 / self.every if self.every else 0.0


def _loops(value: float) -> int:
    if value != -1 and not (1 <= value <= _MOST_LOOPS and value == int(value)):
        raise ValueError(f"loops are 1..{_MOST_LOOPS}, or -1")
    return int(value)


def _volume(value: float) -> float:
    if not -63 <= value <= 0:
        raise ValueError("a volume is -63..0")
    return value


def _positive(value: float) -> float:
    if value < 0:
        raise ValueError("less than nothing")
    return value


def _times(value: float) -> int:
    if _loops(value) < 0:
        raise ValueError("only all of it can be without end: L=-1")
    return int(value)


_SETTINGS: Mapping[str, Callable[[_Manner, float], _Manner]] = {
    "v": lambda manner, value: replace(manner, decibels=_volume(value)),
    "d": lambda manner, value: replace(manner, on=_positive(value)),
    "w": lambda manner, value: replace(manner, off=_positive(value)),
    ">": lambda manner, value: replace(manner, every=-_positive(value)),
    "<": lambda manner, value: replace(manner, every=_positive(value)),
    "+": lambda manner, value: replace(manner, step=_positive(value)),
    "l": lambda manner, value: replace(manner, repeats=_times(value)),
}


@dataclass(frozen=True, slots=True)
class ToneStream:
    """samples: one pass; loops: how often it is heard, -1: without end."""

    samples: Samples
    loops: int

    def clip(self, rate: int, *, loop: bool = False) -> Clip:
        """A producer of it, without end if `loop`."""
        return Clip(self.samples, rate, loops=-1 if loop else self.loops)


def tone(frequencies: list[float], seconds: float, rate: int, decibels: float = -12.0, slope: float = 0.0) -> Samples:
    """The sum of sines of equal level, together at `decibels` below full scale, with soft edges.

    slope: decibels that it gains a second (below 0: loses); it is never louder than full scale.
    """
    time = np.arange(round(seconds * rate)) / rate
    wave: npt.NDArray[np.float64] = np.zeros(len(time))
    for frequency in frequencies:
        wave += np.sin(2 * np.pi * frequency * time)
    level: npt.NDArray[np.float64] = np.minimum(0.0, decibels + slope * time)
    wave *= 10 ** (level / 20) * 32767 / max(1, len(frequencies))
    ramp = min(round(_RAMP * rate), len(wave) // 2)
    if ramp:
        wave[:ramp] *= np.arange(ramp) / ramp
        wave[-ramp:] *= np.arange(ramp)[::-1] / ramp
    return wave.astype(np.int16)


def tone_stream(spec: str, rate: int) -> ToneStream:
    """What a `tone_stream://` description sounds like at `rate` Hz. Raises SoundError."""
    text = spec.removeprefix(PREFIX).lstrip("; ")
    manner, loops, at, length = _Manner(), 1, 0, 0.0
    pieces: list[Samples] = []
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise SoundError(f"{spec!r}: cannot read {text[at : at + 20]!r}; write {PREFIX}%(on ms,off ms,frequency…)")
        at = match.end()
        try:
            if match["setting"] in ("L", "loops"):
                loops = _loops(float(match["value"]))
            elif match["setting"]:
                manner = _set(manner, match["setting"], float(match["value"]))
            else:
                on, off, frequencies = _part(match, manner)
                length += manner.repeats * (on + off) / 1000
                _check(length, frequencies, rate)
                pieces += _sound(on, off, frequencies, manner, rate)
        except ValueError as error:
            raise SoundError(f"{spec!r}: {match[0].strip()!r}: {error}") from None
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    if not len(samples):
        raise SoundError(f"{spec!r} holds no tone: write {PREFIX}%(on ms,off ms,frequency…)")
    return ToneStream(samples, loops)


def _set(manner: _Manner, name: str, value: float) -> _Manner:
    if name not in _SETTINGS:
        raise ValueError("cannot be set: the conference has its rate and its channels")
    return _SETTINGS[name](manner, value)


def _part(match: re.Match[str], manner: _Manner) -> tuple[float, float, list[float]]:
    """(ms of sound, ms of silence, frequencies)"""
    if match["key"]:
        own = match["key_on"] is not None
        on, off = (float(match["key_on"]), float(match["key_off"])) if own else (manner.on, manner.off)
        return on, off, list(map(float, KEYS[match["key"].upper()]))
    return float(match["on"]), float(match["off"]), [float(f) for f in match["frequencies"].split(",") if f.strip()]


def _check(length: float, frequencies: list[float], rate: int) -> None:
    if length > LONGEST:
        raise ValueError(f"all of it, once, is longer than {LONGEST:.0f} s")
    if any(frequency >= rate / 2 for frequency in frequencies):
        raise ValueError(f"a tone is below {rate // 2} Hz, half of the conference's rate")


def _sound(on: float, off: float, frequencies: list[float], manner: _Manner, rate: int) -> list[Samples]:
    heard = [frequency for frequency in frequencies if frequency]
    wave = tone(heard, on / 1000, rate, manner.decibels, manner.slope)
    return [wave, np.zeros(round(off / 1000 * rate), np.int16)] * manner.repeats
