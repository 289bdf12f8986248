"""A member: one call in a conference, from the PIN menu to the goodbye."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from xconf.conference import events
from xconf.conference.announcer import Announcer
from xconf.conference.commands import Reply
from xconf.conference.controls import DIGITS, Action, Controls
from xconf.conference.deck import Deck
from xconf.conference.digits import Collector
from xconf.conference.door import Door
from xconf.conference.errors import CommandError, ConferenceError
from xconf.conference.interfaces import Call, Timer
from xconf.conference.naming import SpokenName
from xconf.conference.profile import Profile
from xconf.conference.settings import Settings
from xconf.media.sources import Recorded, SoundError

if TYPE_CHECKING:
    from xconf.conference.conference import Conference

log = logging.getLogger(__name__)

HEARD_OUT = 0.25  # s from the end of the last prompt to the BYE: so long it may be on its way and in the phone's buffer
LONGEST_GOODBYE = 15.0  # s from the last prompt's beginning to the end of the call, whatever happens to the sound
LONGEST_CALLER = 80


class Stage(StrEnum):
    """Where a member is in its life; it never goes back."""

    WAITING = "waiting"  # in the PIN menu: not counted, not heard
    IN = "in"
    LEAVING = "leaving"  # hears its last prompt
    GONE = "gone"


class Reason(StrEnum):
    """Why a member left."""

    HUNG_UP = "hung up"
    KEYPAD = "left by keypad"
    KICKED = "kicked"
    TRANSFERRED = "transferred"
    MOVED = "moved to another node"
    WRONG_PIN = "wrong PIN"
    LOCKED = "conference locked"
    ENDED = "conference ended"
    STOPPED = "server stopped"
    FAILED = "a fault of the server"


class Member:
    """Made by `Conference.join`. `leave` is the only way out: it frees everything, once, at any moment."""

    def __init__(self, conference: Conference, call: Call, settings: Settings, *, moved: bool = False) -> None:
        """moved: it was in this conference on another node until now."""
        self.id = str(uuid.uuid4())
        self.conference = conference
        self.call = call
        self.leg = call.leg
        self.caller = "".join(char for char in call.caller if char.isprintable())[:LONGEST_CALLER]
        self.settings = settings
        self.moved = moved
        self.stage = Stage.WAITING
        self.joined_at = conference.clock.seconds()
        self.admitted = False
        self.leaving = ""  # why, while it hears its last prompt
        self.talking = False
        self.announcer = Announcer(self.leg, conference.sound)
        self.deck = Deck(
            conference.fetch, self.announcer.play, self.announcer.stop_playback, conference.publish, self.id
        )
        self._collector = Collector(conference.clock, self._controls(), conference.profile.digit_timeout, self._run)
        self.spoken_name: SpokenName | None = None
        self._door = Door()
        self._goodbye: Timer | None = None

    # Its life

    def start(self) -> None:
        """The call is up: ask for the PIN, or go in."""
        self.leg.on_digit = self.digit
        self.leg.on_talk = self._talk
        if self.moved or not self.conference.profile.pin_auth or self.settings.auth:
            self.enter()
        else:
            self._door.ask_pin(self)

    @property
    def hears(self) -> bool:
        """It is in the conference, and not shut out until it has given its PIN anew."""
        return self.stage is Stage.IN and self.leg.mix is not None

    def answered(self, role: str | None) -> None:
        """It gave a PIN, of an `admin` or a `user`; None: it knows none."""
        if self.hears:
            if role == "admin":
                self.set_flag("admin", True)
        elif role is None:
            self.leave(Reason.WRONG_PIN)
        elif self.stage is Stage.IN:
            self._set_auth(True)
            if role == "admin":
                self.set_flag("admin", True)
        else:
            self.settings.auth = True
            if role == "admin":
                self.settings.admin = True
                self._collector.use(self._controls())
            self.enter()

    def enter(self) -> None:
        """Who may come in does, once he has said his name where that is asked for. Who was in already just goes on."""
        if not self.moved:
            if self.conference.locked and not self.settings.admin:
                self.depart(Reason.LOCKED, "member_barred")
                return
            if self._door.ask_name(self):
                return
            if self.conference.profile.join_muted and not self.settings.admin:
                self.settings.mute = True
        self.stage = Stage.IN
        self.admitted = True
        self.joined_at = self.conference.clock.seconds()
        self.settings.apply(self.leg, self.conference.defaults)
        self.leg.attach(self.conference.mix)
        if not self.moved:
            self.announce("welcome", "welcome")
        self.conference.admit(self)

    def depart(self, reason: str, prompt: str) -> None:
        """Out of the conference now; the call ends after the prompt (a key of the profile's)."""
        if self.stage in (Stage.LEAVING, Stage.GONE):
            return
        self._free()
        self.announcer.clear()
        self.conference.retire(self, reason)
        self.stage = Stage.LEAVING
        self.leaving = reason
        since = self.conference.clock.seconds()
        self._goodbye = self.conference.clock.callLater(LONGEST_GOODBYE, self._give_up, reason)
        self.announcer.say(
            "goodbye", getattr(self.conference.profile, prompt), lambda: self._said_goodbye(reason, since)
        )

    def _said_goodbye(self, reason: str, since: float) -> None:
        if self.conference.clock.seconds() == since:  # there was nothing to say
            self.leave(reason)
        elif self._goodbye is not None:
            self._goodbye.cancel()
            self._goodbye = self.conference.clock.callLater(HEARD_OUT, self._give_up, reason)

    def _give_up(self, reason: str) -> None:
        self._goodbye = None
        self.leave(reason)

    def leave(self, reason: str) -> None:
        """Out, now, and the call ends. Frees everything; may be called at any moment, and again."""
        if self.stage is not Stage.GONE:
            self._vanish(reason)
            self.call.hangup(reason)

    def move(self, name: str, profile: str = "") -> Member:
        """The same call in another conference, which is made where there is none, with that profile or this one's. It is
        another member there, asked for the PIN there unless the profile is the same. Raises CommandError.
        """
        self.require_in()
        here = self.conference
        try:
            there = here.owner.find_or_create(name, profile or here.profile_name)
            there.require_room()
        except ConferenceError as error:
            raise CommandError(str(error)) from None
        if there is here:
            raise CommandError(f"{self.id} is in {name} already")
        settings = self.settings.elsewhere(trusted=there.profile_name == here.profile_name)
        asked = there.profile.pin_auth and not settings.auth
        if there.locked and not settings.admin and not (asked and there.profile.admin_pin):
            raise CommandError(f"{name} is locked")
        if not there.profile.transcoding and there.codecs != here.codecs:
            raise CommandError(f"{name} takes one codec, which is not that of {here.name}")
        self._vanish(f"moved to {name}")
        member = there.join(self.call, settings=settings)
        if member.stage is not Stage.GONE:
            self.call.member = member
        return member

    def _vanish(self, reason: str) -> None:
        """Nothing of it remains but its call."""
        if self.stage is not Stage.LEAVING:
            self._free()
            self.conference.retire(self, reason)
        self.stage = Stage.GONE
        self.announcer.close()
        self.leg.on_digit = self.leg.on_talk = None
        if self._goodbye is not None:
            self._goodbye.cancel()
            self._goodbye = None
        self.conference.forget(self, reason)

    def _free(self) -> None:
        self._door.close()
        self._collector.close()
        self._talk(False)
        self.stop_playback()
        self.conference.stop_music(self)
        self.leg.attach(None)

    # What comes from its telephone

    def digit(self, digit: str) -> None:
        """A key was pressed, however that was told."""
        if digit not in DIGITS or self.stage not in (Stage.WAITING, Stage.IN):
            return
        if not self._door.takes(self, digit):
            self.publish(events.DigitPressed, digit=digit)
            self._collector.feed(digit)

    def _run(self, action: Action) -> None:
        if action.rights == "admin" and not self.settings.admin:
            self._ran(action, CommandError("only administrators may do that"))
            return
        work = action.command.turns(self, action.argument)
        self.conference.turns.take(work, partial(self._ran, action), partial(self._ran, action))

    def _ran(self, action: Action, outcome: Reply | Exception) -> None:
        error = ""
        if isinstance(outcome, CommandError):
            error = str(outcome)
        elif isinstance(outcome, Exception):
            log.error("command %s of %s failed", action.text, self.call.call_id, exc_info=outcome)
            error = "failed"
        elif outcome.later is not None:
            outcome.later.then(self._ended)
        self.publish(events.CommandRun, command=action.text, error=error)
        if error:
            self.announce("refused", "refused")

    def _ended(self, outcome: Reply | CommandError) -> None:
        """What a key began is over."""
        if isinstance(outcome, CommandError):
            self.announce("refused", "refused")

    def _talk(self, on: bool) -> None:
        if on != self.talking and self.stage is Stage.IN:
            self.talking = on
            self.publish(events.TalkStarted if on else events.TalkStopped)

    # What commands do

    @property
    def role(self) -> str:
        if self.settings.admin:
            return "admin"
        return "speaker" if self.settings.speaker else "listener"

    @property
    def names_said(self) -> Sequence[str | Recorded]:
        """Sounds that say who it is, the best first."""
        own = (self.spoken_name.clip(),) if self.spoken_name is not None else ()
        name = self.caller.partition("<")[0].strip(' "')
        return (*own, f"say:{name}") if name else own

    @property
    def flags(self) -> list[str]:
        """The names of the flags that are on."""
        return self.settings.flags(self.conference.defaults)

    def set_flag(self, name: str, on: bool, *, told: bool = True) -> None:
        """Change a flag, now; it is told to the member (if `told`) where it makes a difference. Raises CommandError."""
        if name == "auth":
            self._set_auth(on)
            return
        if getattr(self.settings, name) is on:
            return
        setattr(self.settings, name, on)
        self.apply()
        if name == "admin":
            self._collector.use(self._controls())
            self.conference.role_changed(self)
        if name == "speaker" and not on:
            self._talk(False)
        self.publish(events.MemberFlagChanged, flag=name, on=on)
        # Nobody hears a listener: that it is muted makes no difference to it.
        if told and (name in ("speaker", "admin", "deaf") or (name == "mute" and self.settings.speaker)):
            said = "muted" if name == "mute" else name
            self.announce(name, said if on else f"un{said}")

    def _set_auth(self, on: bool) -> None:
        """Let a caller in who is in the PIN menu; or, where PINs are asked for, ask a member for it anew: until it has given it
        it is not heard and hears nothing.
        """
        if self.settings.auth is on:
            return
        self.settings.auth = on
        self.publish(events.MemberFlagChanged, flag="auth", on=on)
        if on and not self.hears:
            self._door.close()
            if self.stage is Stage.IN:
                self.leg.attach(self.conference.mix)
            elif self.stage is Stage.WAITING:
                self.enter()
        elif self.hears and not on and self.conference.profile.pin_auth:
            self._door.close()
            self._talk(False)
            self.stop_playback()
            self.leg.attach(None)
            self._door.ask_pin(self)

    def hush(self) -> None:
        """The conference ends: it says no more, and hears what all hear."""
        if self.stage is Stage.IN:
            self.stop_playback()
            self.announcer.clear()
            self.conference.stop_music(self)
            if self.settings.speaker:
                self.leg.speaker = False

    def apply(self) -> None:
        """Bring the leg in line with what has changed, for the member or for the whole conference."""
        if self.stage is Stage.IN:
            self.settings.apply(self.leg, self.conference.defaults)

    def adopt(self, before: Profile) -> None:
        """The conference has another profile."""
        profile = self.conference.profile
        heard = self.settings.speaker and (before.vad, before.agc) != (profile.vad, profile.agc)
        if heard or (self.settings.cng is not None and before.cng != profile.cng):
            self.apply()
        if (before.admin_controls, before.user_controls) != (profile.admin_controls, profile.user_controls):
            self._collector.use(self._controls())
        self._collector.timeout = profile.digit_timeout

    def ask_admin_pin(self) -> None:
        """Ask the member for the admin PIN; with it, it becomes an admin. Raises CommandError."""
        self.require_in()
        self._door.ask_admin_pin(self)

    def require_in(self) -> None:
        """Raises CommandError when it is not in the conference (yet, or any more)."""
        if self.stage is not Stage.IN:
            raise CommandError(f"{self.id} is not in the conference: {self.stage}")

    @property
    def playing(self) -> str:
        """What is played back to it, or empty."""
        return self.deck.playing

    def stop_playback(self) -> bool:
        """Whether there was one."""
        return self.deck.stop()

    def recite(self, topic: str, choices: Sequence[Sequence[str | Recorded]]) -> None:
        """Tell it words, one after the other: of each choice the first sound that there is. Raises CommandError."""
        self.require_in()

        def ready(sounds: list[Recorded]) -> None:
            if self.stage is Stage.IN:
                self.announcer.recite(topic, sounds)

        try:
            self.conference.fetch_all(choices, ready)
        except SoundError as error:
            raise CommandError(str(error)) from None

    def announce(self, topic: str, what: str) -> None:
        """Tell it a prompt of the profile, `member_…`; of one topic the latest counts."""
        if self.stage is Stage.IN:
            self.announcer.say(topic, getattr(self.conference.profile, f"member_{what}"))

    @property
    def actions(self) -> dict[str, Action]:
        """What its keys do, but for what it may not."""
        actions = self._controls().actions.items()
        return {digits: action for digits, action in actions if self.settings.admin or action.rights != "admin"}

    def _controls(self) -> Controls:
        profile = self.conference.profile
        return self.conference.controls[profile.admin_controls if self.settings.admin else profile.user_controls]

    def publish(self, kind: type[events.MemberEvent], **fields: Any) -> None:
        """An event of this member."""
        self.conference.publish(kind, member=self.id, caller=self.caller, call_id=self.call.call_id, **fields)
