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
from xconf.sip.sdp import SessionDescription, revised
from xconf.sip.session import Session

if TYPE_CHECKING:
    from xconf.calls.inbound import Calls

log = Logger()

UNSPECIFIED = ("0.0.0.0", "::")
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
        return ipaddress.ip_address(address).is_global  # of IPv4: not private, not loopback
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
        self._local: SessionDescription | None = None
        self._calls = calls
        self._ended = False

    @property
    def call_id(self) -> str:
        return self.session.call_id

    @property
    def host(self) -> str:
        """Where its signalling comes from."""
        return self.session.flow.remote[0]

    @property
    def answered(self) -> bool:
        """Offer and answer are both there."""
        return self.agreed is not None

    def answer(self, answer: SessionDescription, agreed: Agreed) -> bytes:
        """Our answer to an offer (see `negotiate`), entered into the leg. Raises PortError."""
        for media in answer.media:
            media.port = self.leg.local_port if media.port else 0
        self._enter(agreed)
        return self._say(answer)

    def offer(self) -> bytes:
        """Our offer, where the phone leaves it to us."""
        address = self._calls.media_address_for(self.host)
        codecs = codecs_for(self.leg.plane.rate)
        return self._say(
            offer_answer.offer(
                codecs, address, self.leg.local_port, origin=self._calls.origin(address), previous=self._local
            )
        )

    def accept_answer(self, answer: SessionDescription) -> None:
        """The phone's answer to our offer. Raises RemoteProtocolError and PortError."""
        assert self._local is not None
        self._enter(offer_answer.agree(self._local, answer))

    def _say(self, description: SessionDescription) -> bytes:
        self._local = revised(self._local, description) if self._local else description
        return self._local.to_bytes()

    def _enter(self, agreed: Agreed) -> None:
        before, self.agreed = self.agreed, agreed
        remote, rtcp = agreed.remote_address, agreed.remote_rtcp
        held = remote[0] in UNSPECIFIED
        if held and before is not None:
            remote, rtcp = before.remote_address, before.remote_rtcp
        # On hold a phone may send music, which is not for the conference; one that called to send only is a speaker.
        on_hold = before is not None and agreed.direction != "sendrecv"
        codec = agreed.codec
        media = LegMedia(
            CODECS[codec.name, codec.clock_rate],
            codec.payload_type or 0,
            agreed.receive_payload_type,
            agreed.telephone_event_receive,
            remote,
            rtcp,
            agreed.sends and not held,
            agreed.receives and not on_hold,
        )
        self.leg.set_media(media, host=self.host, addressed=plausible(remote[0], self.host))

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
