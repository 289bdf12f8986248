"""Who is where: what this node tells the others of its conferences, and what they told, for the conferences to go by.

`wake` is to be called every `LOOK_EVERY` seconds, `said` and `appeared` with what comes from the tunnel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from xconf.cluster.nodes import LOOK_EVERY, SOONEST, STATUS_EVERY, Came, Changed, Effect, NodeTable, Went
from xconf.cluster.set_keys import SetKeys
from xconf.cluster.status import Load, Part, Reporter, State
from xconf.conference.conference import Conference
from xconf.conference.elsewhere import Share
from xconf.conference.errors import CommandError
from xconf.conference.events import ConferenceEnded, Event, FlagChanged, KeyChanged, NodeChanged
from xconf.conference.interfaces import Clock, Timer
from xconf.conference.registry import Conferences

__all__ = ["LOOK_EVERY", "Census"]

FLAGS = ("locked", "alone-snd", "vad", "cng", "agc")
"""Flags of a conference that are the same on all nodes: bits of a status, from the lowest on."""

MATTER = (
    "conference-started",
    "member-joined",
    "member-left",
    "member-flag-changed",
    "playback-started",
    "playback-ended",
)


class Census:
    """One node's. send: a status to all others; load: how busy this node is; gone: a node is not there any more.

    It is what `Conferences.elsewhere` wants.
    """

    def __init__(
        self,
        node: str,
        conferences: Conferences,
        send: Callable[[bytes], None],
        load: Callable[[], Load],
        gone: Callable[[str], None] = lambda node: None,
    ) -> None:
        self.node = node
        self.table = NodeTable()
        self._conferences = conferences
        self._clock: Clock = conferences.clock
        self._send = send
        self._load = load
        self._gone = gone
        self._reporter = Reporter()
        self.set_keys = SetKeys()
        self.behind: Callable[[str], None] = lambda conference: None  # told that others have set more keys in it
        self._revisions: dict[str, int] = {}  # of the flags of conferences that are here
        self._dirty: dict[str, None] = {}
        self._newcomers = False  # somebody is there who was told nothing yet
        self._timer: Timer | None = None
        self._news: dict[str, None] = {}  # conferences of which others have told something
        self._reading: Timer | None = None
        self._told = -STATUS_EVERY
        conferences.elsewhere = self
        self._end = conferences.events.subscribe(self._happened)

    # What the conferences ask (see `Elsewhere`)

    def shares(self, conference: str) -> Sequence[Share]:
        now = self._clock.seconds()
        return [
            Share(node.name, part.members, part.speakers, now - node.heard, State.OPEN in part.state)
            for node, part in self.table.shares(conference)
        ]

    def members(self, conference: str) -> int:
        return self.table.members(conference)

    def administered(self, conference: str) -> bool:
        return self.table.administered(conference, self._clock.seconds())

    def begun(self, conference: str) -> None:
        self._take_over(conference)

    def ahead(self, conference: str) -> str | None:
        """The node on which keys were set in it most often, if that is more often than here."""
        shares = self.table.shares(conference)
        sets, node = max(((part.sets, node.name) for node, part in shares), default=(0, ""))
        return node if sets > self.set_keys.count(conference) else None

    def news(self, conference: str) -> None:
        """Something of it is otherwise here now, and to be told."""
        if self._conferences.get(conference) is not None:
            self._changed(conference)

    def flush(self) -> int:
        count, effects = self.table.flush()
        self._perform(effects)
        return count

    # What the tunnel brings

    def appeared(self, node: str, epoch: int) -> None:
        """The tunnel has proved that a node is there."""
        self._perform(self.table.appeared(node, epoch, self._clock.seconds()))

    def said(self, node: str, body: bytes) -> None:
        """The status of another node."""
        self._perform(self.table.received(node, body, self._clock.seconds()))

    def wake(self, heard: Mapping[str, float]) -> None:
        """Look who has fallen silent, and tell of ourselves when it is time. heard: when each node was heard last."""
        now = self._clock.seconds()
        for name, at in heard.items():
            self.table.heard(name, at)
        self._perform(self.table.wake(now))
        if now - self._told >= STATUS_EVERY - LOOK_EVERY / 2:
            self.tell()

    # What is told

    def tell(self) -> None:
        """All there is."""
        self._told = self._clock.seconds()
        self._put(self._reporter.complete(self._load(), map(self._part, self._conferences)))

    def stop(self) -> None:
        """Goodbye."""
        self._end()
        for timer in (self._timer, self._reading):
            if timer is not None:
                timer.cancel()
        self._timer = self._reading = None
        self._put(self._reporter.complete(self._load(), (), leaving=True))

    def _put(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self._send(body)

    def _part(self, conference: Conference) -> Part:
        members = conference.members.values()
        speakers = admins = 0
        for member in members:
            speakers += member.settings.speaker
            admins += member.settings.admin
        state = State.ADMIN if admins else State(0)
        if members and not conference.moderation.waits:
            state |= State.OPEN
        if conference.playing:
            state |= State.PLAYING
        revision, settings = self._revision(conference), settings_of(conference)
        return Part(conference.name, len(members), speakers, state, revision, settings, self._sets(conference))

    def _revision(self, conference: Conference) -> int:
        """Where nobody is, nobody has a say."""
        return self._revisions.get(conference.name, 0) if conference.members else 0

    def _sets(self, conference: Conference) -> int:
        return self.set_keys.count(conference.name) if conference.members else 0

    def _happened(self, event: Event) -> None:
        if event.kind in MATTER:
            self._changed(event.conference)
        elif isinstance(event, FlagChanged) and event.flag in FLAGS:
            self._revisions[event.conference] = self._revisions.get(event.conference, 0) + 1
            self._changed(event.conference)
        elif isinstance(event, KeyChanged):
            self.set_keys.noted(event.conference, event.key)
            self._changed(event.conference)
        elif isinstance(event, ConferenceEnded) and self._conferences.get(event.conference) is None:
            self._revisions.pop(event.conference, None)
            self.set_keys.forget(event.conference)
            self._changed(event.conference)

    def _changed(self, conference: str) -> None:
        self._dirty[conference] = None
        self._tell_soon()

    def _tell_soon(self) -> None:
        """The first news is told at once, when nothing else happens; what follows together, soon."""
        if self._timer is None:
            self._timer = self._clock.callLater(0, self._tell_news)

    def _tell_news(self) -> None:
        self._timer = None
        newcomers, self._newcomers = self._newcomers, False
        dirty, self._dirty = self._dirty, {}
        if newcomers:
            self.tell()
        elif dirty:
            self._put(self._reporter.changes(self._load(), map(self._part_named, dirty)))
        if newcomers or dirty:
            self._timer = self._clock.callLater(SOONEST, self._tell_news)

    def _part_named(self, name: str) -> Part:
        conference = self._conferences.get(name)
        return Part(name, 0, 0, State.OVER) if conference is None else self._part(conference)

    # What the others told

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Changed):
                self._news.update(dict.fromkeys(effect.conferences))
            else:
                self._come_or_gone(effect)

        if self._news and self._reading is None:
            self._reading = self._clock.callLater(0, self._read_news)

    def _read_news(self) -> None:
        """The first is taken at once; of a rush on hundreds of nodes what has changed meanwhile goes together."""
        self._reading = None
        news, self._news = self._news, {}
        for name in news:
            self._take_over(name)
        if news:
            self._reading = self._clock.callLater(SOONEST, self._read_news)

    def _come_or_gone(self, effect: Came | Went) -> None:
        state = effect.how if isinstance(effect, Went) else "returned" if effect.before else "joined"
        self._conferences.events.publish(NodeChanged, conference="", node=effect.node, state=state)
        if isinstance(effect, Went):
            self._gone(effect.node)
        else:
            self._newcomers = (
                True  # who is new shall not wait for that; of hundreds that start at once all get the same
            )
            self._tell_soon()

    def _take_over(self, name: str) -> None:
        """What other nodes have of a conference that is here, too."""
        conference = self._conferences.get(name)
        if conference is None:
            return
        parts = [part for _, part in self.table.shares(name)]
        newest = max(((part.revision, part.settings) for part in parts), default=(0, 0))
        if newest[0] and newest > (self._revision(conference), settings_of(conference)):
            for bit, flag in enumerate(FLAGS):
                with contextlib.suppress(CommandError):
                    conference.set_flag(flag, bool(newest[1] >> bit & 1))
            self._revisions[name] = newest[0]
        if max((part.sets for part in parts), default=0) > self.set_keys.count(name):
            self.behind(name)
        conference.elsewhere_changed()


def settings_of(conference: Conference) -> int:
    """Its flags, as bits."""
    on = conference.flags
    return sum(1 << bit for bit, flag in enumerate(FLAGS) if flag in on)
