"""What sound may be agreed on for the calls of a conference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.media.catalogue import codec_of, formats, packet_time, usual, with_noise
from xconf.media.codecs import Codec
from xconf.sip.offer_answer import COMFORT_NOISE, Agreed
from xconf.sip.offer_answer import Codec as Format

if TYPE_CHECKING:
    from xconf.conference.conference import Conference


@dataclass(frozen=True, slots=True)
class Terms:
    """codecs: names of the catalogue, the best one first; preferred: how many of them are taken before the others, whatever
    the other side prefers; ptime: ms of sound in a packet, for who does not say; noise: comfort noise goes with them.
    """

    codecs: tuple[str, ...]
    preferred: int
    ptime: int
    rate: int
    channels: int
    noise: bool

    @classmethod
    def of(cls, conference: Conference) -> Terms:
        mix = conference.mix
        chosen = conference.profile.codecs or usual(mix.rate)
        return cls(
            conference.codecs,
            len(chosen),
            conference.profile.ptime,
            mix.rate,
            mix.channels,
            conference.profile.cng.packets,
        )

    @property
    def formats(self) -> tuple[Format, ...]:
        """As session descriptions tell of them."""
        chosen = formats(self.codecs, self.rate, self.channels)
        alike = any(each.clock_rate == COMFORT_NOISE.clock_rate for each in chosen)
        return (*chosen, COMFORT_NOISE) if self.noise and alike else chosen

    def codec(self, agreed: Agreed) -> Codec:
        """What was agreed on, as it sounds here."""
        codec = codec_of(agreed.codec, self.rate, self.channels)
        return with_noise(codec) if agreed.comfort_noise else codec

    def ptime_of(self, agreed: Agreed, codec: Codec) -> int:
        """The ms of sound in a packet to who agreed on it."""
        return packet_time(codec, agreed.ptime)
