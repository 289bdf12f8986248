"""The conferences of a node: made when somebody calls, found by name, ended together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from xconf.conference.commands import Table
from xconf.conference.conference import Conference
from xconf.conference.controls import Controls
from xconf.conference.elsewhere import Alone, Elsewhere
from xconf.conference.errors import CommandError, ConferenceError, near
from xconf.conference.house import House, Steer
from xconf.conference.interfaces import Call, Clock, Linker, Media
from xconf.conference.invitation import Inviter
from xconf.conference.library import Library
from xconf.conference.member import Member, Reason
from xconf.conference.music import Music
from xconf.conference.profile import Profile
from xconf.conference.recording import Recorder
from xconf.conference.stream import Stream
from xconf.conference.turns import TurnTaker
from xconf.media.rows import OutOfRows

LONGEST_NAME = 64
MOST = 1000


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the node."""

    conferences: int
    members: int
    speakers: int
    waiting: int


class Conferences:
    """All conferences of a node, at most `limit`. `commands` is its table; `events` its stream, which takes the time
    of day from `time`; `elsewhere`: the other nodes.
    """

    def __init__(
        self,
        clock: Clock,
        media: Media,
        library: Library,
        profiles: Mapping[str, Profile],
        controls: Mapping[str, Controls],
        commands: Table,
        limit: int = MOST,
        time: Callable[[], float] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.clock = clock
        self.commands = commands
        self.events = Stream(time or clock.seconds)
        self._house = House(
            clock, media, library, Music(library, clock), self.events, TurnTaker(clock), elsewhere=elsewhere or Alone()
        )
        self._profiles = profiles
        self._controls = controls
        self._limit = limit
        self.posts = False  # signals of members reach a web server
        self.steer: Steer | None = None  # runs commands for members on all nodes, where there are others
        self._conferences: dict[str, Conference] = {}
        self._ending: dict[str, Conference] = {}

    @property
    def inviter(self) -> Inviter | None:
        """Who calls people into conferences, where that can be done."""
        return self._house.inviter

    @inviter.setter
    def inviter(self, inviter: Inviter) -> None:
        self._house.inviter = inviter

    @property
    def recorder(self) -> Recorder | None:
        """Where recordings go, if anywhere."""
        return self._house.recorder

    @recorder.setter
    def recorder(self, recorder: Recorder) -> None:
        self._house.recorder = recorder

    def link_by(self, linker: Linker) -> None:
        """Have conferences that begin from now on be heard on other nodes, and these here."""
        self._house.linker = linker

    @property
    def elsewhere(self) -> Elsewhere:
        """What other nodes have of the conferences."""
        return self._house.elsewhere

    @elsewhere.setter
    def elsewhere(self, elsewhere: Elsewhere) -> None:
        self._house.elsewhere = elsewhere

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """What conferences are made from, by name."""
        return self._profiles

    def __iter__(self) -> Iterator[Conference]:
        return iter(tuple(self._conferences.values()))

    def __len__(self) -> int:
        return len(self._conferences)

    def reload(self, profiles: Mapping[str, Profile], controls: Mapping[str, Controls]) -> None:
        """Other profiles and controls, for conferences that begin from now on."""
        self._profiles, self._controls = profiles, controls

    def get(self, name: str) -> Conference | None:
        """The conference of that name, unless it is ending."""
        return self._conferences.get(name)

    def named(self, name: str) -> Conference:
        """The same. Raises CommandError, with names that are alike."""
        conference = self._conferences.get(name)
        if conference is None:
            raise CommandError(f"no conference '{name}'{near(name, self._conferences)}")
        return conference

    def find_or_create(self, name: str, profile: str, *, moved: bool = False) -> Conference:
        """The conference that a call is about to join; it does not end for want of members while the call is set up.
        The profile matters when it is made anew. moved: who calls is in it, on another node. Raises ConferenceError.
        """
        conference = self._conferences.get(name)
        if conference is None:
            conference = self._conferences[name] = self._create(name, profile)
            self._house.elsewhere.begun(name)
        if not moved:  # who is counted already
            conference.require_room()
        conference.expect()
        return conference

    def join(self, name: str, profile: str, call: Call, flags: Mapping[str, bool] | None = None) -> Member:
        """A call that is up comes into a conference. Raises ConferenceError."""
        return self.find_or_create(name, profile).join(call, flags)

    def _create(self, name: str, profile: str) -> Conference:
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise ConferenceError(f"{name[:LONGEST_NAME]!r} is no name for a conference")
        if profile not in self._profiles:
            raise ConferenceError(f"no profile '{profile}'{near(profile, self._profiles)}")
        self._make_room()
        try:
            return Conference(name, profile, self._profiles[profile], self._controls, self._house, self)
        except OutOfRows as error:
            raise ConferenceError(str(error)) from None

    def _make_room(self) -> None:
        """At the limit: end the empty conference that has been here longest. Raises ConferenceError."""
        if len(self._conferences) + len(self._ending) < self._limit:
            return
        now = self.clock.seconds()
        idle = next((c for c in self if c.empty and c.expected_until <= now), None)
        if idle is None:
            raise ConferenceError(f"no more than {self._limit} conferences at once")
        idle.stop("empty, and others need the room")

    def shutdown(self, reason: str = Reason.STOPPED) -> None:
        """All calls are hung up, all conferences end, now."""
        for conference in (*self._conferences.values(), *self._ending.values()):
            conference.stop(reason)

    def ending(self, conference: Conference) -> None:
        if self._conferences.get(conference.name) is conference:
            del self._conferences[conference.name]
            self._ending[conference.id] = conference

    def closed(self, conference: Conference) -> None:
        self._ending.pop(conference.id, None)

    @property
    def totals(self) -> Totals:
        return Totals(
            len(self._conferences),
            sum(len(conference.members) for conference in self),
            sum(conference.speakers for conference in self),
            sum(len(conference.waiting) for conference in self),
        )

    def sizes(self) -> dict[str, int]:
        """What is held."""
        every = [*self._conferences.values(), *self._ending.values()]
        totals = self.totals
        return {
            "conferences": len(every),
            "calls": sum(len(conference.everybody) for conference in every),
            "members": totals.members,
            "speakers": totals.speakers,
            "waiting": totals.waiting,
            "music": self._house.music.stations,
        }
