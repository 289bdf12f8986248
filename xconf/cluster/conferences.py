"""The conferences of this node and their like on others: sound out, one stream for each node in."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xconf.cluster.frame import FrameError
from xconf.cluster.pace import Metronome
from xconf.cluster.sound import Coding, SoundFrame, conference_id, parse_sound, samples_of, split
from xconf.cluster.streams import Stream
from xconf.media.resample import Resamplers, with_channels

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.int16]

LAST_WORDS = 3  # times that it is said that there is no more
MOST_STREAMS = 4096
KEPT_FOR = 1500  # ticks for which a stream that is silent is kept: what is known of the way to it is of use

Out = Callable[[bytes], None]


class Decoder(Protocol):
    """Of what is not L16: one for each stream."""

    def decode(self, tick: int, payload: bytes) -> list[tuple[int, Samples]]:
        """(tick, frame) of a payload, and of those lost before it that it tells something of."""


class Coder(Protocol):
    """Writes the sound of one conference other than as L16."""

    def encode(self, frame: Samples) -> bytes: ...


class Codecs(Protocol):
    """Makes both. None: L16 is all that is sent, or understood."""

    def coder(self, rate: int, channels: int) -> Coder | None: ...
    def decoder(self, rate: int, channels: int) -> Decoder | None: ...


class _Source:
    """A node's stream in a conference of another rate or number of channels, perhaps."""

    def __init__(self, frame: SoundFrame, rate: int, channels: int, metronome: Metronome, codecs: Codecs) -> None:
        self.form = frame.coding, frame.rate, frame.channels
        self.stream = Stream(frame.rate, frame.channels, metronome)
        self.silent = 0
        self._decoder = codecs.decoder(frame.rate, frame.channels) if frame.coding == Coding.OPUS else None
        self._channels = channels
        self._resampler = Resamplers(frame.rate, rate, 1, frame.channels)

    def put(self, frame: SoundFrame, now: float) -> None:
        if frame.coding == Coding.L16:
            self.stream.put(frame.tick, samples_of(frame.payload), frame.part, frame.parts, now)
        elif self._decoder is not None:
            for tick, samples in self._decoder.decode(frame.tick, frame.payload):
                self.stream.put(tick, samples, 0, 1, now)

    def read(self) -> Samples | None:
        frame = self.stream.read()
        if frame is None:
            self.silent += 1
            return None
        self.silent = 0
        resampled = self._resampler.run(np.zeros(1, np.int64), frame[None])
        made: Samples = with_channels(resampled, self.stream.channels, self._channels)[0]
        return made


class ConferenceLink:
    """One conference's link (see `xconf.media.link`). Made by `Conferences.open`; `close` it when the conference ends."""

    def __init__(self, owner: Conferences, name: str, rate: int, channels: int) -> None:
        self.name = name
        self.id = conference_id(name)
        self.rate, self.channels = rate, channels
        self.sources: dict[str, _Source] = {}
        self._owner = owner
        self._coder = owner.codecs.coder(rate, channels)
        self._words = 0  # times yet that it is said that there is no more

    def send(self, tick: int, frame: Samples | None) -> None:
        if not self._owner.heard:
            self._words = 0
        elif frame is not None:
            self._words = LAST_WORDS
            self._say(tick, frame)
        elif self._words:
            ended = tick - (LAST_WORDS - self._words)
            self._words -= 1
            self._owner.out(SoundFrame(self.id, Coding.NOTHING, self.channels, self.rate, ended).encode())

    def _say(self, tick: int, frame: Samples) -> None:
        if self._coder is not None:
            payload = self._coder.encode(frame)
            self._owner.out(SoundFrame(self.id, Coding.OPUS, self.channels, self.rate, tick, payload).encode())
            return
        parts = split(frame)
        for part, payload in enumerate(parts):
            sound = SoundFrame(self.id, Coding.L16, self.channels, self.rate, tick, payload, part, len(parts))
            self._owner.out(sound.encode())

    def receive(self, tick: int) -> npt.NDArray[Any] | None:
        """The sum of all nodes' streams. A stream that fails begins anew."""
        self._owner.beat(tick)
        total: npt.NDArray[Any] | None = None
        for node, source in tuple(self.sources.items()):
            try:
                frame = source.read()
            except Exception:
                self._owner.failed(self, node)
                continue
            if frame is not None:
                total = frame if total is None else total + frame.astype(np.int32)
            elif source.silent > KEPT_FOR:
                self._owner.drop(self, node)
        return total

    def close(self) -> None:
        """Nothing is sent or heard any more; the others are told that there is no more."""
        self._owner.close(self)


