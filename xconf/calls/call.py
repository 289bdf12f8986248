"""A call: one SIP session with its leg, and the conference member that it becomes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from twisted.logger import Logger

from xconf.calls.access import Route
from xconf.conference.member import Member, Reason
from xconf.media.codecs import CODECS
from xconf.media.leg import Leg, LegMedia
from xconf.sip import offer_answer
from xconf.sip.offer_answer import Agreed, Codec
from xconf.sip.sdp import SessionDescription
from xconf.sip.session import Session

if TYPE_CHECKING:
    from xconf.calls.inbound import Calls

log = Logger()

NARROW = [Codec("PCMU", 8000), Codec("PCMA", 8000), Codec("L16", 8000)]
WIDE = [Codec("L16", 16000), *NARROW]


def codecs_for(rate: int) -> list[Codec]:
    """What is offered and accepted in a conference at `rate` Hz."""
    return WIDE if rate >= 16000 else NARROW


def plausible(address: str, source: str) -> bool:
    """Whether the media address that a phone names can be where its packets come from: public, or its own."""
    if address == source:
        return True
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


class Call:
    """Lives from INVITE to the end of the session. `end` is where every way out leads."""

    def __init__(self, calls: Calls, session: Session, route: Route, leg: Leg, caller: str) -> None:
        self.session = session
        self.route = route
        self.leg = leg
        self.caller = caller
        self.member: Member | None = None
        self.agreed: Agreed | None = None
        self.local: SessionDescription | None = None
        self._calls = calls
        self._ended = False

    @property
    def call_id(self) -> str:
        return self.session.call_id

    @property
    def host(self) -> str:
        """Where its signalling comes from."""
        return self.session.flow.remote[0]

    def answer(self, offer: SessionDescription, *, again: bool = False) -> bytes:
        """Our answer to an offer, entered into the leg. again: the call was up before, so one that only sends is on hold.

        Raises RemoteProtocolError (488) and PortError.
        """
        answer, agreed = offer_answer.answer(
            offer,
            codecs=codecs_for(self.leg.plane.rate),
            address=self._calls.media_address_for(self.host),
            port=self.leg.local_port,
            previous=self.local,
        )
        self._enter(agreed, again)
        self.local = answer
        return answer.to_bytes()

    def offer(self) -> bytes:
        """Our offer, where the phone leaves it to us."""
        self.local = offer_answer.offer(
            codecs_for(self.leg.plane.rate),
            self._calls.media_address_for(self.host),
            self.leg.local_port,
            previous=self.local,
        )
        return self.local.to_bytes()

    def answered(self, answer: SessionDescription) -> None:
        """The phone's answer to our offer. Raises RemoteProtocolError and PortError."""
        assert self.local is not None
        self._enter(offer_answer.agree(self.local, answer), self.agreed is not None)

    def _enter(self, agreed: Agreed, again: bool) -> None:
        self.agreed = agreed
        sends = agreed.direction in ("sendrecv", "sendonly")
        # On hold a phone may send music, which is not for the conference; one that called to send only is a speaker.
        receives = agreed.direction == "sendrecv" or (agreed.direction == "recvonly" and not again)
        address = agreed.remote_address
        media = LegMedia(
            CODECS[agreed.codec.name, agreed.codec.clock_rate],
            agreed.codec.payload_type or 0,
            agreed.receive_payload_type,
            agreed.telephone_event_receive,
            address,
            agreed.remote_rtcp,
            sends,
            receives,
        )
        self.leg.set_media(media, host=self.host, addressed=plausible(address[0], self.host))

    def confirm(self) -> None:
        """The phone has acknowledged: into the conference."""
        if self.member is None and not self._ended:
            conference = self._calls.conferences.find_or_create(self.route.conference, self.route.profile)
            self.member = conference.join(self, self.route.flags)

    def hangup(self, reason: str) -> None:
        """We end it."""
        if not self._ended:
            self._calls.end_session(self, reason)
            self.end(reason)

    def end(self, reason: str) -> None:
        """It is over, whoever ended it: the member leaves, the leg is freed. Again does nothing."""
        if self._ended:
            return
        self._ended = True
        self._calls.forget(self)
        log.info("ended: {reason}", call_id=self.call_id, reason=reason)
        if self.member is not None:
            self.member.leave(Reason.HUNG_UP)
        self.leg.close()
