"""A leg: the sound of one call, as its member and its dialog see it. Its packets live in the engine's tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.media.codecs import Codec
from xconf.media.levels import STEPS, step_gain
from xconf.media.plane import SILENCE, Done, Plane, Player
from xconf.media.sources import Sound
from xconf.rtp.ports import MediaPort
from xconf.rtp.telephone_event import EventReceiver

if TYPE_CHECKING:
    from xconf.media.engine import Engine
    from xconf.media.mix import Mix

Address = tuple[str, int]
SAME_PRESS = 50  # ticks


@dataclass(frozen=True, slots=True)
class Agc:
    """Automatic gain: target and low mean level, step in percent, margin (mean level)."""

    level: int
    low_level: int
    factor: int
    margin: int


@dataclass(frozen=True, slots=True)
class LegMedia:
    """What offer and answer agreed on. Payload types: to send with, and to expect; None: no telephone-events.

    ptime: ms of sound in each packet that we send, one of PTIMES.
    """

    codec: Codec
    payload_type: int
    receive_payload_type: int
    event_payload_type: int | None
    remote: Address
    remote_rtcp: Address
    sends: bool = True  # we send to the phone
    receives: bool = True  # the phone sends to us, and may be heard
    ptime: int = 20


@dataclass(frozen=True, slots=True)
class LegStatistics:
    """Packets received and lost, interarrival jitter and sound buffered (ms), frames concealed; seconds since heard.

    lost_there: share of our packets that the phone misses, round_trip_ms: there and back; None: it did not say so (yet).
    """

    packets: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    delay_ms: float = 0.0
    concealed: int = 0
    late: int = 0
    silent_for: float | None = None  # None: never heard
    lost_there: float | None = None
    round_trip_ms: float | None = None

    def heard_before(self, seconds: float) -> bool:
        """No packet, RTP or RTCP, within so many seconds."""
        return self.silent_for is None or self.silent_for >= seconds


class Leg:
    """Made by `Engine.create_leg`; all is freed by `close`. Nothing here is done at a tick."""

    def __init__(self, engine: Engine, row: int, port: MediaPort, timeline: int, plane: Plane) -> None:
        self.row = row
        self.port = port
        self.timeline = timeline
        self.plane = plane
        self.media: LegMedia | None = None
        self.latched: Address | None = None  # where its packets come from and go to
        self.claimed: Address | None = None  # where it said that it expects media,
        self.host = ""  # and from where it said so
        self.closed = False
        self.on_digit: Callable[[str], None] | None = None
        self.on_talk: Callable[[bool], None] | None = None
        self.events = EventReceiver()
        self.mix: Mix | None = None
        self.voice: int | None = None
        self._engine = engine
        self._pressed: dict[str, tuple[str, int]] = {}  # digit -> the way that it came last, its tick
        self._minus: int | None = None
        self._player: Player | None = None
        self._broadcast: Player | None = None
        self._speaker = self._mute = self._deaf = False
        self._vad_level = self._talk_gain = self._listen_gain = 0
        self._agc: Agc | None = None
        self._own_noise: int | None = None

    @property
    def local_port(self) -> int:
        """The number of its RTP port."""
        return self.port.number

    @property
    def speaker(self) -> bool:
        """May be heard: it has a voice, that is a jitter ring and a mix of its own."""
        return self._speaker

    @speaker.setter
    def speaker(self, on: bool) -> None:
        self._speaker = on
        self._update_voice()

    @property
    def mute(self) -> bool:
        return self._mute

    @mute.setter
    def mute(self, on: bool) -> None:
        self._mute = on
        self._update_voice()

    @property
    def deaf(self) -> bool:
        """Hears silence in place of the conference; what is played to it is heard all the same."""
        return self._deaf

    @deaf.setter
    def deaf(self, on: bool) -> None:
        self._deaf = on
        self._refresh()

    @property
    def vad_level(self) -> int:
        """Mean absolute sample from which the gate opens; 0: always open."""
        return self._vad_level

    @vad_level.setter
    def vad_level(self, level: int) -> None:
        self._vad_level = level
        self._update_voice()

    @property
    def talk_gain(self) -> int:
        """Volume steps of what it says, -4..4."""
        return self._talk_gain

    @talk_gain.setter
    def talk_gain(self, step: int) -> None:
        self._talk_gain = max(-STEPS, min(STEPS, step))
        self._update_voice()

    @property
    def listen_gain(self) -> int:
        """Volume steps of what it hears, -4..4."""
        return self._listen_gain

    @listen_gain.setter
    def listen_gain(self, step: int) -> None:
        self._listen_gain = max(-STEPS, min(STEPS, step))
        self._refresh()

    @property
    def agc(self) -> Agc | None:
        return self._agc

    @agc.setter
    def agc(self, agc: Agc | None) -> None:
        self._agc = agc
        self._update_voice()

    @property
    def own_noise(self) -> int | None:
        """Mean absolute sample of the comfort noise that it hears; None: that of its conference. All who have noise of their own
        in one conference hear the same.
        """
        return self._own_noise

    @own_noise.setter
    def own_noise(self, level: int | None) -> None:
        self._own_noise = level
        self._refresh()

    @property
    def speaking(self) -> bool:
        """Its gate is open: it is in the mix."""
        return self.voice is not None and bool(self.plane.voices.speaking[self.voice])

    @property
    def statistics(self) -> LegStatistics:
        return self._engine.statistics(self)

    def set_media(self, media: LegMedia, *, host: str, addressed: bool) -> None:
        """What was agreed on, at first or again. host: where packets come from when the address in the session
        description is implausible (`addressed` false).
        """
        if self.closed:
            return
        if self.media is not None and media.codec != self.media.codec:
            self._close_voice()
        self.media = media
        self._engine.place(self, host, addressed)
        self._update_voice()

    def attach(self, mix: Mix | None) -> None:
        """Into a conference, or out of it. A conference of another rate has the leg's codec resampled."""
        if mix is not None and mix.plane is not self.plane:
            self._close_voice()
            self.stop()
            self.tune(None)
            self.plane = mix.plane
        self.mix = mix
        if mix is not None:
            self.timeline = mix.timeline
        self._update_voice()

    def play(self, sound: Sound, done: Done | None = None) -> None:
        """Play to this leg alone, in place of all else, until its end, `stop`, or another `play`.

        `done` is called at its end only.
        """
        self.stop()
        if not self.closed:
            self._player = self.plane.play(sound, None, done)
            self._player.listeners.add(self._refresh)
            self._refresh()

    def stop(self) -> None:
        """End what `play` plays; its `done` is not called."""
        if self._player is not None:
            self._player.stop()
            self._player = None

    def tune(self, broadcast: Player | None) -> None:
        """Hear a broadcast in place of the mix, until it is over."""
        if self._broadcast is not None:
            self._broadcast.listeners.discard(self._refresh)
        self._broadcast = None if self.closed else broadcast
        if self._broadcast is not None:
            self._broadcast.listeners.add(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        """What it hears may be another source now."""
        self._engine.touch(self)

    def source(self) -> int:
        """The row of its plane's `pcm` that it hears."""
        if self._player is not None and self._player.row is not None:
            return self._player.row
        if self._deaf:
            return SILENCE
        if self._broadcast is not None and self._broadcast.row is not None:
            return self._broadcast.row
        if self.mix is None:
            return SILENCE
        if self.speaking and self._minus is not None:
            return self._minus
        return self.mix.row if self._own_noise is None else self.mix.twin(self._own_noise)

    def digit(self, digit: str, way: str = "event") -> None:
        """A key was pressed. Some phones tell it in two ways: what a second way says within a second is the same press."""
        now = self._engine.tick_number
        last_way, tick = self._pressed.get(digit, (way, 0))
        if way != last_way and now - tick < SAME_PRESS:
            return
        self._pressed[digit] = way, now
        if self.on_digit is not None:
            self.on_digit(digit)

    def close(self) -> None:
        """The call is over. Frees the row with the next tick; twice does no harm."""
        if self.closed:
            return
        self.closed = True
        self.on_digit = self.on_talk = None
        self.stop()
        self.tune(None)
        self._close_voice()
        self.mix = None
        self._engine.forget(self)

    def _update_voice(self) -> None:
        if self.closed:
            return
        if self._speaker and self.media is not None and self.mix is not None:
            if self.voice is None:
                minus = self.plane.take()
                self.voice = self._engine.open_voice(self, minus)
                self._minus = minus
            self._set_columns(self.voice)
        else:
            self._close_voice()
        self._refresh()

    def _set_columns(self, voice: int) -> None:
        voices = self.plane.voices
        voices.mix[voice] = self.mix.row if self.mix is not None else -1
        voices.mute[voice] = self._mute or self.media is None or not self.media.receives
        voices.gain[voice] = step_gain(self._talk_gain)
        voices.threshold[voice] = self._vad_level
        agc = self._agc
        voices.agc[:, voice] = (agc.level, agc.low_level, agc.factor, agc.margin) if agc else 0

    def _close_voice(self) -> None:
        if self.voice is not None:
            self._engine.close_voice(self)
            self.voice = None
        if self._minus is not None:
            self.plane.give(self._minus)
            self._minus = None