class Conferences:
    """All of this node. out: sends a body of kind SOUND to the other nodes; seconds: the clock of `now`.

    heard: whether there is any other node; if not, nothing is sent.
    """

    def __init__(self, out: Out, seconds: Callable[[], float], codecs: Codecs) -> None:
        self.out = out
        self.codecs = codecs
        self.heard = False
        self.counts: Counter[str] = Counter()  # of what went wrong
        self._gone: Counter[str] = Counter()  # of streams that are no more
        self.metronome = Metronome()
        self.streams = 0
        self._seconds = seconds
        self._links: dict[bytes, ConferenceLink] = {}

    def open(self, name: str, rate: int, channels: int) -> ConferenceLink:
        """A conference begins here."""
        link = ConferenceLink(self, name, rate, channels)
        self._links[link.id] = link
        return link

    def close(self, link: ConferenceLink) -> None:
        if self._links.get(link.id) is link:
            del self._links[link.id]
        for node in tuple(link.sources):
            self.drop(link, node)

    def sizes(self) -> dict[str, int]:
        """What is held; all zero without conferences."""
        return {"conferences": len(self._links), "streams": self.streams}

    def counters(self) -> dict[str, int]:
        """What was counted since the start, in the streams that there are and in those that were."""
        total = self.counts + self._gone
        for link in self._links.values():
            for source in link.sources.values():
                total.update(source.stream.counts())
        return dict(total)

    def beat(self, tick: int) -> None:
        self.metronome.beat(tick, self._seconds())

    def sound(self, node: str, body: bytes, now: float) -> None:
        """A body of kind SOUND of another node."""
        try:
            frame = parse_sound(body)
        except FrameError as error:
            self.counts[error.reason] += 1
            return
        link = self._links.get(frame.conference)
        if link is None or self.metronome.tick < 0:
            return  # it has nobody here
        try:
            self._put(link, node, frame, now)
        except Exception:
            self.failed(link, node)

    def _put(self, link: ConferenceLink, node: str, frame: SoundFrame, now: float) -> None:
        source = link.sources.get(node)
        if frame.coding == Coding.NOTHING:
            if source is not None:
                source.stream.end(frame.tick)
            return
        form = frame.coding, frame.rate, frame.channels
        if source is None or source.form != form:
            if source is None and self.streams >= MOST_STREAMS:
                self.counts["streams_refused"] += 1
                return
            if source is None:
                self.streams += 1
            source = _Source(frame, link.rate, link.channels, self.metronome, self.codecs)
            link.sources[node] = source
        source.put(frame, now)

    def drop(self, link: ConferenceLink, node: str) -> None:
        """That node is not heard there any more."""
        source = link.sources.pop(node, None)
        if source is not None:
            self.streams -= 1
            self._gone.update(source.stream.counts())

    def failed(self, link: ConferenceLink, node: str) -> None:
        """A fault in one stream. It is logged now and then, and the stream begins anew."""
        if self.counts["faults"] % 500 == 0:
            log.exception("a fault in the sound of %s from node %s", link.name, node)
        self.counts["faults"] += 1
        self.drop(link, node)

    def restarted(self, node: str) -> None:
        """The node's time line begins anew."""
        for link in self._links.values():
            self.drop(link, node)
