"""A node without network and without sound: fakes that play in virtual time, and notes of what each caller hears."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock

from xconf.conference import events
from xconf.conference.controls import build, check_references
from xconf.conference.dispatch import Result, dispatch, load_table
from xconf.conference.library import Library
from xconf.conference.member import Member
from xconf.conference.profile import resolve
from xconf.conference.registry import Conferences
from xconf.media.sources import Fader, SoundError

DTMF = Path(__file__).parents[1] / "dtmf"
TONE = 0.15
PROMPT = 2.0


class FakeSound:
    """Knows how much of it is left."""

    def __init__(self, spec: str, seconds: float) -> None:
        self.spec = spec
        self.seconds = self.left = seconds
        self.error = ""
        self.closed = False
        self.player: FakePlayer | None = None

    @property
    def position(self) -> float:
        return self.seconds - self.left + (self.player.elapsed if self.player else 0.0)

    def seek(self, seconds: float) -> None:
        player = self.player
        if player:
            player.stop()
        self.left = max(0.0, self.seconds - seconds)
        if player:
            player.start()

    def close(self) -> None:
        assert not self.closed
        assert self.player is None, "closed while it is heard"
        self.closed = True


class FakePlayer:
    """Plays a sound in virtual time."""

    def __init__(self, clock: Clock, sound: FakeSound | Fader, done: Callable[[], None] | None) -> None:
        self.fader = sound if isinstance(sound, Fader) else None
        self.sound: FakeSound = sound.sound if isinstance(sound, Fader) else sound  # type: ignore[assignment]
        self.clock, self.done = clock, done
        self.start()

    def start(self) -> None:
        assert not self.sound.closed
        self.began = self.clock.seconds()
        self.timer = self.clock.callLater(self.sound.left, self.over)
        self.on = True
        self.sound.player = self

    @property
    def elapsed(self) -> float:
        return self.clock.seconds() - self.began

    @property
    def volume(self) -> int:
        return self.fader.step if self.fader else 0

    def over(self) -> None:
        self.on = False
        self.sound.player = None
        if self.done:
            self.done()

    def stop(self) -> None:
        if self.on:
            self.on = False
            self.sound.left -= self.elapsed
            self.sound.player = None
            self.timer.cancel()


class FakeMix:
    def __init__(self, media: FakeMedia, rate: int) -> None:
        self.media, self.rate, self.channels = media, rate, 1
        self.is_aside = False
        self.comfort_noise = 0
        self.keep = 0.0
        self.players: list[FakePlayer] = []
        self.legs: set[FakeLeg] = set()
        self.closed, self.linked = False, True
        self.played: list[str] = []

    def play(self, sound: FakeSound, done: Callable[[], None] | None = None, prompt: bool = False) -> FakePlayer:
        assert not self.closed
        player = FakePlayer(self.media.clock, sound, done)
        self.played.append(player.sound.spec)
        self.players.append(player)
        return player

    def broadcast(self, sound: FakeSound, done: Callable[[], None] | None = None) -> FakePlayer:
        player = FakePlayer(self.media.clock, sound, done)
        self.media.broadcasts.append(player)
        return player

    def aside(self) -> FakeMix:
        assert not self.closed
        aside = self.media.create_mix(self.rate, self.channels)
        aside.is_aside = True
        return aside

    def tap(self) -> SimpleNamespace:
        """There is nothing to hear."""
        assert not self.closed
        return SimpleNamespace(length=0, take=list)

    @property
    def sounds(self) -> list[str]:
        return [player.sound.spec for player in self.players if player.on]

    def unlink(self) -> None:
        self.linked = False

    def close(self) -> None:
        assert not self.closed
        assert not self.legs
        for player in self.players:
            player.stop()
        self.closed = True
        self.media.mixes.remove(self)


class FakeMedia:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.mixes: list[FakeMix] = []
        self.broadcasts: list[FakePlayer] = []

    def create_mix(self, rate: int, channels: int) -> FakeMix:
        self.mixes.append(FakeMix(self, rate))
        return self.mixes[-1]


class FakeLeg:
    """`hears` is what its caller hears now; `heard` all prompts and playbacks that began."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.on_digit: Callable[[str], None] | None = None
        self.on_talk: Callable[[bool], None] | None = None
        self.media = None
        self.speaker = self.mute = self.deaf = False
        self.vad_level = self.talk_gain = self.listen_gain = 0
        self.agc: Any = None
        self.own_noise: int | None = None
        self.mix: FakeMix | None = None
        self.player: FakePlayer | None = None
        self.broadcast: FakePlayer | None = None
        self.heard: list[str] = []
        self.closed = False
        self.statistics = SimpleNamespace(packets=0, lost=0, late=0, jitter_ms=0.0, lost_there=None, round_trip_ms=None)

    def attach(self, mix: FakeMix | None) -> None:
        assert not self.closed
        if self.mix is not None:
            self.mix.legs.discard(self)
        self.mix = mix
        if mix is not None:
            assert not mix.closed
            mix.legs.add(self)

    def play(self, sound: FakeSound, done: Callable[[], None] | None = None) -> FakePlayer:
        assert not self.closed
        self.stop()
        player = FakePlayer(self.clock, sound, lambda: self._over(player, done))
        self.heard.append(player.sound.spec)
        self.player = player
        return player

    def _over(self, player: FakePlayer, done: Callable[[], None] | None) -> None:
        if self.player is player:
            self.player = None
        if done:
            done()

    def stop(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None

    def tune(self, broadcast: FakePlayer | None) -> None:
        assert not self.closed
        assert broadcast is None or broadcast.on
        self.broadcast = broadcast

    @property
    def hears(self) -> str:
        if self.player is not None:
            return self.player.sound.spec
        if self.deaf:
            return "silence"
        if self.broadcast is not None:
            assert self.broadcast.on, "tuned to music that was stopped"
            return self.broadcast.sound.spec
        return "mix" if self.mix is not None else "silence"

    @property
    def is_heard(self) -> bool:
        return self.speaker and not self.mute and self.mix is not None and not self.mix.is_aside

    def close(self) -> None:
        self.stop()
        self.attach(None)
        self.closed = True


class FakeCall:
    """A caller. It hangs up with `hang_up`; `ended` is why we did."""

    def __init__(self, world: World, caller: str) -> None:
        world.calls += 1
        self.call_id = f"call-{world.calls}"
        self.caller = caller
        self.leg = FakeLeg(world.clock)
        self.member: Member | None = None
        self.ended: str | None = None
        self.referred = ""  # whom it was told to call, and what hears what came of it
        self.tell_of_referral: Callable[[str], None] = lambda error: None

    def refer(self, target: str, told: Callable[[str], None]) -> None:
        self.referred, self.tell_of_referral = target, told

    def hangup(self, reason: str) -> None:
        if self.ended is None:
            self.ended = str(reason)
            if self.member is not None:
                self.member.leave("hung up")
            self.leg.close()

    def hang_up(self) -> None:
        """The caller does: the session ends, the member is told."""
        assert self.member is not None
        self.ended = "hung up"
        self.member.leave("hung up")
        self.leg.close()

    def press(self, digits: str) -> None:
        for digit in digits:
            if self.leg.on_digit is not None:
                self.leg.on_digit(digit)

    @property
    def hears(self) -> str:
        return self.leg.hears

    @property
    def heard(self) -> list[str]:
        return self.leg.heard


class FakeSounds:
    """Every `.wav` is there, and takes two seconds, but those that begin with `no-`."""

    def find(self, spec: str, rate: int) -> Path | None:
        return None if Path(spec).name.startswith("no-") else Path(spec)

    def load(self, spec: str, rate: int) -> FakeSound:
        return self.open(spec, rate)

    def prepare(self, spec: str, rate: int) -> None:
        self.open(spec, rate)

    def open(self, spec: str, rate: int, *, loop: bool = False) -> FakeSound:
        if Path(spec).name.startswith("no-") or spec.startswith("say:"):
            raise SoundError(f"sound {spec!r} is not there")
        if "broken" in spec:
            raise SoundError(f"sound {spec!r} cannot be read")
        return FakeSound(spec, 1e6 if loop else TONE if "://" in spec else PROMPT)


class FakeLibrary(Library):
    """Decodes when `decode` is called, as a thread does some time later."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], None]] = []
        self.opened: list[FakeSound] = []  # what somebody named
        super().__init__(FakeSounds())  # type: ignore[arg-type]
        self.slow = False

    def fetch(self, spec: str, profile: Any, then: Callable[[Any], None]) -> None:
        if self._sounds.find(spec, profile.sample_rate) is None:
            raise SoundError(f"no sound {spec!r}")

        def decoded() -> None:
            try:
                sound = self._sounds.open(spec, profile.sample_rate)
            except SoundError as error:
                then(error)
            else:
                self.opened.append(sound)
                then(sound)

        if self.slow:
            self.pending.append(decoded)
        else:
            decoded()

    def fetch_all(self, choices: Any, profile: Any, then: Callable[[Any], None]) -> None:
        def load() -> None:
            then([self._first(specs, profile) for specs in choices])

        if self.slow:
            self.pending.append(load)
        else:
            load()

    def decode(self) -> None:
        for decoded in self.pending:
            decoded()
        self.pending.clear()


class World:
    """A node with its profiles; `call` dials in."""

    def __init__(
        self, profile: Mapping[str, Any] | None = None, controls: Mapping[str, Any] | None = None, limit: int = 1000
    ) -> None:
        self.clock = Clock()
        self.calls = 0
        self.media = FakeMedia(self.clock)
        self.library = FakeLibrary()
        self.table = load_table([DTMF])
        self.configure(profile, controls)
        self.node = Conferences(
            self.clock,  # type: ignore[arg-type]
            self.media,  # type: ignore[arg-type]
            self.library,
            self.profiles,
            self.controls,
            self.table,
            limit,
        )
        self.events: list[events.Event] = []
        self.node.events.subscribe(self.events.append)

    def configure(self, profile: Mapping[str, Any] | None, controls: Mapping[str, Any] | None = None) -> None:
        self.profiles = resolve(
            {
                "default": dict(profile or {}),
                "pin": {"inherit": "default", "pin_auth": True, "admin_pin": "123", "user_pin": "456"},
            }
        )
        self.controls = build(dict(controls or {}), self.table)
        check_references(self.profiles, self.controls)

    def call(
        self, conference: str = "3000", flags: str = "+speaker", caller: str = "", profile: str = "default"
    ) -> FakeCall:
        call = self.caller(caller)
        on = {word[1:]: word[0] == "+" for word in flags.split()}
        member = self.node.find_or_create(conference, profile).join(call, on)  # type: ignore[arg-type]
        call.member = member
        return call

    def caller(self, caller: str = "") -> FakeCall:
        """Somebody whose call is not in a conference yet."""
        return FakeCall(self, caller or f"Caller {self.calls + 1} <{1001 + self.calls}>")

    def settled(self, *arguments: Any, **keywords: Any) -> FakeCall:
        """A call whose welcome is over."""
        call = self.call(*arguments, **keywords)
        self.wait(6)
        return call

    def wait(self, seconds: float) -> None:
        """Time goes by, in steps of a tick."""
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)

    def do(self, line: str) -> Result:
        return dispatch(self.node, line)

    def did(self, line: str) -> str:
        """The text of a command that worked."""
        result = self.do(line)
        assert result.ok, result.text
        return result.text

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def assert_left(self, *calls: FakeCall) -> None:
        """They are gone, and so is all that was theirs."""
        for call in calls:
            assert call.leg.closed
            assert (call.leg.on_digit, call.leg.on_talk) == (None, None)
        self.wait(60)
        assert self.clock.getDelayedCalls() == []
        assert self.node.sizes()["calls"] == 0

    def assert_nothing_left(self) -> None:
        assert "failed" not in [event.error for event in self.of(events.CommandRun)]
        assert self.node.sizes() == dict.fromkeys(self.node.sizes(), 0)
        assert self.media.mixes == []
        assert not any(player.on for player in self.media.broadcasts), "a broadcast was left on"
        assert self.clock.getDelayedCalls() == []
