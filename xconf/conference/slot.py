"""A place for one sound at a time that all members of a conference hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xconf.media.sources import Sound

if TYPE_CHECKING:
    from xconf.media.mix import Mix
    from xconf.media.plane import Player


class Slot:
    """Plays into a mix. What comes second replaces what came first. prompt: recordings leave it out."""

    def __init__(self, mix: Mix, *, prompt: bool = False) -> None:
        self._mix = mix
        self._prompt = prompt
        self._player: Player | None = None
        self._turn = 0

    @property
    def busy(self) -> bool:
        return self._player is not None

    def start(self, sound: Sound, done: Callable[[], None]) -> None:
        """`done` is called at the end of the sound, not if it is stopped or replaced."""
        self.stop()
        self._turn += 1
        turn = self._turn

        def over() -> None:
            # The end of a sound that was stopped meanwhile may have been under way.
            if self._player is not None and turn == self._turn:
                self._player = None
                done()

        self._player = self._mix.play(sound, over, prompt=self._prompt)

    def stop(self) -> bool:
        """Whether there was something to stop."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()
        return player is not None
