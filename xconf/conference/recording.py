"""Recordings of a conference: begun and ended by somebody, or of themselves when it is occupied."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from xconf.conference import events
from xconf.conference.commands import Reply
from xconf.conference.errors import CommandError
from xconf.conference.interfaces import Timer
from xconf.conference.later import Later
from xconf.media.tape import MIX, Block, TapeError
from xconf.media.taps import Heard, Tap

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.member import Member
    from xconf.media.tape import Format

log = logging.getLogger(__name__)

EVERY = 1.0  # s between two writes
TICKS_PER_SECOND = 50
MOST_BLOCKS = 6000  # frames that wait for the disk
NAME = re.compile(r"\w[\w .-]{0,99}")

Done = Callable[[Any], None]


class Tape(Protocol):
    """The files of a recording (media's Tape)."""

    def write(self, blocks: Iterable[Block], length: int) -> None: ...
    def close(self) -> None: ...


class Recorder(Protocol):
    """Where recordings go."""

    def tape(self, name: str, rate: int, channels: int, form: Format) -> tuple[Tape, str]:
        """Files of that name, not made yet, and where the first will be."""

    def name(self, conference: str) -> str:
        """One for a recording that nobody named, after the conference and the time of day."""

    def run(self, work: Callable[[], None], done: Done) -> None:
        """Have it done elsewhere: `done` gets None, or the exception, here. Work of one tape is asked for one at a time."""


def safe(text: str) -> str:
    """As part of a file's name."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._")[:40] or "unnamed"


class Recording:
    """One, from its start to its end. ended: called once, with the error that ended it, or empty."""

    def __init__(
        self, conference: Conference, recorder: Recorder, name: str, by: str, ended: Callable[[Recording], None]
    ) -> None:
        profile = conference.profile
        self.by = by
        self.begun = Later()
        self.finished = Later()
        self.left_out = 0
        self._conference = conference
        self._recorder = recorder
        self._ended = ended
        self._tracks = profile.record.tracks
        self._tape, self.file = recorder.tape(name, profile.sample_rate, profile.channels, profile.record.format)
        self._tap: Tap | None = conference.mix.tap()
        self._before = 0  # ticks until the last pause
        self._blocks: list[Block] = []
        self._busy = False
        self._over = self._closed = False
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Make its files; it may fail, and end, at once."""
        self._write()

    @property
    def paused(self) -> bool:
        return self._tap is None and not self._over

    @property
    def ticks(self) -> int:
        return self._before + (self._tap.length if self._tap is not None else 0)

    @property
    def seconds(self) -> float:
        return self.ticks / TICKS_PER_SECOND

    def pause(self) -> None:
        """What comes from now on is left out."""
        self.collect()
        if self._tap is not None:
            self._before = self.ticks
            self.left_out += self._tap.lost
            self._conference.mix.untap(self._tap)
            self._tap = None

    def resume(self) -> None:
        self._tap = self._conference.mix.tap()

    def stop(self) -> None:
        """That was all; the files are finished soon."""
        if not self._over:
            self.pause()
            self._over = True
            self._ended(self)
            self._stop_timer()
            if not self._busy:
                self._write()

    def collect(self) -> None:
        """Take what was heard, while it is known whose legs those are."""
        if self._tap is None:
            return
        heard = self._tap.take()
        self._blocks += [Block(MIX, self._before + each.tick, each.mix) for each in heard]
        if self._tracks and heard:
            self._blocks += self._by_voice(heard)
        too_many = len(self._blocks) - MOST_BLOCKS
        if too_many > 0:
            del self._blocks[:too_many]
            self.left_out += too_many

    def _by_voice(self, heard: list[Heard]) -> list[Block]:
        legs = {leg for each in heard for leg in each.legs.tolist()}
        tracks = {
            member.leg.row: f"{safe(member.caller)}-{member.id[:8]}"
            for member in self._conference.everybody
            if member.leg.row in legs
        }
        return [
            Block(tracks.get(leg, "others"), self._before + each.tick, voice)
            for each in heard
            for leg, voice in zip(each.legs.tolist(), each.voices, strict=True)
        ]

    def _write(self) -> None:
        """Hand on what there is; at the end, the end too."""
        self._timer = None
        self.collect()
        blocks, self._blocks = self._blocks, []
        length, last = self.ticks, self._over
        self._busy = True

        def work() -> None:
            try:
                self._tape.write(blocks, length)
            except TapeError:
                with suppress(TapeError):
                    self._tape.close()
                raise
            if last:
                self._tape.close()

        self._closed = last
        self._recorder.run(work, self._written)

    def _written(self, error: Exception | None) -> None:
        self._busy = False
        if error is not None:
            self._fail(str(error))
        elif self._closed:
            self._tell("")
        elif self._over:
            self._write()
        else:
            self.begun.tell(Reply(f"recording to {self.file}", {"file": self.file}))
            self._timer = self._conference.clock.callLater(EVERY, self._write)

    def _fail(self, error: str) -> None:
        log.warning("%s: the recording has ended: %s; the conference goes on", self._conference.name, error)
        if not self._over:
            self.pause()
            self._over = True
            self._ended(self)
        self._closed = True
        self._tell(error)

    def _tell(self, error: str) -> None:
        self._conference.publish(
            events.RecordingEnded,
            file=self.file,
            seconds=self.seconds,
            lost=self.left_out,
            error=error,
        )
        outcome = CommandError(error) if error else Reply(f"recorded {self.seconds:.1f} s to {self.file}")
        self.begun.tell(outcome)
        self.finished.tell(outcome)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Recordings:
    """Of one conference: one at a time. With `record.auto` one begins when somebody comes; each ends when all have left."""

    def __init__(self, conference: Conference, recorder: Recorder | None) -> None:
        self._conference = conference
        self._recorder = recorder
        self._automatic = conference.profile.record.auto
        self.current: Recording | None = None

    @property
    def status(self) -> str:
        """The file that is being written, or empty."""
        if self.current is None:
            return ""
        return f"{self.current.file} (paused)" if self.current.paused else self.current.file

    def start(self, name: str = "", by: str = "") -> Recording:
        """Raises CommandError."""
        if self._recorder is None:
            raise CommandError("nothing is recorded here; the configuration must name a folder (recording.folder)")
        if self.current is not None:
            raise CommandError(f"{self._conference.name} is recorded already, to {self.current.file}")
        if self._conference.ending:
            raise CommandError(f"{self._conference.name} is ending")
        name = name or self._recorder.name(self._conference.name)
        recording = self.current = Recording(self._conference, self._recorder, name, by, self._over)
        self._conference.publish(events.RecordingStarted, file=recording.file, by=by)
        self._conference.tell_all(self._conference.profile.member_recorded)
        recording.begin()
        return recording

    def stop(self) -> Recording:
        """Raises CommandError."""
        current = self.require()
        self._automatic = False
        current.stop()
        return current

    def pause(self) -> None:
        """Raises CommandError."""
        current = self.require()
        if current.paused:
            raise CommandError("the recording is paused already")
        current.pause()
        self._conference.publish(events.RecordingPaused, file=current.file, on=True)
        self._conference.tell_all(self._conference.profile.member_unrecorded)

    def resume(self) -> None:
        """Raises CommandError."""
        current = self.require()
        if not current.paused:
            raise CommandError("the recording is not paused")
        current.resume()
        self._conference.publish(events.RecordingPaused, file=current.file, on=False)
        self._conference.tell_all(self._conference.profile.member_recorded)

    def require(self) -> Recording:
        """Raises CommandError."""
        if self.current is None:
            raise CommandError(f"{self._conference.name} is not recorded")
        return self.current

    def joined(self, member: Member) -> None:
        """Somebody came, and is told that this is recorded."""
        if self.current is not None and not self.current.paused:
            member.announce("recorded", "recorded")
        elif self.current is None and self._automatic and self._recorder is not None:
            self.start()

    def left(self) -> None:
        """Somebody leaves: whose voice it was is known for a moment more."""
        if self.current is not None:
            self.current.collect()

    def empty(self) -> None:
        """All have left."""
        if self.current is not None:
            self.current.stop()
        self._automatic = self._conference.profile.record.auto

    def _over(self, recording: Recording) -> None:
        if self.current is recording:
            self.current = None
            if not (self._conference.ending or self._conference.empty):
                self._conference.tell_all(self._conference.profile.member_unrecorded)
