"""What sound may be agreed on for the calls of a conference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.media.catalogue import codec_of, formats, packet_time, usual
from xconf.media.codecs import Codec
from xconf.sip.offer_answer import Agreed
from xconf.sip.offer_answer import Codec as Format

if TYPE_CHECKING:
    from xconf.conference.conference import Conference


@dataclass(frozen=True, slots=True)
class Terms:
    """codecs: names of the catalogue, the best one first; preferred: how many of them are taken before the others, whatever
    the other side prefers; ptime: ms of sound in a packet, for who does not say.
    """

    codecs: tuple[str, ...]
    preferred: int
    ptime: int
    rate: int
    channels: int

    @classmethod
    def of(cls, conference: Conference) -> Terms:
        mix = conference.mix
        chosen = conference.profile.codecs or usual(mix.rate)
        return cls(conference.codecs, len(chosen), conference.profile.ptime, mix.rate, mix.channels)

    @property
    def formats(self) -> tuple[Format, ...]:
        """As session descriptions tell of them."""
        return formats(self.codecs, self.rate, self.channels)

    def codec(self, agreed: Agreed) -> Codec:
        """What was agreed on, as it sounds here."""
        return codec_of(agreed.codec, self.rate, self.channels)

    def ptime_of(self, agreed: Agreed, codec: Codec) -> int:
        """The ms of sound in a packet to who agreed on it."""
        return packet_time(codec, agreed.ptime)
