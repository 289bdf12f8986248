"""A call: one SIP session with its leg, and the conference member that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xconf.calls.access import Route
from xconf.calls.addresses import UNSPECIFIED, media_host
from xconf.calls.moved import Moved, without_seal
from xconf.calls.outbound_transfer import Transfer, TransferError, Transferred, failed
from xconf.calls.terms import Terms
from xconf.conference.member import Member, Reason
from xconf.media.leg import Leg, LegMedia
from xconf.sip import offer_answer
from xconf.sip.events import Ended, Progress
from xconf.sip.offer_answer import Agreed
from xconf.sip.sdp import RtpMap, SessionDescription, revised
from xconf.sip.session import Session
from xconf.sip.syntax import Parameters
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.calls.inbound import Calls

log = Logger()

PTIME = 20  # ms of sound in a packet, as nearly everywhere


class Placer(Protocol):
    """Who placed a call of ours, until it is a member's or over."""

    def progress(self, event: Progress) -> None:
        """The telephone rings, or sends sound though nobody has answered yet."""

    def answered(self) -> None:
        """Offer and answer are both there; it is for the placer to `confirm` the call."""

    def ended(self, reason: str, event: Ended | None) -> None:
        """It is over. event: what the other side said to that."""


class Call:
    """Lives from INVITE to the end of the session. `end` is where every way out leads.

    local: our offer, in the INVITE of a call that we place; placer: who placed it; number: that was dialled to reach us;
    host: where the signalling begins, if another node forwards it; front: it came by a proxy in front of the nodes;
    moved: what the member was on another node until now.
    """

    def __init__(
        self,
        calls: Calls,
        session: Session,
        route: Route,
        leg: Leg,
        caller: str,
        terms: Terms,
        *,
        local: SessionDescription | None = None,
        placer: Placer | None = None,
        number: str = "",
        host: str = "",
        front: bool = False,
        moved: Moved | None = None,
    ) -> None:
        self.session = session
        self.route = route
        self.leg = leg
        self.caller = caller
        self.number = number
        self._front = front
        self._moved = moved
        self._host = host if host != session.flow.remote[0] else ""
        self.member: Member | None = None
        self.counted_at = ""  # the host that it counts for; its phone may move to another
        self._calls = calls
        self._terms = terms
        self.placer = placer
        self.transferring: Transfer | None = None
        self._local = local  # our latest description
        self._maps: dict[int, RtpMap] = {}  # payload types that either side has given a meaning
        self._entered: tuple[LegMedia, str] | None = None  # what the leg does, and for which host
        self._speaks_only = False
        self._ended = False
        if local is not None:
            self._learn(local)

    @property
    def call_id(self) -> str:
        return self.session.call_id

    @property
    def host(self) -> str:
        """Where its signalling comes from."""
        return self._host or self.session.flow.remote[0]

    @property
    def front(self) -> URI | None:
        """What its telephone called, where that is a proxy in front of the nodes: it may reach nothing else."""
        dialog = self.session.dialog
        if not self._front or dialog is None or not dialog.route_set:
            return None
        nearest = dialog.route_set[-1].uri
        params: Parameters = {"transport": nearest.transport} if nearest.transport else {}
        return URI("sip", user=self.number, host=nearest.host, port=nearest.port, params=params)

    @property
    def terms(self) -> Terms:
        """What may be agreed on in the conference that it is in, or comes to."""
        return Terms.of(self.member.conference) if self.member is not None else self._terms

    @property
    def answered(self) -> bool:
        """Offer and answer are both there."""
        return self._entered is not None

    # Offer and answer

    def answer(self, offer: SessionDescription, answer: SessionDescription, agreed: Agreed) -> bytes:
        """Our answer to an offer (see `Calls.negotiate`), entered into the leg. Raises PortError."""
        for media in answer.media:
            media.port = self.leg.local_port if media.port else 0
        self._enter(agreed)
        self._learn(offer)
        return self._say(answer)

    def offer(self) -> bytes:
        """Our offer, where the phone leaves it to us. Raises PortError."""
        return self._say(self._calls.offer(self.terms, self.leg, self.host, self._local, self._maps))

    def accept_answer(self, answer: SessionDescription) -> None:
        """The phone's answer to our offer. Raises RemoteProtocolError and PortError; all is as it was then."""
        assert self._local is not None
        self._enter(offer_answer.agree(self._local, answer))
        self._learn(answer)

    def hear_early(self, description: SessionDescription) -> None:
        """Sound comes before the answer; what is said of it here binds nobody. Raises as `accept_answer`."""
        assert self._local is not None
        self._enter(offer_answer.agree(self._local, description))

    def _say(self, description: SessionDescription) -> bytes:
        self._local = revised(self._local, description) if self._local else description
        self._learn(self._local)
        return self._local.to_bytes()

    def _learn(self, description: SessionDescription) -> None:
        """What a payload type means it means until the session ends (RFC 3264 section 8.3.2)."""
        for media in description.media:
            if media.kind == "audio":
                self._maps.update(media.rtpmap)

    def _enter(self, agreed: Agreed) -> None:
        """Have the leg do what was agreed on."""
        before = self._entered
        remote, rtcp = agreed.remote_address, agreed.remote_rtcp
        held = remote[0] in UNSPECIFIED
        if before is None or self.placer is not None:  # what comes before the answer is no agreement
            self._speaks_only = agreed.direction == "recvonly" and not held
        elif held:  # the old way; what is known of the phone's address is not to be forgotten
            remote, rtcp = before[0].remote, before[0].remote_rtcp
        terms = self.terms
        codec = terms.codec(agreed)
        media = LegMedia(
            codec,
            agreed.codec.payload_type or 0,
            agreed.receive_payload_type,
            agreed.telephone_event_receive,
            remote,
            rtcp,
            agreed.sends,
            # On hold a phone may send music, which is not for the conference; one that called to send only is a speaker.
            agreed.direction == "sendrecv" or (agreed.direction == "recvonly" and self._speaks_only),
            terms.ptime_of(agreed, codec),
        )
        if before == (media, self.host):
            return  # a refresh: the sound goes on without a break
        host, addressed = self._calls.whereabouts(agreed, self.host)
        self.leg.set_media(media, host=media_host(host, self.leg.port.six), addressed=addressed)
        self._entered = media, self.host
        log.info(
            "media: {codec}, we {direction}, phone at {address}:{port}{doubt}",
            call_id=self.call_id,
            codec=f"{agreed.codec.rtpmap}" + (f" in packets of {media.ptime} ms" if media.ptime != PTIME else ""),
            direction=agreed.direction,
            address=remote[0],
            port=remote[1],
            doubt="" if addressed else f" by its own account, at {host} by its packets",
        )

    # Its life

    def confirm(self) -> None:
        """The phone has acknowledged: into the conference. Raises ConferenceError and OutOfRows."""
        if self.member is None:
            moved, route = self._moved is not None, self.route
            conference = self._calls.conferences.find_or_create(route.conference, route.profile, moved=moved)
            settings = self._moved.settings if self._moved is not None else None
            self.member = conference.join(self, route.flags, settings, moved)

    def transfer(self, target: str, reason: str = Reason.TRANSFERRED) -> Deferred[Transferred]:
        """Have the telephone call a SIP URI instead (blind transfer, RFC 5589 section 6). When it has reached somebody its
        call ends here, for that reason, else it stays. Fires with what came of it; fails with TransferError when it cannot
        be begun.
        """
        result: Deferred[Transferred] = Deferred()

        def over(outcome: Transferred) -> None:
            self.transferring = None
            log.info(
                "transfer to {target}: {status} {reason}",
                call_id=self.call_id,
                target=without_seal(target),
                status=outcome.status,
                reason=outcome.reason,
            )
            result.callback(outcome)
            if outcome.done:
                self.hangup(reason)

        try:
            if self.transferring is not None:
                raise TransferError("the call is being transferred already")
            self.transferring = Transfer(self.session, target, self._calls.seconds(), over, reason)
        except TransferError as fault:
            return failed(fault)
        return result

    def refer(self, target: str, told: Callable[[str], None]) -> None:
        """For commands: `transfer`, of which they are told what went wrong, or an empty text."""

        def over(outcome: Transferred) -> None:
            told("" if outcome.done else f"{outcome.status} {outcome.reason}")

        self.transfer(target).addCallbacks(over, lambda failure: told(failure.getErrorMessage()))

    def hangup(self, reason: str) -> None:
        """We end it."""
        if self._ended:
            return
        try:
            self._calls.end_session(self, reason)
        finally:
            self.end(reason)

    def end(self, reason: str, event: Ended | None = None) -> None:
        """It is over, whoever ended it: the member leaves, the leg is freed. Again does nothing.

        event: what the signalling said to that.
        """
        if self._ended:
            return
        self._ended = True
        log.info("ended: {reason}", call_id=self.call_id, reason=reason)
        with ExitStack() as last:  # done whatever fails before
            transfer, self.transferring = self.transferring, None
            if transfer is not None:
                reason = transfer.reason if transfer.accepted else reason
                last.callback(transfer.hung_up)
            placer, self.placer = self.placer, None
            if placer is not None:
                last.callback(placer.ended, reason, event)
            last.callback(self._calls.forget, self)
            last.callback(self.leg.close)
            member, self.member = self.member, None
            if member is not None:
                member.leave(reason if reason in (Reason.TRANSFERRED, Reason.MOVED) else Reason.HUNG_UP)
