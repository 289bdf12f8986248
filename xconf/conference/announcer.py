"""What one member is played, in place of the conference: prompts, one after the other, and a playback below them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.media.sources import Sound

if TYPE_CHECKING:
    from xconf.media.leg import Leg

Done = Callable[[], None]


@dataclass(slots=True, eq=False)
class Item:
    """topic: what it is about; of one topic only the latest is said. sound: opened when its turn comes."""

    topic: str
    spec: str
    done: Done | None
    sound: Sound | None = None


class Announcer:
    """open: gives the producer of a prompt, or None when there is nothing to play (and says so elsewhere)."""

    def __init__(self, leg: Leg, open: Callable[[str], Sound | None]) -> None:
        self._leg = leg
        self._open = open
        self._prompts: deque[Item] = deque()
        self._playback: Item | None = None
        self._current: Item | None = None
        self._closed = False

    def say(self, topic: str, spec: str, done: Done | None = None) -> None:
        """A prompt, after those that wait; replaces an older one of its topic. `done` is called at its end, at once if
        it cannot be played, never if it is dropped. A playback pauses meanwhile.
        """
        if self._closed:
            return
        self._forget(topic)
        self._prompts.append(Item(topic, spec, done))
        self._go_on()

    def recite(self, topic: str, sounds: Iterable[Sound]) -> None:
        """The same with words that are said one after the other."""
        if not self._closed:
            self._forget(topic)
            self._prompts.extend(Item(topic, "", None, sound) for sound in sounds)
            self._go_on()

    def says(self, topic: str) -> bool:
        """Whether something of that topic is heard or waits."""
        current = self._current is not None and self._current.topic == topic
        return current or any(item.topic == topic for item in self._prompts)

    def play(self, sound: Sound, done: Done) -> None:
        """A playback, heard when no prompt is; replaces the one before."""
        self.stop_playback()
        if not self._closed:
            self._playback = Item("playback", "", done, sound)
            self._go_on()

    def stop_playback(self) -> bool:
        """End the playback; whether there was one. Its `done` is not called."""
        playing, self._playback = self._playback, None
        if playing is not None and self._current is playing:
            self._silence()
            self._go_on()
        return playing is not None

    def drop(self, topic: str) -> None:
        """Say no more of a topic."""
        self._forget(topic)
        self._go_on()

    def close(self) -> None:
        """Silence, for good."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Forget all that was to be said and played."""
        self._prompts.clear()
        self._playback = None
        self._silence()

    def _forget(self, topic: str) -> None:
        self._prompts = deque(item for item in self._prompts if item.topic != topic)
        if self._current is not None and self._current is not self._playback and self._current.topic == topic:
            self._silence()

    def _silence(self) -> None:
        if self._current is not None:
            self._current = None
            self._leg.stop()

    def _go_on(self) -> None:
        while not self._closed and (self._current is None or (self._prompts and self._current is self._playback)):
            item = self._prompts.popleft() if self._prompts else self._playback
            if item is None:
                return
            sound = item.sound or self._open(item.spec)
            if sound is None:
                self._finish(item)
            else:
                self._current = item
                self._leg.play(sound, lambda item=item: self._over(item))  # type: ignore[misc]

    def _over(self, item: Item) -> None:
        # What was replaced or stopped may still say that it is over: its end was under way.
        if item is self._current:
            self._current = None
            self._finish(item)
            self._go_on()

    def _finish(self, item: Item) -> None:
        if item is self._playback:
            self._playback = None
        if item.done is not None:
            item.done()
