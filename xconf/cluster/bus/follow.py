"""What happens on all nodes, for who follows it on one: asked for again and again, told in batches, forgotten when nobody asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xconf.cluster.bus.post import Ask, Told
from xconf.conference.commands import Argument, Command, Reply
from xconf.conference.events import Event, EventsLost
from xconf.conference.interfaces import Clock, Timer
from xconf.conference.stream import Stream

ASK_EVERY = 3.0  # s
LEASE = 10.0  # s for which who asked is told
TELL_EVERY = 0.1  # s
AT_ONCE = 100  # events in a batch: who cannot be told of more than a thousand a second is told how many it missed
MOST_FOLLOWERS = 32
MOST_KEPT = 2000  # events that a slow reader has not read

Send = Callable[[str, Ask | Told], object]
Row = dict[str, Any]


@dataclass(slots=True)
class _Place:
    """In the stream, of a follower on another node. conference: or empty, all."""

    conference: str
    told: int
    until: float


class Teller:
    """Tells followers on other nodes what happens here."""

    def __init__(self, stream: Stream, clock: Clock, send: Send) -> None:
        self._stream, self._clock, self._send = stream, clock, send
        self._places: dict[tuple[str, int], _Place] = {}
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._places)

    def asked(self, sender: str, ask: Ask) -> None:
        """From now on, or still."""
        now = self._clock.seconds()
        place = self._places.get((sender, ask.id))
        if place is not None:
            place.until = now + LEASE
        elif len(self._places) < MOST_FOLLOWERS:
            conference = ask.words[0] if ask.words else ""
            self._places[sender, ask.id] = _Place(conference, self._stream.last, now + LEASE)
            if self._timer is None:
                self._timer = self._clock.callLater(TELL_EVERY, self._tell)

    def _tell(self) -> None:
        now = self._clock.seconds()
        self._places = {key: place for key, place in self._places.items() if place.until > now}
        for (sender, number), place in self._places.items():
            rows = _next(self._stream, place)
            if rows:
                self._send(sender, Told(number, True, "", rows, more=True))
        self._timer = self._clock.callLater(TELL_EVERY, self._tell) if self._places else None


def _next(stream: Stream, place: _Place) -> list[Row]:
    found = stream.after(place.told, AT_ONCE)
    if not found:
        return []
    lost = found[0].sequence - 1 - place.told
    place.told = found[-1].sequence
    told: list[Event] = [event for event in found if place.conference in ("", event.conference)]
    if lost:
        before = found[0]
        told.insert(0, EventsLost(sequence=before.sequence - 1, time=before.time, conference="", count=lost))
    return [event.as_dict() for event in told]


class Feed:
    """What one reader here is told of all nodes: each event with its node. It keeps the latest for a slow reader."""

    def __init__(self, node: str, stream: Stream, conference: str, begin: Callable[[Feed], Callable[[], None]]) -> None:
        self._node = node
        self._stream = stream
        self._conference = conference
        self._begin = begin
        self._rows: deque[Row] = deque()
        self._lost = 0
        self._news: Callable[[], None] | None = None
        self._ends: list[Callable[[], None]] = []

    @property
    def words(self) -> list[str]:
        return [self._conference] if self._conference else []

    def listen(self, news: Callable[[], None]) -> None:
        self._news = news
        self._ends = [self._stream.subscribe(self._happened), self._begin(self)]

    def _happened(self, event: Event) -> None:
        if self._conference in ("", event.conference):
            self.add(self._node, [event.as_dict()])

    def add(self, node: str, rows: list[Row]) -> None:
        """These happened on that node."""
        self._rows.extend({**row, "node": node} for row in rows)
        while len(self._rows) > MOST_KEPT:
            self._rows.popleft()
            self._lost += 1
        if self._news is not None:
            self._news()

    def read(self) -> list[Row]:
        rows = [self._rows.popleft() for _ in range(min(len(self._rows), AT_ONCE))]
        if self._lost and rows:
            lost = EventsLost(sequence=rows[0]["sequence"], time=rows[0]["time"], conference="", count=self._lost)
            rows.insert(0, {**lost.as_dict(), "node": "several"})
            self._lost = 0
        return rows

    def close(self) -> None:
        ends, self._ends = self._ends, []
        for end in ends:
            end()


class Follower:
    """Asks the others on behalf of readers here. nodes: those that are there."""

    def __init__(self, node: str, stream: Stream, clock: Clock, send: Send, nodes: Callable[[], list[str]]) -> None:
        self._node, self._stream, self._clock = node, stream, clock
        self._send, self._nodes = send, nodes
        self._feeds: dict[int, Feed] = {}
        self._last = 0
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._feeds)

    def feed(self, conference: str) -> Feed:
        return Feed(self._node, self._stream, conference, self._join)

    def _join(self, feed: Feed) -> Callable[[], None]:
        self._last += 1
        number = -self._last  # apart from the numbers of questions
        self._feeds[number] = feed
        if self._timer is not None:
            self._timer.cancel()
        self._ask()
        return lambda: self._leave(number)

    def _leave(self, number: int) -> None:
        del self._feeds[number]
        if not self._feeds and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        for node in self._nodes():
            for number, feed in self._feeds.items():
                self._send(node, Ask(number, "follow", feed.words))
        self._timer = self._clock.callLater(ASK_EVERY, self._ask)

    def told(self, sender: str, told: Told) -> None:
        feed = self._feeds.get(told.id)
        if feed is not None and isinstance(told.data, list):
            feed.add(sender, [row for row in told.data if isinstance(row, dict)])


def follow_command(follower: Follower) -> Command:
    """Entry for the table of commands."""

    def follow(_: object, conference: str) -> Reply:
        """Tells what happens from now on, on all nodes, each event with its node; until interrupted."""
        return Reply("following all nodes", None, follower.feed(conference))

    return Command("follow", "node", Argument("CONFERENCE", str, optional=True), follow)
