"""Offer and answer of one session of the phone: what it says of its sound, and what is agreed on."""

from __future__ import annotations

from collections.abc import Sequence

from xconf.media.catalogue import formats, replied
from xconf.sip import offer_answer
from xconf.sip.offer_answer import Agreed, Codec
from xconf.sip.sdp import Origin, SessionDescription, revised

RATE = 48000
"""Hz: as well as the phone can hear and speak, where the codec leaves the choice to it."""


class Negotiation:
    """codecs: by their names in the catalogue, preferred first; place: address and port at which sound is awaited; ptime: ms;
    number: of the session. bound: the only codec of them that there may be, None if that is open until one is agreed on.
    """

    def __init__(
        self, codecs: Sequence[str], place: tuple[str, int], ptime: int, number: int, bound: Codec | None = None
    ) -> None:
        self.agreed: Agreed | None = None
        self._names, self._place, self._ptime = codecs, place, ptime
        self._origin = Origin("-", number, 1, place[0])
        self._bound = bound
        self._local: SessionDescription | None = None

    def _codecs(self) -> Sequence[Codec]:
        """All at first; then the one agreed on, for sound sources and recordings are made for its rate."""
        bound = self.agreed.codec if self.agreed is not None else self._bound
        all_ = formats(self._names, RATE, 1)
        return all_ if bound is None else [each for each in all_ if each.rtpmap == bound.rtpmap]

    def offer(self) -> bytes:
        """Our session description, when it is ours to begin."""
        return self._describe(
            offer_answer.offer(self._codecs(), *self._place, origin=self._origin, ptime=self._ptime),
        )

    def answer(self, sdp: bytes) -> bytes:
        """Our answer to theirs. Raises RemoteProtocolError when there is nothing in common."""
        address, port = self._place
        answer, self.agreed = offer_answer.answer(
            SessionDescription.parse(sdp),
            codecs=self._codecs(),
            address=address,
            port=port,
            origin=self._origin,
            parameters=replied,
            ptime=self._ptime,
        )
        return self._describe(answer)

    def answer_arrived(self, sdp: bytes) -> None:
        """Their answer to our offer. Raises RemoteProtocolError when it is none."""
        if self._local is not None:
            self.agreed = offer_answer.agree(self._local, SessionDescription.parse(sdp))

    def _describe(self, description: SessionDescription) -> bytes:
        self._local = revised(self._local, description) if self._local is not None else description
        return self._local.to_bytes()
