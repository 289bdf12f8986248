"""Sounds for one member alone, and for all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.conference.commands import STEP, Argument, Reply, command
from xconf.conference.errors import CommandError
from xconf.conference.later import Later
from xconf.conference.member import Member

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.deck import Deck

_TIME = re.compile(r"([+-]?)(?:(\d{1,3}):)?(?:(\d{1,4}):)?(\d{1,6}(?:\.\d{1,3})?)")
_WORDS = ("stop", "pause", "resume", "seek", "volume", "queue")


@dataclass(frozen=True, slots=True)
class Order:
    """word: one of those above, or `play`; waits: for the end of the sound, not only for its beginning."""

    word: str
    sound: str = ""
    waits: bool = False
    number: float = 0.0
    relative: bool = False


def _seconds(text: str) -> Order:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not like 90, 1:30, +10 or -10")
    sign, *places = match.groups("0")
    hours, minutes = (places[0], places[1]) if match[3] else ("0", places[0])
    seconds = int(hours) * 3600 + int(minutes) * 60 + float(places[2])
    return Order("seek", number=-seconds if sign == "-" else seconds, relative=sign in ("+", "-"))


def _sound(word: str, text: str) -> Order:
    sound = text.removesuffix(" async").strip()
    if not sound:
        raise ValueError("name a sound")
    return Order(word, sound, waits=sound == text.strip())


def _order(text: str) -> Order:
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    if word == "seek":
        return _seconds(rest)
    if word == "volume":
        return Order("volume", number=STEP.parse(rest))
    if word == "queue":
        return _sound("queue", rest)
    if word in _WORDS and not rest:
        return Order(word)
    return _sound("play", text)


ORDER = Argument(
    "FILE|FOLDER|tone_stream://… [async] | queue SOUND [async] | stop|pause|resume | seek [+|-]SECONDS"
    " | volume +N|-N|0",
    _order,
)


@command("playback", argument=ORDER)
def playback(member: Member, order: Order) -> Reply:
    """Plays a sound to this member alone, in place of the conference; queues, stops, pauses, winds it, sets its volume."""
    if order.word in ("play", "queue"):
        member.require_in()
    return _obey(member.deck, order)


@command("playback", scope="conference", argument=ORDER)
def playback_to_all(conference: Conference, order: Order) -> Reply:
    """Plays a sound to all; queues, stops, pauses, winds it, sets its volume."""
    if order.word in ("play", "queue") and not conference.members:
        raise CommandError(f"nobody is in {conference.name}")
    return _obey(conference.deck, order)


def _obey(deck: Deck, order: Order) -> Reply:
    if order.word in ("play", "queue"):
        return _play(deck, order)
    if order.word == "stop":
        return Reply("stopped" if deck.stop() else "nothing was played")
    if order.word == "volume":
        volume = deck.fade(int(order.number))
        return Reply(f"volume: {volume:+d}", volume)
    if order.word == "seek":
        position = deck.seek(order.number, relative=order.relative)
        return Reply(f"playing {deck.playing} from {position:.1f} s on", round(position, 1))
    if order.word == "pause":
        deck.pause()
        return Reply(f"paused {deck.playing} at {deck.position:.1f} s", round(deck.position, 1))
    deck.resume()
    return Reply(f"playing {deck.playing} from {deck.position:.1f} s on", round(deck.position, 1))


def _play(deck: Deck, order: Order) -> Reply:
    """What it says at last is how it ended; where nobody wants to wait for that, that it began."""
    later = Later()

    def started() -> None:
        if not order.waits:
            later.tell(Reply(f"playing {order.sound}"))

    def ended(error: str, stopped: bool) -> None:
        later.tell(CommandError(error) if error else Reply(f"{'stopped' if stopped else 'played'} {order.sound}"))

    if order.word == "play":
        deck.play(order.sound, started, ended)
        return Reply(f"playing {order.sound}", later=later)
    before = deck.queue(order.sound, started, ended)
    if not before:
        return Reply(f"playing {order.sound}", before, later=later)
    return Reply(f"queued {order.sound}", before, later=later if order.waits else None)
