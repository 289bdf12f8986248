"""Members in real media: the engine's tick drives prompts, music and keys; only the network is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from conference_world import DTMF
from media_world import VirtualPorts
from twisted.internet.task import Clock

from xconf.conference import events
from xconf.conference.controls import build
from xconf.conference.dispatch import Result, dispatch, load_table
from xconf.conference.library import Aside, Library, at_once
from xconf.conference.member import Member
from xconf.conference.profile import resolve
from xconf.conference.registry import Conferences
from xconf.media.codecs import PCMU
from xconf.media.engine import Engine
from xconf.media.leg import Leg, LegMedia
from xconf.media.plane import SILENCE
from xconf.media.sounds import Sounds

SOUNDS = Path(__file__).parents[1] / "sounds"
TICK = 0.02


class Caller:
    """A call on a real leg. frames: what it heard at each tick."""

    def __init__(self, node: Node, number: int, conference: str, profile: str) -> None:
        room = node.conferences.find_or_create(conference, profile)
        self.call_id, self.caller = f"call-{number}", f"<{number}>"
        self.ended = ""
        self.frames: list[np.ndarray] = []
        self.leg: Leg = node.engine.create_leg(room.mix, ("127.0.0.1", 9 + 2 * number), "127.0.0.1")
        self.leg.set_media(
            LegMedia(PCMU, 0, 0, 101, ("127.0.0.1", 9 + 2 * number), ("127.0.0.1", 10 + 2 * number)),
            host="127.0.0.1",
            addressed=True,
        )
        self.member: Member = room.join(self, {"speaker": True})

    def hangup(self, reason: str) -> None:
        if not self.ended:
            self.ended = reason
            self.leg.close()

    def hang_up(self) -> None:
        """The caller does."""
        self.ended = "hung up"
        self.member.leave("hung up")
        self.leg.close()

    @property
    def hears(self) -> str:
        """What kind of source its packets are made of."""
        source = self.leg.source()
        if source == SILENCE:
            return "silence"
        return "mix" if self.leg.mix is not None and source == self.leg.mix.row else "sound"

    def heard(self, seconds: float) -> np.ndarray:
        """What it heard last."""
        return np.concatenate(self.frames[-round(seconds / TICK) :])


class Node:
    """profile: keys of the profile `default`."""

    def __init__(self, profile: Mapping[str, Any], sounds: Path = SOUNDS, aside: Aside = at_once) -> None:
        self.clock = Clock()
        self.engine = Engine(VirtualPorts("127.0.0.1", 21000, 21099), 16, np.random.default_rng(1))
        self.table = load_table([DTMF])
        self.profiles = resolve({"default": dict(profile)})
        self.sounds = Sounds(sounds)
        library = Library(self.sounds, aside)
        default = self.profiles["default"]
        for spec in default.sounds().values():
            self.sounds.prepare(library.locate(spec, default), default.sample_rate)
        self.conferences = Conferences(
            self.clock,  # type: ignore[arg-type]
            self.engine,
            library,
            self.profiles,
            build({}, self.table),
            self.table,
        )
        self.events: list[events.Event] = []
        self.conferences.events.subscribe(self.events.append)
        self.callers: list[Caller] = []

    def call(self, conference: str = "3000", profile: str = "default") -> Caller:
        self.callers.append(Caller(self, 1 + len(self.callers), conference, profile))
        return self.callers[-1]

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)
            self.engine.tick(0, 1e9 + self.clock.seconds())
            self.engine.ports.settle()
            for caller in self.callers:
                if not caller.leg.closed:
                    caller.frames.append(caller.leg.plane.pcm[caller.leg.source()].copy())
            self.engine.deliver()

    def until(self, caller: Caller, hears: str, seconds: float) -> None:
        """Wait until it hears that; fails when that takes longer."""
        for _ in range(round(seconds / TICK)):
            if caller.hears == hears:
                return
            self.run(TICK)
        raise AssertionError(f"still hears {caller.hears}")

    def do(self, line: str) -> Result:
        return dispatch(self.conferences, line)

    def did(self, line: str) -> str:
        result = self.do(line)
        assert result.ok, result.text
        return result.text

    def close(self) -> None:
        """All calls end, and nothing is left."""
        self.conferences.shutdown()
        self.run(0.1)
        self.engine.close()
        assert self.clock.getDelayedCalls() == []
        assert not any(self.engine.sizes().values()), self.engine.sizes()
        assert not any(self.conferences.sizes().values()), self.conferences.sizes()
        assert self.sounds.streams == 0
