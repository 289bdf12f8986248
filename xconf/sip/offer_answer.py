"""Offer and answer (RFC 3264): which codec, where to, and in which direction the sound of one call goes.

One audio stream is negotiated; whatever else a telephone offers (video, fax, a second audio line) is answered with
port 0, in its place. Everything here is computed from the descriptions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.sdp import (
    Attributes,
    Direction,
    Media,
    Origin,
    RtpMap,
    SessionDescription,
    fmtps,
    payload_types,
    rtpmaps,
)
from xconf.sip.syntax import remembered

PROTOCOLS = ("RTP/AVP", "RTP/AVPF")
EVENTS = "0-16"

_EVENT = "telephone-event"
_FIRST_DYNAMIC = 96
_FIRST_EVENT = 101
_REMEMBERED = 512  # combinations of payload types and codecs

# Payload types that need no a=rtpmap (RFC 3551 section 6), so far as a telephone may leave it out.
_STATIC = {
    0: RtpMap("PCMU", 8000),
    3: RtpMap("GSM", 8000),
    4: RtpMap("G723", 8000),
    8: RtpMap("PCMA", 8000),
    9: RtpMap("G722", 8000),
    10: RtpMap("L16", 44100, 2),
    11: RtpMap("L16", 44100),
    13: RtpMap("CN", 8000),
    18: RtpMap("G729", 8000),
}
_REVERSED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


@dataclass(frozen=True, slots=True)
class Codec:
    """An audio encoding. Without a payload type it takes its static one, or a dynamic one when it is offered."""

    name: str
    clock_rate: int
    channels: int = 1
    payload_type: int | None = None
    fmtp: str | None = None

    def matches(self, rtpmap: RtpMap) -> bool:
        """True for the same encoding; names are compared without regard to case (RFC 3264 section 8.3.2)."""
        same = (self.clock_rate, self.channels) == (rtpmap.clock_rate, rtpmap.channels)
        return same and self.name.lower() == rtpmap.name.lower()

    @property
    def rtpmap(self) -> RtpMap:
        return RtpMap(self.name, self.clock_rate, self.channels)


def own_parameters(codec: Codec, theirs: str | None) -> str | None:
    """The parameters (fmtp) of our answer are those of our codec, whatever theirs are."""
    return codec.fmtp


PCMU = Codec("PCMU", 8000)
PCMA = Codec("PCMA", 8000)
COMFORT_NOISE = Codec("CN", 8000, payload_type=13)
"""Among codecs: comfort noise (RFC 3389) may go with one that has its clock rate. Alone it is no codec."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides may count on after an answer.

    `codec.payload_type` and `telephone_event` are to be sent with, the `receive_` numbers are what the peer sends;
    `direction` is ours; `remote_address` may be 0.0.0.0 or :: of a peer on hold, and then nothing may be sent to it.
    `translated`: a proxy says of its address that a translator (NAT) is before it: its packets come from another port.
    `ptime` is how many milliseconds of sound the peer wants in a packet; with `comfort_noise` either side may send that in
    place of silence, as payload type 13.
    """

    codec: Codec
    receive_payload_type: int
    telephone_event: int | None
    telephone_event_receive: int | None
    remote_address: tuple[str, int]
    remote_rtcp: tuple[str, int]
    direction: Direction
    ptime: int
    comfort_noise: bool = False
    translated: bool = False

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


@dataclass(frozen=True, slots=True)
class _Choice:
    """What we take of their m= section: our codec under their payload type, and their telephone-event."""

    codec: Codec
    fmtp: str | None
    event: int | None
    event_rate: int
    comfort_noise: bool

    @property
    def number(self) -> int:
        """The payload type to send with."""
        assert self.codec.payload_type is not None
        return self.codec.payload_type


def answer(
    offer: SessionDescription,
    *,
    codecs: Sequence[Codec],
    address: str,
    port: int,
    origin: Origin,
    direction: Direction = "sendrecv",
    telephone_event: bool = True,
    parameters: Callable[[Codec, str | None], str | None] = own_parameters,
    preferred: int | None = None,
    ptime: int = 20,
) -> tuple[SessionDescription, Agreed]:
    """Our answer and what it agrees on: the first codec of the offer that is among ours, or among the first `preferred` of
    ours where there is one.

    `direction` is the most that we want; `parameters` are those of our answer, for our codec and the offer's parameters. RemoteProtocolError(488) when there is nothing to agree on: no audio, no
    common codec, another address family, or only encrypted media.
    """
    noise = [codec for codec in codecs if codec is COMFORT_NOISE]
    theirs, choice = _choose(offer, [[*codecs[:preferred], *noise], codecs], address)
    event = choice.event if telephone_event else None
    ours = _both(direction, _REVERSED[_their_direction(offer, theirs)])
    events = {} if event is None else {event: choice.event_rate}
    codec = replace(choice.codec, fmtp=parameters(choice.codec, choice.fmtp))
    chosen = [codec, COMFORT_NOISE] if choice.comfort_noise else [codec]
    section = _section(theirs.proto, port, chosen, events, ours, ptime)
    media = [section if each is theirs else _refused(each) for each in offer.media]
    agreed = _agreed(offer, theirs, choice, choice.number, (event, event), ours, ptime)
    return SessionDescription(origin, address, media, times=list(offer.times)), agreed


def offer(
    codecs: Sequence[Codec],
    address: str,
    port: int,
    *,
    origin: Origin,
    direction: Direction = "sendrecv",
    telephone_event: bool = True,
    ptime: int = 20,
    previous: SessionDescription | None = None,
    used: Mapping[int, RtpMap] = MappingProxyType({}),
) -> SessionDescription:
    """Our offer of one audio stream, the codecs in their order of preference.

    `previous` is our last description in this session, if any: its sections keep their places, those that are not the
    audio stay refused (section 8). `used` is what payload types have meant in it so far: they keep their meaning
    (section 8.3.2). LocalProtocolError when there are no codecs, or two claim the same payload type.
    """
    numbered = _numbered(codecs, used)
    events = _event_numbers(numbered, used) if telephone_event else {}
    places = previous.media if previous is not None else []
    place = next((place for place, media in enumerate(places) if media.kind == "audio" and media.port), 0)
    proto = places[place].proto if places else PROTOCOLS[0]
    section = _section(proto, port, list(numbered.values()), events, direction, ptime)
    media = [*map(_refused, places[:place]), section, *map(_refused, places[place + 1 :])]
    return SessionDescription(origin, address, media)


def agree(our_offer: SessionDescription, their_answer: SessionDescription) -> Agreed:
    """What their answer to our offer agrees on; RemoteProtocolError(488) when it refuses or does not fit the offer."""
    place = next(place for place, media in enumerate(our_offer.media) if media.kind == "audio" and media.port)
    if len(their_answer.media) <= place:
        raise RemoteProtocolError("Answer does not fit the offer", 488)
    ours, theirs = our_offer.media[place], their_answer.media[place]
    maps = _maps(ours)
    offered = {number: _codec(number, maps) for number in ours.payload_types if number in maps}
    ours_at = our_offer.connection_of(ours) or ""
    choice = _match(theirs, list(offered.values()), ours) if _acceptable(their_answer, theirs, ours_at) else None
    if choice is None:
        raise RemoteProtocolError("Answer refuses the audio", 488)
    received = next(number for number, codec in offered.items() if codec.matches(choice.codec.rtpmap))
    event_received = _event(ours.payload_types, maps, choice.event_rate)[0] if choice.event is not None else None
    events = (choice.event if event_received is not None else None, event_received)
    direction = _both(our_offer.direction_of(ours), _REVERSED[_their_direction(their_answer, theirs)])
    return _agreed(their_answer, theirs, choice, received, events, direction, ours.ptime or 20)


def _agreed(
    description: SessionDescription,
    theirs: Media,
    choice: _Choice,
    received: int,
    events: tuple[int | None, int | None],
    direction: Direction,
    ptime: int,
) -> Agreed:
    address = description.connection_of(theirs) or ""
    return Agreed(
        codec=replace(choice.codec, fmtp=choice.fmtp),
        receive_payload_type=received,
        telephone_event=events[0],
        telephone_event_receive=events[1],
        remote_address=(address, theirs.port),
        remote_rtcp=_rtcp(theirs, address),
        direction=direction,
        ptime=min(theirs.ptime or ptime, theirs.maxptime or 1000),
        comfort_noise=choice.comfort_noise,
        translated=any(each.attribute("direction") == "active" for each in (description, *description.media)),
    )


def _choose(offer: SessionDescription, ours: Sequence[Sequence[Codec]], our_address: str) -> tuple[Media, _Choice]:
    """The first m= section that we can take, and what of it. ours: lists of codecs, the best one first."""
    acceptable = [media for media in offer.media if _acceptable(offer, media, our_address)]
    for media in acceptable:
        found = (_match(media, codecs) for codecs in ours)
        choice = next((choice for choice in found if choice is not None), None)
        if choice is not None:
            return media, choice
    raise RemoteProtocolError("No common codec" if acceptable else "No acceptable audio", 488)


def _acceptable(description: SessionDescription, media: Media, our_address: str) -> bool:
    return (
        media.kind == "audio"
        and media.port != 0
        and media.proto.upper() in PROTOCOLS
        and _reachable(description.connection_of(media), our_address)
    )


def _reachable(address: str | None, our_address: str) -> bool:
    """True for a unicast address of our family. Names are not: nothing here may wait for a resolver."""
    theirs, ours = _parsed(address or ""), _parsed(our_address)
    if theirs is None or ours is None or theirs.version != ours.version:
        return False
    return not theirs.is_multicast and theirs != IPv4Address("255.255.255.255")


@remembered
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _match(media: Media, codecs: Sequence[Codec], offered: Media | None = None) -> _Choice | None:
    """The first of their payload types that is one of our codecs, and the telephone-event that goes with it.

    offered: our offer that theirs is the answer to, whose payload types they need not explain again.
    """
    known = offered.attribute_lines("rtpmap") if offered else ""
    rtpmap, fmtp = media.attribute_lines("rtpmap"), media.attribute_lines("fmtp")
    return _choice(" ".join(media.formats), rtpmap, fmtp, tuple(codecs), known)


@lru_cache(_REMEMBERED)
def _choice(formats: str, rtpmap: str, fmtp: str, codecs: tuple[Codec, ...], known: str) -> _Choice | None:
    """As `_match`, of what telephones of one make write all alike."""
    numbers = payload_types(formats.split(" "))
    maps = {**_STATIC, **rtpmaps(known), **rtpmaps(rtpmap)}
    noise = _has_noise(codecs) and COMFORT_NOISE.payload_type in numbers
    real = [codec for codec in codecs if not codec.matches(COMFORT_NOISE.rtpmap)]
    for number in numbers:
        theirs = maps.get(number)
        codec = next((codec for codec in real if theirs is not None and codec.matches(theirs)), None)
        if codec is not None:
            event = _event(numbers, maps, codec.clock_rate)
            noise = noise and codec.clock_rate == COMFORT_NOISE.clock_rate
            return _Choice(replace(codec, payload_type=number), fmtps(fmtp).get(number), *event, noise)
    return None


def _has_noise(codecs: Sequence[Codec]) -> bool:
    return any(codec.matches(COMFORT_NOISE.rtpmap) for codec in codecs)


def _event(numbers: Sequence[int], maps: Mapping[int, RtpMap], rate: int) -> tuple[int | None, int]:
    """Payload type and clock rate of the telephone-event that runs at this clock rate, or else of the first one."""
    events = [(number, maps[number].clock_rate) for number in numbers if number in maps and _is_event(maps[number])]
    alike = [event for event in events if event[1] == rate]
    best = alike or events
    return best[0] if best else (None, rate)


def _is_event(rtpmap: RtpMap) -> bool:
    return rtpmap.name.lower() == _EVENT


def _maps(media: Media) -> dict[int, RtpMap]:
    return {**_STATIC, **media.rtpmap}


def _codec(number: int, maps: Mapping[int, RtpMap]) -> Codec:
    rtpmap = maps[number]
    return Codec(rtpmap.name, rtpmap.clock_rate, rtpmap.channels, number)


def _their_direction(description: SessionDescription, media: Media) -> Direction:
    """Which way sound goes as they see it. The unspecified address is the old way to say hold (section 8.4)."""
    direction = description.direction_of(media)
    address = _parsed(description.connection_of(media) or "")
    return _both(direction, "sendonly") if address is not None and address.is_unspecified else direction


def _both(one: Direction, other: Direction) -> Direction:
    """What both allow, seen from the same side."""
    send = all(way in ("sendrecv", "sendonly") for way in (one, other))
    receive = all(way in ("sendrecv", "recvonly") for way in (one, other))
    if send:
        return "sendrecv" if receive else "sendonly"
    return "recvonly" if receive else "inactive"


def _rtcp(media: Media, address: str) -> tuple[str, int]:
    """Where they want RTCP: as a=rtcp says (RFC 3605), or one port above the media."""
    port, other = media.rtcp or (min(media.port + 1, 65535), None)
    return (other if other is not None and _reachable(other, address) else address), port


def _refused(media: Media) -> Media:
    return Media(media.kind, 0, media.proto, list(media.formats))


def _section(
    proto: str, port: int, codecs: Sequence[Codec], events: Mapping[int, int], direction: Direction, ptime: int
) -> Media:
    """An m= section of ours; `events` is payload type -> clock rate."""
    formats = [str(codec.payload_type) for codec in codecs] + [str(number) for number in events]
    attributes: Attributes = []
    for codec in codecs:
        attributes.append(("rtpmap", f"{codec.payload_type} {codec.rtpmap}"))
        if codec.fmtp is not None:
            attributes.append(("fmtp", f"{codec.payload_type} {codec.fmtp}"))
    for number, rate in events.items():
        attributes += [("rtpmap", f"{number} {_EVENT}/{rate}"), ("fmtp", f"{number} {EVENTS}")]
    attributes += [("ptime", str(ptime)), (direction, None)]
    return Media("audio", port, proto, formats, attributes=attributes)


def _numbered(codecs: Sequence[Codec], used: Mapping[int, RtpMap]) -> dict[int, Codec]:
    """Payload type -> codec, in order; those without a number get the one they have, or the next free dynamic one."""
    fixed = [codec.payload_type if codec.payload_type is not None else _known(codec, used) for codec in codecs]
    taken = [number for number in fixed if number is not None]
    if not codecs or len(set(taken)) != len(taken):
        raise LocalProtocolError("an offer needs codecs with different payload types")
    free = _free(_FIRST_DYNAMIC, {*taken, _FIRST_EVENT}, used)
    numbers = [next(free) if number is None else number for number in fixed]
    return {number: replace(codec, payload_type=number) for number, codec in zip(numbers, codecs, strict=True)}


def _known(codec: Codec, used: Mapping[int, RtpMap]) -> int | None:
    """Its number in this session, or its static one."""
    maps = {**_STATIC, **used}
    return next((number for number, rtpmap in maps.items() if codec.matches(rtpmap)), None)


def _event_numbers(codecs: Mapping[int, Codec], used: Mapping[int, RtpMap]) -> dict[int, int]:
    """Payload type -> clock rate: one telephone-event for each clock rate of the codecs (RFC 4733 section 2.1)."""
    rates = list(dict.fromkeys(codec.clock_rate for codec in codecs.values()))
    free = _free(_FIRST_EVENT, codecs, used)
    known = {rtpmap.clock_rate: number for number, rtpmap in used.items() if _is_event(rtpmap)}
    return {known[rate] if rate in known else next(free): rate for rate in rates}


def _free(first: int, taken: Container[int], used: Container[int]) -> Iterator[int]:
    """Dynamic payload types to give away: first those that never meant anything."""
    numbers = [number for number in range(first, 128) if number not in taken]
    return iter(sorted(numbers, key=lambda number: number in used))
