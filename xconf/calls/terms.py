"""What sound may be agreed on for the calls of a conference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.media.catalogue import codec_of, formats, packet_time
from xconf.media.codecs import Codec
from xconf.sip.offer_answer import Agreed
from xconf.sip.offer_answer import Codec as Format

if TYPE_CHECKING:
    from xconf.conference.conference import Conference


@dataclass(frozen=True, slots=True)
class Terms:
    """codecs: names of the catalogue, the best one first; ptime: ms of sound in a packet, for who does not say."""

    codecs: tuple[str, ...]
    ptime: int
    rate: int
    channels: int

    @classmethod
    def of(cls, conference: Conference) -> Terms:
        mix = conference.mix
        return cls(conference.codecs, conference.profile.ptime, mix.rate, mix.channels)

    @property
    def formats(self) -> list[Format]:
        """As session descriptions tell of them."""
        return formats(self.codecs, self.rate, self.channels)

    def codec(self, agreed: Agreed) -> Codec:
        """What was agreed on, as it sounds here."""
        return codec_of(agreed.codec, self.rate, self.channels)

    def ptime_of(self, agreed: Agreed, codec: Codec) -> int:
        """The ms of sound in a packet to who agreed on it."""
        return packet_time(codec, agreed.ptime)
