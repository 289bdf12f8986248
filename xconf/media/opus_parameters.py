"""The parameters of Opus in session descriptions (RFC 7587, section 6.1): what each side can use of what the other sends."""

from __future__ import annotations

from xconf.media.opus import BANDWIDTHS, RATES, Opus

LOWEST, HIGHEST = 6000, 510_000  # bit/s (RFC 7587, section 6.1)
STEP = 4000  # bit/s between two limits that are told apart, so that phones share outputs
_BITRATES = {8000: 24000, 16000: 28000, 48000: 40000}  # bit/s that one channel is given, by rate


def parse(text: str | None) -> dict[str, str]:
    """Parameters by name; what is no `name=value` is passed over."""
    pairs = (part.partition("=") for part in (text or "").split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}


def declared(rate: int, channels: int) -> str:
    """What we say of ourselves, for a conference of that rate and number of channels."""
    said = ["useinbandfec=1"]
    if RATES[rate] < 48000:
        said.append(f"maxplaybackrate={rate}")
    if channels == 2:
        said += ["stereo=1", "sprop-stereo=1"]
    return ";".join(said)


def replied(ours: str, theirs: str | None) -> str:
    """What we say where they spoke first: who wants no packets of silence need not send any."""
    return f"{ours};usedtx=1" if parse(theirs).get("usedtx") == "1" else ours


def encoded(rate: int, channels: int, theirs: str | None) -> Opus:
    """What they are sent, by their parameters; in a conference of that rate and number of channels."""
    said = parse(theirs)
    played = _number(said.get("maxplaybackrate"), 48000)
    sent = channels if said.get("stereo") == "1" else 1
    ours = _BITRATES[RATES[rate]] * sent
    limit = min(max(_number(said.get("maxaveragebitrate"), HIGHEST), LOWEST), HIGHEST)
    return Opus(
        rate=RATES[rate],
        channels=sent,
        decoded=channels,
        bitrate=ours if limit >= ours else max(LOWEST, limit // STEP * STEP),
        bandwidth=min((width for width in BANDWIDTHS if width >= played), default=48000),
        fec=said.get("useinbandfec") == "1",
        dtx=said.get("usedtx") == "1",
        constant=said.get("cbr") == "1",
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 7 else default
