"""What a caller is asked before it comes in, or becomes more than it is: PINs, and its name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from xconf.conference import events
from xconf.conference.errors import CommandError
from xconf.conference.naming import NameMenu, SpokenName
from xconf.conference.pin import PinMenu
from xconf.conference.settings import GUESSES

if TYPE_CHECKING:
    from xconf.conference.member import Member

TRIES = 3


class Door:
    """Of one member. Only a menu that is open holds it: `close` it."""

    def __init__(self) -> None:
        self._menu: PinMenu | NameMenu | None = None
        self._hash_until = 0.0  # a # until then still belongs to the PIN
        self._asked = False  # for the name

    def ask_pin(self, member: Member) -> None:
        """Either PIN lets it in."""
        profile = member.conference.profile
        pins = {profile.admin_pin: "admin", profile.user_pin: "user"}
        self._open(
            member, {pin: role for pin, role in pins.items() if pin}, max(1, min(TRIES, member.settings.guesses))
        )

    def ask_admin_pin(self, member: Member) -> None:
        """With it, one who is in is an administrator. Raises CommandError."""
        pin = member.conference.profile.admin_pin
        if pin is None:
            raise CommandError("the conference has no admin PIN")
        if member.settings.guesses <= 0:
            raise CommandError(f"{GUESSES} wrong PINs were tried already")
        if self._menu is None and not member.settings.admin:
            self._open(member, {pin: "admin"}, min(TRIES, member.settings.guesses))

    def ask_name(self, member: Member) -> bool:
        """Whether it is asked for, once; then `Member.enter` is called again."""
        if self._asked or not (member.settings.speaker and member.conference.asks_names):
            return False
        self._asked = True
        self._menu = NameMenu(member.conference, member.leg, member.announcer, partial(self._named, member))
        return True

    def takes(self, member: Member, digit: str) -> bool:
        """Whether a digit is for what is asked, and no command."""
        now = member.conference.clock.seconds()
        if isinstance(self._menu, PinMenu):
            self._hash_until = 0.0 if digit == "#" else now + member.conference.profile.digit_timeout
            self._menu.digit(digit)
            return True
        rest_of_pin = digit == "#" and now < self._hash_until
        self._hash_until = 0.0
        if self._menu is None or rest_of_pin:
            return rest_of_pin
        self._menu.digit(digit)
        return True

    def close(self) -> None:
        """Nothing is asked any more."""
        if self._menu is not None:
            self._menu.close()
            self._menu = None

    def _open(self, member: Member, pins: Mapping[str, str], tries: int) -> None:
        self._menu = PinMenu(
            member.conference.clock,
            member.announcer,
            member.conference.profile,
            pins,
            tries,
            partial(self._answered, member),
            partial(self._failed, member),
            optional=member.hears,
        )

    def _failed(self, member: Member, attempt: int) -> None:
        member.settings.guesses -= 1
        member.publish(events.PinFailed, attempt=attempt)

    def _answered(self, member: Member, role: str | None) -> None:
        self._menu = None
        member.answered(role)

    def _named(self, member: Member, name: SpokenName | None) -> None:
        self._menu = None
        member.spoken_name = name
        member.enter()
