"""What a conference owes to its administrators: it waits for the first with music, and may end when the last has left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from xconf.conference.interfaces import Timer
from xconf.conference.profile import Profile
from xconf.conference.turns import LOOKS

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.member import Member

ENDED = "the last administrator left"


class Moderation:
    """`waits`: everybody hears music until an administrator comes."""

    def __init__(self, conference: Conference) -> None:
        self._conference = conference
        self.waits = self._must_wait()
        self._elsewhere = conference.others.administered
        self._grace: Timer | None = None
        self._letting_in: Timer | None = None

    def joined(self, member: Member) -> None:
        """Somebody came, or became an administrator."""
        if member.settings.admin:
            self._stop_grace()
            if self.waits:
                self.waits = False
                self._let_in(iter(tuple(self._conference.members.values())))
        elif self.waits:
            self._conference.play_music(member)

    def lost(self) -> None:
        """An administrator left, or is none any more."""
        profile, members = self._conference.profile, self._conference.members
        if not (members and profile.end_without_admin) or self._conference.ending or self._grace is not None:
            return
        if self._conference.others.administered:
            return
        if not any(other.settings.admin for other in members.values()):
            self._grace = self._conference.clock.callLater(profile.admin_grace, self._end)

    def elsewhere_changed(self) -> None:
        """An administrator came, or left, on another node: that is as if it were here."""
        before, self._elsewhere = self._elsewhere, self._conference.others.administered
        if self.waits and not self._must_wait():
            self.waits = False
            self._let_in(iter(tuple(self._conference.members.values())))
        if self._elsewhere:
            self._stop_grace()
        elif before:
            self.lost()

    def _must_wait(self) -> bool:
        conference = self._conference
        return conference.profile.wait_for_admin and not any(share.open for share in conference.others.shares)

    def adopt(self, before: Profile) -> None:
        """The profile is another one: who waits in vain is let in; who is in already does not wait."""
        profile, conference = self._conference.profile, self._conference
        if before.wait_for_admin and not profile.wait_for_admin:
            if self.waits:
                self.waits = False
                self._let_in(iter(tuple(conference.members.values())))
        elif profile.wait_for_admin and not conference.members:
            self.waits = True
        if not profile.end_without_admin:
            self._stop_grace()

    def empty(self) -> None:
        """All have left: the next ones wait anew."""
        self.close()
        self.waits = self._must_wait()

    def close(self) -> None:
        """Nobody is left."""
        self._stop_grace()
        if self._letting_in is not None:
            self._letting_in.cancel()
            self._letting_in = None

    def _let_in(self, members: Iterator[Member]) -> None:
        """Some now, the others at once after."""
        self._letting_in = None
        some = list(islice(members, LOOKS // 4))
        for member in some:
            self._conference.stop_music(member)
        if some:
            self._letting_in = self._conference.clock.callLater(0, self._let_in, members)
        else:
            self.close()
            self._conference.settle()

    def _end(self) -> None:
        self._grace = None
        self._conference.term(ENDED)

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
