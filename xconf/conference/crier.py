"""What all of a conference are told: prompts, and who comes and leaves, with tones, names and numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from xconf.conference import spoken
from xconf.conference.member import Reason
from xconf.conference.slot import Slot
from xconf.media.sources import Recorded, SoundError

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.member import Member


class Crier:
    """One thing after the other. What is about to be said of coming and leaving is not said of a second one meanwhile: of a
    rush of callers one tone is heard, not hundreds, and at its end how many there are now.
    """

    def __init__(self, conference: Conference) -> None:
        self._conference = conference
        self._slot = Slot(conference.mix, prompt=True)
        self._coming: deque[str | Recorded] = deque()  # prompts by their names, words as they are
        self._fetching = 0  # the number of the words that are being made ready, 0: none are
        self._turn = 0
        self._count_again = False

    @property
    def busy(self) -> bool:
        """Something is heard, or about to be."""
        return self._slot.busy or bool(self._coming) or bool(self._fetching)

    def tell(self, spec: str) -> None:
        """A prompt of the profile, once."""
        if spec and spec not in self._coming:
            self._coming.append(spec)
            self._go_on()

    def came(self, member: Member) -> None:
        """Somebody is here, who was not, on no node."""
        if not member.moved:
            self._announce(member, self._conference.profile.member_join, self._conference.profile.member_has_joined, 1)

    def left(self, member: Member, reason: str) -> None:
        """Somebody was here, and is not; unless it is on another node now."""
        if reason != Reason.MOVED:
            self._announce(member, self._conference.profile.member_leave, self._conference.profile.member_has_left, 0)

    def goodbye(self, spec: str, done: Callable[[], None]) -> bool:
        """A prompt instead of all that was to be said; whether there is one. done: it was heard."""
        self.stop()
        sound = self._conference.sound(spec)
        if sound is not None:
            self._slot.start(sound, done)
        return sound is not None

    def stop(self) -> None:
        """Silence."""
        self._turn += 1
        self._fetching = 0
        self._count_again = False
        for sound in self._coming:
            if not isinstance(sound, str):
                sound.close()
        self._coming.clear()
        self._slot.stop()

    def _announce(self, member: Member, tone: str, verb: str, itself: int) -> None:
        """To those who are there, unless they are too many to care. itself: 1 when it is one of them."""
        conference, profile = self._conference, self._conference.profile
        others = len(conference.members) - itself
        if (
            not others
            or conference.ending
            or (profile.announce_limit and others + conference.others.members > profile.announce_limit)
        ):
            return
        if self.busy:
            self._count_again = profile.announce_count
            return
        words: list[Sequence[str | Recorded]] = (
            [(*member.names_said, "somebody.wav"), (verb,)] if profile.announce_names else []
        )
        if profile.announce_count:
            words += [(word,) for word in spoken.members(len(conference.members) + conference.others.members)]
        self.tell(tone)
        if words:
            self._fetch(words)

    def _fetch(self, words: Sequence[Sequence[str | Recorded]]) -> None:
        """Words come after what is said now, when they are ready."""
        self._turn += 1
        turn = self._fetching = self._turn

        def ready(sounds: list[Recorded]) -> None:
            if turn != self._fetching:
                for sound in sounds:
                    sound.close()
                return
            self._fetching = 0
            self._coming.extend(sounds)
            if self._slot.busy:
                return
            if self._coming:
                self._go_on()
            else:
                self._over()

        try:
            self._conference.fetch_all(words, ready)
        except SoundError:  # too much is being made ready
            self._fetching = 0

    def _go_on(self) -> None:
        while self._coming and not self._slot.busy:
            item = self._coming.popleft()
            sound = self._conference.sound(item) if isinstance(item, str) else item
            if sound is not None:
                self._slot.start(sound, self._over)

    def _over(self) -> None:
        self._go_on()
        if self.busy:
            return
        if self._count_again:
            self._count_again = False
            self._fetch(
                [(word,) for word in spoken.members(len(self._conference.members) + self._conference.others.members)]
            )
        if not self.busy:
            self._conference.settle()
