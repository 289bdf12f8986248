"""The command line of `xconf load`, read into one object."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from xconf.phone.options import PASSWORD_VARIABLE, Parser, codec, duration, user

MOST_CALLS = 100_000
CODECS = ("pcmu", "pcma", "g722", "opus", "l16/8000", "l16/16000")
LOOPBACK_ADDRESSES = 64
"""Most own addresses that are taken when the server is on this machine: so many callers share a socket."""

_EPILOG = f"""\
examples:
  xconf load sip:4000@127.0.0.1:5060 --calls 1000 --rate 50 --hold 60s --speak 1 --speak-to sip:3000@127.0.0.1:5060
  xconf load 'sip:30{{}}@127.0.0.1:5060' --conferences 100 --calls 300 --speak 300 --hold 1m
  xconf load sip:4000@192.0.2.10 --bind 192.0.2.20-192.0.2.29 --calls 500 --each 10s --hold 20m

Callers are dealt to the conferences in turn; the first ones speak. The more own addresses, the less it costs here: so
many callers share a socket. Exit status: 0 when every call was answered and stayed up until it was hung up from here.
The password of --user is best given in the environment, as {PASSWORD_VARIABLE}."""


@dataclass(slots=True, frozen=True)
class LoadOptions:
    """What the command line asks for. Times are in seconds; `hang_up_rate` 0: all at once."""

    uri: str
    speak_to: str
    calls: int
    rate: float
    hold: float
    each: float | None
    hang_up_rate: float
    answer_within: float
    conferences: int
    speakers: int
    others_speak: bool
    sends: bool
    measured: int
    codec: str
    bind: tuple[str, ...]
    from_user: str
    user: str | None
    password: str
    json: bool

    def target(self, caller: int) -> str:
        """Whom a caller calls."""
        text = self.speak_to if caller < self.speakers else self.uri
        digits = len(str(self.conferences - 1))
        return text.replace("{}", f"{caller % self.conferences:0{digits}}")

    def heard_by(self, caller: int) -> int:
        """How many others speak in that caller's conference, as far as is known."""
        mine = caller % self.conferences
        speaking = len(range(mine, self.speakers, self.conferences))
        return speaking - (caller < self.speakers) + self.others_speak


def parse(arguments: Sequence[str]) -> LoadOptions:
    """Read the command line. Leaves through SystemExit, with status 2 and a line on standard error, when it is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.speak > given.calls:
        parser.error(f"--speak {given.speak}: there are only {given.calls} calls")
    if given.conferences > 1 and "{}" not in given.uri:
        parser.error("with --conferences, write {} in the SIP URI where the number of the conference goes")
    return LoadOptions(
        uri=given.uri,
        speak_to=given.speak_to or given.uri,
        calls=given.calls,
        rate=given.rate,
        hold=given.hold,
        each=given.each,
        hang_up_rate=given.rate if given.hang_up_rate is None else given.hang_up_rate,
        answer_within=given.answer_within,
        conferences=given.conferences,
        speakers=given.speak,
        others_speak=given.others_speak,
        sends=not given.silent,
        measured=given.measure,
        codec=given.codec,
        bind=given.bind,
        from_user=given.from_user,
        user=given.user,
        password=given.password if given.password is not None else os.environ.get(PASSWORD_VARIABLE, ""),
        json=given.json,
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="xconf load",
        description="A load generator: many calls at once, with sound both ways, and how they fared.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("uri", metavar="SIP-URI", help="whom to call; {} in it is the number of the conference")
    group = parser.add_argument_group("calls")
    group.add_argument("--calls", type=_calls, default=100, metavar="N", help="how many (default: 100)")
    group.add_argument("--rate", type=_rate, default=20.0, metavar="R", help="set up so many a second (default: 20)")
    group.add_argument(
        "--hold", type=duration, default=30.0, metavar="30s", help="hang up so long after the last was answered"
    )
    group.add_argument("--each", type=duration, metavar="10s", help="a call lasts so long, and another takes its place")
    group.add_argument("--hang-up-rate", type=_rate_or_none, metavar="R", help="default: as --rate; 0: all at once")
    group.add_argument(
        "--answer-within", type=duration, default=30.0, metavar="30s", help="else the call has failed (default: 30s)"
    )
    group.add_argument("--conferences", type=_calls, default=1, metavar="N", help="deal the calls to so many")
    group.add_argument("--from", dest="from_user", type=user, default="load", metavar="USER", help="who calls")
    group.add_argument("--user", metavar="NAME", help="name for digest authentication")
    group.add_argument("--password", help=f"its password; better in the environment, as {PASSWORD_VARIABLE}")
    _add_media(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object for each event, the result last")
    return parser


def _add_media(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sound")
    group.add_argument("--speak", type=_count, default=0, metavar="N", help="so many of the callers play a tone")
    group.add_argument("--speak-to", metavar="SIP-URI", help="these call another number")
    group.add_argument(
        "--others-speak", action="store_true", help="all should hear somebody who is none of these callers"
    )
    group.add_argument("--silent", action="store_true", help="the others send nothing (default: silence)")
    group.add_argument("--codec", type=_codec, metavar="NAME", default="pcmu", help="like that of xconf phone")
    group.add_argument(
        "--measure",
        type=_count,
        default=100,
        metavar="N",
        help="listen to so many callers; of the others the packets are counted (default: 100)",
    )
    group.add_argument(
        "--bind",
        type=own_addresses,
        default=(),
        metavar="ADDRESS[-ADDRESS][,…]",
        help="own IPv4 addresses (default: the one that leads there; on this machine some of 127.1.0.0/24)",
    )


def own_addresses(text: str) -> tuple[str, ...]:
    """Addresses from '127.0.0.3', '127.0.0.3,127.0.0.4' or '127.0.0.3-127.0.0.9'."""
    try:
        found = [address for part in text.split(",") for address in _range(part)]
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: write own IPv4 addresses, like 127.0.0.3,127.0.0.8-127.0.0.20")
    return tuple(dict.fromkeys(found))


def _range(text: str) -> list[str]:
    """Raises ValueError."""
    first, _, last = text.strip().partition("-")
    low, high = int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last or first))
    if high - low > 4096:
        raise ValueError(text)
    return [str(ipaddress.IPv4Address(number)) for number in range(low, high + 1)]


def loopback_addresses(calls: int) -> tuple[str, ...]:
    """Own addresses for so many callers of a server on this machine: about as many as there are callers to each."""
    count = min(LOOPBACK_ADDRESSES, math.ceil(math.sqrt(calls)))
    return tuple(f"127.1.0.{number}" for number in range(1, count + 1))


def _codec(text: str) -> str:
    name = codec(text)
    if name not in CODECS:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(CODECS)}, whose packets are small")
    return name


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_CALLS:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number up to {MOST_CALLS}")
    return int(text)


def _calls(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def _rate_or_none(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r}: write calls per second, like 50 or 0.5")
    return rate


def _rate(text: str) -> float:
    rate = _rate_or_none(text)
    if rate == 0:
        raise argparse.ArgumentTypeError("calls per second, more than 0")
    return rate
