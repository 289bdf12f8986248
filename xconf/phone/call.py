"""One call of the phone, from INVITE to the end: what it says, hears and presses, and what it tells meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xconf.media.catalogue import codec_of
from xconf.media.codecs import PCMU
from xconf.phone.audio import Recorder, SoundFactory, silence
from xconf.phone.info import InfoKeys
from xconf.phone.negotiation import RATE, Negotiation
from xconf.phone.options import Keys
from xconf.phone.outcome import Outcome
from xconf.phone.receiver import Receiver
from xconf.phone.report import Happening, Listener, Summary
from xconf.phone.sender import KEY_HELD, KEY_PAUSE, Sender
from xconf.phone.session import FRAME, MediaPorts, MediaSession
from xconf.phone.transfer import Transfer, outcome_of
from xconf.rtp.packet import RtpPacket
from xconf.sip.exchange import Credentials
from xconf.sip.offer_answer import Agreed, Codec

if TYPE_CHECKING:
    from xconf.sip.session import Session

PATIENCE = 4.0
"""Seconds without any answer after which the phone says so."""


def _silent(happening: Happening) -> None:
    pass


@dataclass(slots=True, frozen=True)
class CallSettings:
    """What a call is to do. `codecs` by their names in the catalogue, preferred first; `ptime` in ms; `keys` and `duration` count from the answer.
    `stay`: a server that asks us to call elsewhere is refused.

    `on_arrival` is called with the arrival (monotonic seconds) of each RTP packet.
    """

    codecs: tuple[str, ...] = ("pcmu", "pcma")
    ptime: int = 20
    sound: SoundFactory = silence
    record: bool = False
    keys: tuple[Keys, ...] = ()
    digits_by: str = "rfc4733"
    duration: float | None = None
    stay: bool = False
    tell: Listener = _silent
    on_arrival: Callable[[float, RtpPacket], None] | None = None


class PhoneCall:
    """A call, either way. `answered` fires with whether it was; `ended` with how it came out, after all is freed."""

    def __init__(
        self,
        clock: IReactorTime,
        ports: MediaPorts,
        settings: CallSettings,
        rng: random.Random,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answered: Deferred[bool] = Deferred()
        self.ended: Deferred[Outcome] = Deferred()
        self.session: Session | None = None
        self.credentials: Credentials | None = None  # that the call was placed with
        self.media: MediaSession | None = None
        self.recorder: Recorder | None = None
        self.digits_heard = ""
        self._clock = clock
        self._ports = ports
        self._settings = settings
        self._rng = rng
        self._monotonic = monotonic
        self._began = monotonic()
        self._answered_at: float | None = None
        self._ended_at: float | None = None
        self._sound_at: float | None = None
        self._talk = self._negotiation(ports)
        self._transfer: Transfer | None = None
        self._left: Outcome | None = None  # the old server has hung up while we are being transferred
        self._info: InfoKeys | None = None
        self._timers: list[IDelayedCall] = []
        self._progress = 0
        self._verdict: Outcome | None = None

    # Offer and answer

    @property
    def agreed(self) -> Agreed | None:
        return self._talk.agreed

    def offer(self) -> bytes:
        """Our session description, when it is ours to begin."""
        return self._talk.offer()

    def answer(self, sdp: bytes) -> bytes:
        """Our answer to theirs. Raises RemoteProtocolError when there is nothing in common."""
        before = self.agreed
        answer = self._talk.answer(sdp)
        self._agreed(before)
        return answer

    def answer_arrived(self, sdp: bytes) -> None:
        """Their answer to our offer. Raises RemoteProtocolError when it is none."""
        before = self.agreed
        self._talk.answer_arrived(sdp)
        self._agreed(before)

    def _agreed(self, before: Agreed | None) -> None:
        """Have the sound follow what is agreed on now."""
        agreed = self.agreed
        if agreed is None:
            return
        media = self.media or self._start_media(agreed)
        media.sender.payload_type = agreed.codec.payload_type or 0
        media.sender.event_type = agreed.telephone_event
        media.receiver.payload_type = agreed.receive_payload_type
        media.receiver.event_type = agreed.telephone_event_receive
        self._direct()
        if before is not None and before.direction != agreed.direction:
            self.tell(
                "direction", f"the other side changed the call: now {agreed.direction}", direction=agreed.direction
            )

    def _direct(self) -> None:
        """Sound is sent once the call is answered, and as long as both sides want it."""
        if self.media is None or self.agreed is None:
            return
        sends = self._answered_at is not None and self.agreed.sends
        self.media.direct(self.agreed.remote_address, self.agreed.remote_rtcp, sends=sends)

    def _start_media(self, agreed: Agreed) -> MediaSession:
        codec = codec_of(agreed.codec, RATE, 1)
        if self._settings.record:
            self.recorder = Recorder(codec.rate, self._monotonic(), clock=codec.clock)
        sender = Sender(codec, self._settings.sound(codec.rate), self._rng)
        receiver = Receiver(codec, self.recorder)
        receiver.on_sound, receiver.on_digit = self._sound, lambda digit: self.digit_heard(digit, "rfc4733")
        if self._settings.on_arrival is not None:
            receiver.on_arrival = self._settings.on_arrival
        self.media = self._session(sender, receiver)
        return self.media

    def _session(self, sender: Sender, receiver: Receiver) -> MediaSession:
        media = MediaSession(self._clock, self._ports, sender, receiver, monotonic=self._monotonic)
        media.start()
        return media

    # What happens to the call

    def dialled(self) -> None:
        """The INVITE is on its way; a person who waits is told when nothing comes of it."""
        self._later(PATIENCE, self._nothing_yet)

    def _nothing_yet(self) -> None:
        if not self._progress and not self.was_answered:
            self.tell("nothing-yet", "no answer yet")

    def progress(self, status: int, reason: str) -> None:
        """A provisional answer came; each status is told once."""
        if status == self._progress:
            return
        self._progress = status
        words = {100: "trying", 180: "ringing", 183: "in progress"}
        self.tell("progress", words.get(status, f"{status} {reason}"), status=status)

    def up(self) -> None:
        """The call is answered: sound may flow, and what is scheduled begins to count."""
        if self._answered_at is not None or self._ended_at is not None:
            return
        self._answered_at = self._monotonic()
        after = self._answered_at - self._began
        self._direct()
        codec = self.codec
        self.tell("answered", f"answered after {after * 1000:.0f} ms, {codec}", after=round(after, 6), codec=codec)
        self._schedule()
        self.answered.callback(True)

    def _schedule(self) -> None:
        for keys in self._settings.keys:
            for number, digit in enumerate(keys.digits):
                self._later(keys.at + number * (KEY_HELD + KEY_PAUSE), self.press, digit)
        if self._settings.duration is not None:
            self._later(self._settings.duration, self.hangup)

    def _later(self, delay: float, action: Callable[..., None], *arguments: object) -> None:
        self._timers.append(self._clock.callLater(delay, action, *arguments))

    def press(self, digit: str) -> None:
        """Press a key: as a telephone-event in the sound, or as INFO."""
        if self.media is None or self.session is None or self.agreed is None or self._ended_at is not None:
            return
        if self._settings.digits_by == "info":
            self._info = self._info or InfoKeys(self.session, KEY_HELD, self._not_sent)
            self._info.press(digit, self._clock.seconds())
        elif self.agreed.telephone_event is None:
            self._not_sent(digit, "the other side takes no telephone-events; try --digits-by info")
            return
        else:
            self.media.sender.press(digit)
        self.tell("digit-sent", f"pressed {digit}", digit=digit, by=self._settings.digits_by)

    def _not_sent(self, digit: str, why: str) -> None:
        self.tell("digit-not-sent", f"key {digit} did not arrive: {why}", digit=digit, why=why)

    def digit_heard(self, digit: str, by: str) -> None:
        """The other side pressed a key."""
        self.digits_heard += digit
        self.tell("digit-heard", f"the other side pressed {digit} ({by})", digit=digit, by=by)

    def _sound(self, now: float) -> None:
        self._sound_at = now
        if self._answered_at is None:
            self.tell("sound", "first sound heard, before the answer")
            return
        after = now - self._answered_at
        self.tell("sound", f"first sound heard, {after * 1000:.0f} ms after the answer", after=round(after, 6))

    def hangup(self) -> None:
        """End the call from this side, in whatever state it is: CANCEL, BYE or a refusal."""
        if self.session is None or self._ended_at is not None:
            return
        self._abandon_transfer()
        if self._left is not None:
            self.over(self._left)
        else:
            self.session.hangup(self._clock.seconds())

    def give_up(self, outcome: Outcome) -> None:
        """Hang up for a reason that counts as the outcome, whatever the session says when it has ended."""
        self._verdict = outcome
        self.hangup()

    def over(self, outcome: Outcome) -> None:
        """The session has ended, whoever ended it. Frees everything; a second time does nothing."""
        if self._ended_at is not None:
            return
        self._abandon_transfer()
        outcome = self._verdict or outcome
        self._ended_at = self._monotonic()
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        if self.media is not None:
            self.media.stop()
        else:
            self._ports.close()
        self.tell("ended", outcome.text, normal=outcome.normal)
        if self._answered_at is None:
            self.answered.callback(False)
        self.ended.callback(outcome)

    # Transferred to another server

    def session_over(self, outcome: Outcome) -> None:
        """The session has ended: the call, too, unless it is on its way elsewhere."""
        if self._transfer is None:
            self.over(outcome)
        else:
            self._left = outcome

    @property
    def can_move(self) -> bool:
        """Whether the server may move it now."""
        return self.was_answered and not self.is_over and self._transfer is None and not self._settings.stay

    def transfer(self, transfer: Transfer) -> None:
        """It is to go on at `transfer.target`, until `move` or `stay`."""
        self._transfer = transfer
        self.tell("referred", f"asked to call {transfer.target} instead", uri=str(transfer.target))

    def on_its_way(self, transfer: Transfer) -> bool:
        """Whether that transfer is still wanted."""
        return self._transfer is transfer

    def line(self) -> tuple[MediaPorts, Negotiation]:
        """Of a new session of this call: it says and records the same. Raises PhoneError."""
        assert self.agreed is not None
        ports = self._ports.another()
        return ports, self._negotiation(ports, self.agreed.codec)

    def _negotiation(self, ports: MediaPorts, bound: Codec | None = None) -> Negotiation:
        settings, number = self._settings, self._rng.getrandbits(62)
        return Negotiation(settings.codecs, (ports.address, ports.port), settings.ptime, number, bound)

    def move(self, transfer: Transfer) -> None:
        """The new session takes the place of the old one; sound, recording and what is to be done go on."""
        assert transfer.talk is not None and transfer.ports is not None and transfer.session is not None
        self._transfer = self._left = self._info = None
        self.session, transfer.session.app = transfer.session, self
        self._talk, self._ports = transfer.talk, transfer.ports
        assert self.media is not None
        old = self.media
        old.stop()
        self.media = self._session(old.sender, old.receiver)
        self.media.stray = old.stray
        self._agreed(None)
        self.tell("moved", f"moved to {transfer.target}", uri=str(transfer.target))

    def stay(self, transfer: Transfer, status: int, why: str) -> None:
        """It could not be moved."""
        if self._transfer is not transfer:
            return
        self._transfer = None
        self.tell(
            "not-moved", f"not moved to {transfer.target}: {status} {why}", uri=str(transfer.target), status=status
        )
        if self._left is not None:
            self.over(outcome_of(status, why))

    def _abandon_transfer(self) -> None:
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.abandon(self._clock.seconds())

    @property
    def was_answered(self) -> bool:
        return self._answered_at is not None

    @property
    def is_over(self) -> bool:
        return self._ended_at is not None

    # What is said of it

    def tell(self, event: str, text: str, **details: object) -> None:
        self._settings.tell(Happening(self._monotonic(), event, text, details))

    @property
    def codec(self) -> str:
        """Like PCMU/8000; empty before there is one."""
        return f"{self.agreed.codec.name}/{self.agreed.codec.clock_rate}" if self.agreed else ""

    def summary(self) -> Summary:
        """The numbers until now."""
        answered, media = self._answered_at, self.media
        receiver = media.receiver if media else Receiver(PCMU, None)
        totals, level = receiver.totals(), receiver.level
        return Summary(
            answered_after=answered - self._began if answered is not None else None,
            duration=(self._ended_at or self._monotonic()) - answered if answered is not None else 0.0,
            codec=self.codec,
            sent=media.sender.packets if media else 0,
            received=totals.received,
            lost=totals.lost,
            jitter=totals.jitter,
            round_trip=media.round_trip if media else None,
            sound_after=self._sound_at - answered if self._sound_at and answered else None,
            sounding=level.sounding * FRAME,
            level=level.level,
            peak=level.peak_level,
            digits_heard=self.digits_heard,
            stray=media.stray if media else 0,
            malformed=receiver.malformed,
            unwanted=receiver.unwanted,
            sources=totals.sources,
        )
