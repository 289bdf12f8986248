"""The codecs by the names that a configuration uses, as session descriptions tell of them, and as they then sound."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from xconf.media import opus_parameters
from xconf.media.codecs import LINEAR, PCMA, PCMU, Codec, CodecMissing, SampleCodec
from xconf.media.g722 import G722, RATE
from xconf.media.opus import Opus
from xconf.media.pace import PTIMES
from xconf.rtp.batch import WIDTH
from xconf.sip.offer_answer import Codec as Format

LARGEST = 1400  # octets of a payload that crosses an Ethernet in one piece, whatever is wrapped around it
_FIXED = {"pcmu": PCMU, "pcma": PCMA}
_FIXED |= {
    f"l16/{rate}" + "/2" * (channels - 1): codec
    for (rate, channels), codec in LINEAR.items()
    if codec.room(20) < WIDTH - 100
}
NAMES = ("opus", "g722", *_FIXED)
_OPUS_CHANNELS = 2  # in its rtpmap, always (RFC 7587, section 7)
_OPUS_PTIMES = (10, 20, 40, 60)  # there are no frames of 30 ms


def missing(name: str) -> str | None:
    """Why a codec of NAMES cannot be had here, and what to install; None when it can."""
    try:
        _described(name, 8000, 1)
    except CodecMissing as error:
        return str(error)
    return None


def usual(rate: int) -> tuple[str, ...]:
    """What suits a conference of that rate, of what is there."""
    if rate == 8000:
        return "pcmu", "pcma", "l16/8000"
    linear = [f"l16/{wide}" for wide in (rate, 16000, 8000) if wide <= rate]
    return tuple(dict.fromkeys([*_wide(), *linear, "pcmu", "pcma"]))


def possible(rate: int) -> tuple[str, ...]:
    """What a conference of that rate takes, unless it is told: what suits it, and what telephones may have beside that."""
    return tuple(dict.fromkeys([*usual(rate), *_wide(), "l16/16000"]))


def _wide() -> list[str]:
    return [name for name in ("opus", "g722") if missing(name) is None]


def rate_of(name: str) -> int | None:
    """The rate of a codec's sound in Hz; None: it has that of the conference."""
    if name == "opus":
        return None
    return RATE if name == "g722" else _FIXED[name].rate


@lru_cache
def formats(names: tuple[str, ...], rate: int, channels: int) -> tuple[Format, ...]:
    """What is said of codecs in session descriptions, for a conference of that rate (Hz) and number of channels."""
    return tuple(_described(name, rate, channels) for name in names)


def _described(name: str, rate: int, channels: int) -> Format:
    if name == "opus":
        codec: Codec = Opus()
        return Format(codec.name, codec.clock, _OPUS_CHANNELS, fmtp=opus_parameters.declared(rate, channels))
    codec = G722() if name == "g722" else _FIXED[name]
    return Format(codec.name, codec.clock, codec.channels)


def replied(ours: Format, theirs: str | None) -> str | None:
    """The parameters of our answer, to an offer with theirs."""
    if ours.name == "opus" and ours.fmtp is not None:
        return opus_parameters.replied(ours.fmtp, theirs)
    return ours.fmtp


def codec_of(agreed: Format, rate: int, channels: int) -> Codec:
    """The codec that was agreed on, with their parameters, in a conference of that rate and number of channels."""
    if agreed.name == "opus":
        return opus_parameters.encoded(rate, channels, agreed.fmtp)
    if agreed.name == "G722":
        return G722()
    return next(
        codec
        for codec in _FIXED.values()
        if (codec.name, codec.clock, codec.channels) == (agreed.name, agreed.clock_rate, agreed.channels)
    )


@lru_cache
def with_noise(codec: Codec) -> Codec:
    """The codec where silence is told by comfort noise (RFC 3389), if that goes with it."""
    return replace(codec, comfort=True) if isinstance(codec, SampleCodec) and codec.clock == 8000 else codec


@lru_cache
def packet_time(codec: Codec, wanted: int) -> int:
    """The ms of sound in a packet that come nearest to what is wanted, from below where that can be."""
    allowed = _OPUS_PTIMES if isinstance(codec, Opus) else PTIMES
    fitting = [ptime for ptime in allowed if isinstance(codec, Opus) or codec.room(ptime) <= LARGEST]
    return max((ptime for ptime in fitting if ptime <= wanted), default=min(fitting))
