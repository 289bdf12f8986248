"""A conference: its members, what they all hear, and how it begins and ends."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from xconf.conference import events
from xconf.conference.controls import Controls
from xconf.conference.crier import Crier
from xconf.conference.deck import Deck
from xconf.conference.elsewhere import Others
from xconf.conference.errors import CommandError, ConferenceFull
from xconf.conference.house import House, Owner
from xconf.conference.interfaces import Call, Timer
from xconf.conference.invitation import Inviter
from xconf.conference.member import HEARD_OUT, LONGEST_GOODBYE, Member, Reason
from xconf.conference.moderation import Moderation
from xconf.conference.naming import MOST as MOST_NAMES
from xconf.conference.profile import Profile
from xconf.conference.recording import Recordings
from xconf.conference.settings import Defaults, Settings
from xconf.conference.slot import Slot
from xconf.conference.tuning import FELT_BY_MEMBERS, flags_of, with_flag
from xconf.conference.turns import LOOKS, Turns, each
from xconf.media.catalogue import possible
from xconf.media.sources import Recorded, SoundError

log = logging.getLogger(__name__)

SETUP = 40.0  # s that a call may take from INVITE to ACK: an empty conference that is asked for lives as long, at least
AT_ONCE = 10  # calls that are hung up in one turn of the reactor, some 3 ms: other conferences do not notice


def _done(_: None) -> None:
    pass


def _failed(error: Exception) -> None:
    log.error("members do not have what their conference has", exc_info=error)


class Conference:
    """Made by `Conferences`, its owner."""

    def __init__(
        self,
        name: str,
        profile_name: str,
        profile: Profile,
        controls: Mapping[str, Controls],
        house: House,
        owner: Owner,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.profile_name = profile_name
        self.profile = self.made_from = profile
        self.controls = controls
        self.clock = house.clock
        self.turns = house.turns
        self.mix = house.media.create_mix(profile.sample_rate, profile.channels)
        if house.linker is not None:
            self.mix.link = house.linker(name, profile.sample_rate, profile.channels)
        self.started_at = house.clock.seconds()
        self.members: dict[str, Member] = {}
        self.waiting: dict[str, Member] = {}  # in the PIN menu
        self.leaving: dict[str, Member] = {}  # hear their last prompt
        self.defaults = Defaults.of(profile)
        self.locked = False  # only administrators may come in
        self.ending = ""  # why it ends, once it does
        self.expected_until = self.started_at + SETUP
        self.others = Others(name, lambda: house.elsewhere, lambda: self.profile.status_exchange)
        self._house = house
        self.owner = owner
        self._closed = False
        self._playback = Slot(self.mix)
        self.deck = Deck(self.fetch, self._playback.start, self._playback.stop, self.publish, changed=self.settle)
        self._crier = Crier(self)
        self._alone: Member | None = None  # who has been told that nobody else is here
        self.moderation = Moderation(self)
        self.recordings = Recordings(self, house.recorder)
        self._timer: Timer | None = None
        self._hushing: Timer | None = None
        self._set_mix()
        self.publish(events.ConferenceStarted, id=self.id, profile=profile_name)
        self._wait_for_members()

    # Members come and go

    def expect(self) -> None:
        """A call to here is being set up: do not end for want of members meanwhile."""
        self.expected_until = self.clock.seconds() + SETUP
        if self.empty:
            self._wait_for_members()

    def require_room(self) -> None:
        """Raises ConferenceFull when nobody else may come in."""
        most = self.profile.max_members
        if most and len(self.members) + len(self.waiting) + self.others.members >= most:
            raise ConferenceFull(f"{self.name} has its {most} members")

    def join(
        self, call: Call, flags: Mapping[str, bool] | None = None, settings: Settings | None = None, moved: bool = False
    ) -> Member:
        """A call that is up comes in, first into the PIN menu where there is one. flags: see `member_flags`; settings: in
        place of them, what the member had elsewhere; moved: in this conference, on another node, so it just goes on.
        """
        member = Member(self, call, settings or Settings.of(flags or {}), moved=moved)
        self.waiting[member.id] = member
        if self.ending:
            member.leave(Reason.ENDED)
        else:
            self._stop_timer()
            try:
                member.start()
            except Exception:
                member.leave(Reason.FAILED)
                raise
        return member

    def admit(self, member: Member) -> None:
        """It is a member now."""
        del self.waiting[member.id]
        self.members[member.id] = member
        self._crier.came(member)
        member.publish(events.MemberJoined, role=member.role)
        self.moderation.joined(member)
        self.recordings.joined(member)
        self.settle()

    @property
    def asks_names(self) -> bool:
        """Whether who comes now is asked for his name."""
        return self.profile.ask_names and len(self.members) + len(self.waiting) <= MOST_NAMES

    def role_changed(self, member: Member) -> None:
        """It is an administrator now, or is none any more."""
        if member.id in self.members:
            if member.settings.admin:
                self.moderation.joined(member)
            else:
                self.moderation.lost()

    def retire(self, member: Member, reason: str) -> None:
        """It is no member any more, though its call may go on for a prompt."""
        self.recordings.left()
        self.waiting.pop(member.id, None)
        if self.members.pop(member.id, None):
            self._crier.left(member, reason)
            if member.settings.admin:
                self.moderation.lost()
        self.leaving[member.id] = member
        if not (self.members or self.others.members):
            self.set_flag("locked", False)  # nobody is left who could open it
        if not self.ending:
            self.settle()

    def forget(self, member: Member, reason: str) -> None:
        """Its call is over."""
        del self.leaving[member.id]
        if member.admitted:
            seconds = round(self.clock.seconds() - member.joined_at, 3)
            member.publish(events.MemberLeft, reason=reason, seconds=seconds, role=member.role)
        else:
            member.publish(events.CallEnded, reason=reason)
        if self.empty and self.ending:
            self._close()
        elif self.empty:
            self.deck.stop()
            self.recordings.empty()
            self.moderation.empty()
            self._wait_for_members()

    @property
    def empty(self) -> bool:
        return not (self.members or self.waiting or self.leaving)

    @property
    def everybody(self) -> list[Member]:
        """All whose calls are up."""
        return [*self.members.values(), *self.waiting.values(), *self.leaving.values()]

    @property
    def speakers(self) -> int:
        """Members that may speak."""
        return sum(member.settings.speaker for member in self.members.values())

    def elsewhere_changed(self) -> None:
        """Other nodes have something else of it than before."""
        self.moderation.elsewhere_changed()
        if self.locked and not (self.members or self.others.members):
            self.set_flag("locked", False)
        if not self.ending:
            self.settle()

    @property
    def inviter(self) -> Inviter | None:
        """Who calls people into it, where that can be done."""
        return self._house.inviter

    # What they hear

    def sound(self, spec: str) -> Recorded | None:
        """A prompt of the profile, or None: there is none, or it cannot be had (which is logged)."""
        try:
            return self._house.library.open(spec, self.profile) if spec else None
        except SoundError as error:
            log.warning("%s: %s", self.name, error)
            return None

    def fetch(self, spec: str, then: Callable[[Recorded | SoundError], None]) -> None:
        """Any sound, when it is ready. Raises SoundError."""
        self._house.library.fetch(spec, self.profile, then)

    def prepare(self, specs: Sequence[str], profile: Profile, then: Callable[[SoundError | None], None]) -> None:
        """Prompts and music that a profile of this conference is to have."""
        self._house.library.prepare(specs, profile, then)

    def fetch_all(self, choices: Sequence[Sequence[str | Recorded]], then: Callable[[list[Recorded]], None]) -> None:
        """Words that are said one after the other (see the library). Raises SoundError."""
        self._house.library.fetch_all(choices, self.profile, then)

    @property
    def playing(self) -> str:
        """What is played back to all, or empty."""
        return self.deck.playing

    def tell_all(self, spec: str) -> None:
        """A prompt or tone of the profile, for all to hear."""
        if not self.ending:
            self._crier.tell(spec)

    def settle(self) -> None:
        """Who is alone is told so, and hears music, except while something is played to all."""
        alone = next(iter(self.members.values())) if len(self.members) == 1 and self._comforts else None
        busy = self._crier.busy or self._playback.busy
        if self._alone is not None and (self._alone is not alone or busy):
            self._alone.announcer.drop("alone")
            self.stop_music(self._alone)
        if alone is None:
            self._alone = None
        elif alone is not self._alone and not busy:
            self._alone = alone
            alone.announcer.say("alone", self.profile.member_alone, self._comfort)
        elif not busy:
            self._comfort()

    @property
    def _comforts(self) -> bool:
        return self.profile.alone_sound and not (self.ending or self.moderation.waits or self.others.members)

    def _comfort(self) -> None:
        if self._alone is not None:
            self.play_music(self._alone)

    def play_music(self, member: Member) -> None:
        """Let it hear music in place of the conference, until it leaves or the music is stopped."""
        self._house.music.tune(member.leg, self.mix, self.profile)

    def stop_music(self, member: Member) -> None:
        """Let it hear the conference again."""
        self._house.music.leave(member.leg)

    # How it is set

    @property
    def flags(self) -> list[str]:
        """The names of the flags that are on."""
        return [*flags_of(self.profile), *(["locked"] if self.locked else [])]

    def set_flag(self, name: str, on: bool) -> None:
        """Change a flag, now, for all who have none of their own. Raises CommandError."""
        if (name in self.flags) is on:
            return
        if name == "locked":
            self.locked = on
        else:
            try:
                fresh = with_flag(self.profile_name, self.profile, name, on)
            except ValueError as error:
                raise CommandError(str(error)) from None
            self.turns.take(self.adopt(fresh), _done, _failed)
        self.publish(events.FlagChanged, flag=name, on=on)

    def adopt(self, profile: Profile) -> Turns[None]:
        """Another profile of the same rate and channels, from now on; what is to be done for each who is in it is done in
        turns. They keep what is their own.
        """
        before, self.profile = self.profile, profile
        self.defaults = Defaults.of(profile)
        self._set_mix()
        self.moderation.adopt(before)
        if self.empty and before.conference_term_timer != profile.conference_term_timer:
            self._wait_for_members()
        if before.moh != profile.moh and self._alone is not None:
            self.stop_music(self._alone)
        self.settle()
        return self._adopted(before)

    def _adopted(self, before: Profile) -> Turns[None]:
        if any(getattr(before, key) != getattr(self.profile, key) for key in FELT_BY_MEMBERS):
            yield from each(tuple(self.members.values()), lambda member: member.adopt(before), LOOKS // 4)

    def _set_mix(self) -> None:
        self.codecs = self.profile.codecs or possible(self.profile.sample_rate)
        self.mix.keep = self.profile.group_term_timer
        self.mix.passing = not self.profile.transcoding
        self.mix.treatment = self.profile.treatment
        self.mix.comfort_noise = self.profile.cng.level if self.profile.cng.enable else 0

    # Its end

    def term(self, reason: str) -> None:
        """Say goodbye to all, then end. Its name is free at once."""
        if self.ending:
            return
        self._end(reason)
        for member in tuple(self.waiting.values()):
            member.leave(Reason.ENDED)
        if not self.members:
            self._hang_up()
            return
        self._hush(iter(tuple(self.members.values())))
        # Into the conference: it is encoded once, however many listen.
        said = self._crier.goodbye(self.profile.member_bye, self._said_goodbye)
        self._timer = self.clock.callLater(LONGEST_GOODBYE if said else 0, self._hang_up)

    def _hush(self, members: Iterator[Member]) -> None:
        """Nobody says anything any more, and nobody is told anything of its own: some now, the others at once after."""
        some = list(islice(members, LOOKS // 4))
        for member in some:
            member.hush()
        self._hushing = self.clock.callLater(0, self._hush, members) if some else None

    def stop(self, reason: str) -> None:
        """End at once."""
        self._end(reason)
        for member in self.everybody:
            member.leave(reason)
        self._close()

    def _end(self, reason: str) -> None:
        self.ending = self.ending or reason
        self.owner.ending(self)
        self._stop_timer()
        self.mix.unlink()  # each node says goodbye to those who are there
        self.deck.stop()
        self._crier.stop()
        self.settle()

    def _said_goodbye(self) -> None:
        self._stop_timer()
        self._timer = self.clock.callLater(HEARD_OUT, self._hang_up)

    def _hang_up(self) -> None:
        """Some of the calls now, the others in the next turns."""
        self._timer = None
        for member in tuple(islice(self.members.values(), AT_ONCE)):
            member.leave(Reason.ENDED)
        if self.members:
            self._timer = self.clock.callLater(0, self._hang_up)
        elif self.empty:
            self._close()

    def _wait_for_members(self) -> None:
        """The last one left, or nobody came yet: live on for as long as the profile says, 0 = for ever."""
        self._stop_timer()
        seconds = self.profile.conference_term_timer
        if seconds:
            wait = max(seconds, self.expected_until - self.clock.seconds())
            self._timer = self.clock.callLater(wait, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.stop("empty")

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stop_timer()
        self.recordings.empty()
        self.moderation.close()
        if self._hushing is not None:
            self._hushing.cancel()
        self._crier.stop()
        self.mix.close()
        self.publish(events.ConferenceEnded, id=self.id, reason=self.ending)
        self.owner.closed(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def publish(self, kind: type[events.Event], **fields: Any) -> None:
        """An event of this conference."""
        self._house.events.publish(kind, conference=self.name, **fields)
