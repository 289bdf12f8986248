"""The words of the command line of `xconf phone`, read into one object."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from xconf.media.catalogue import NAMES, missing
from xconf.media.pace import PTIMES
from xconf.rtp.telephone_event import DIGITS

PASSWORD_VARIABLE = "XCONF_PASSWORD"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")

_EPILOG = f"""\
examples:
  xconf phone sip:3000@127.0.0.1 --tone 440 --duration 10s
  xconf phone sip:3000@127.0.0.1 --play hello.wav --record heard.wav --digits '5s:123#,8s:*'
  xconf phone --answer 5090 --bind 127.0.0.5 --record heard.wav

Exit status: 0 when the call was answered and ended normally, 1 when not, 2 when the words make no sense.
The password of --user is best given in the environment, as {PASSWORD_VARIABLE}."""


@dataclass(slots=True, frozen=True)
class Keys:
    """Digits to press, one after the other, from `at` seconds after the answer on."""

    at: float
    digits: str


@dataclass(slots=True, frozen=True)
class Options:
    """What the command line asks for. Times are in seconds, levels in dB below full scale (RMS)."""

    uri: str | None
    answer: int | None
    play: Path | None
    loop: bool
    tones: tuple[float, ...]
    level: float
    record: Path | None
    arrivals: Path | None
    keys: tuple[Keys, ...]
    digits_by: str
    duration: float | None
    codecs: tuple[str, ...]
    ptime: int
    from_user: str
    user: str | None
    password: str | None
    bind: str | None
    transport: str
    stay: bool
    verbose: bool
    json: bool


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line. Leaves through SystemExit, with status 2 and a line on standard error, when it is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.uri is None) == (given.answer is None):
        parser.error("give either a SIP URI to call, like sip:3000@127.0.0.1, or --answer PORT")
    if given.loop and given.play is None:
        parser.error("--loop needs a file to --play")
    password = given.password if given.password is not None else os.environ.get(PASSWORD_VARIABLE)
    if given.user is not None and password is None:
        parser.error(f"--user needs a password: in the environment, as {PASSWORD_VARIABLE}, or as --password")
    return Options(
        uri=given.uri,
        answer=given.answer,
        play=given.play,
        loop=given.loop,
        tones=tuple(given.tone),
        level=given.level,
        record=given.record,
        arrivals=given.arrivals,
        keys=tuple(keys for keys_of_option in given.digits for keys in keys_of_option),
        digits_by=given.digits_by,
        duration=given.duration,
        codecs=tuple(dict.fromkeys(given.codec or ("pcmu", "pcma"))),
        ptime=given.ptime,
        from_user=given.from_user,
        user=given.user,
        password=password,
        bind=given.bind,
        transport=given.transport,
        stay=given.stay,
        verbose=given.verbose,
        json=given.json,
    )


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (more: {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="xconf phone",
        description="A small SIP telephone: calls or answers, plays, records, presses keys, and says what happened.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("uri", nargs="?", metavar="SIP-URI", help="whom to call, like sip:3000@127.0.0.1:5060")
    parser.add_argument("--answer", type=port, metavar="PORT", help="wait at this SIP port for one call instead")
    _add_media(parser)
    _add_signalling(parser)
    return parser


def _add_media(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sound and keys")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--play", type=Path, metavar="FILE", help="say what is in this sound file (default: silence)")
    source.add_argument("--tone", type=frequencies, default=(), metavar="HZ[,HZ…]", help="or sound these tones")
    group.add_argument("--loop", action="store_true", help="play the file again and again")
    group.add_argument("--level", type=level, default=-18.0, metavar="DB", help="of each tone, RMS (default: -18)")
    group.add_argument("--record", type=Path, metavar="FILE.wav", help="keep what is heard; what was lost is silence")
    group.add_argument(
        "--digits",
        type=keys,
        action="append",
        default=[],
        metavar="5s:123#,8s:*",
        help="press keys so long after the answer; may be repeated",
    )
    group.add_argument("--digits-by", choices=("rfc4733", "info"), default="rfc4733", help="RTP events or SIP INFO")
    group.add_argument("--duration", type=duration, metavar="30s", help="hang up so long after the answer")
    group.add_argument(
        "--codec",
        type=codec,
        action="append",
        metavar="NAME",
        help=f"offer this one; may be repeated (there is {', '.join(NAMES)})",
    )
    group.add_argument("--ptime", type=int, choices=PTIMES, default=20, help="ms of sound in the packets that we get")
    group.add_argument(
        "--arrivals", type=Path, metavar="FILE.csv", help="list every packet that came, for measurements"
    )


def _add_signalling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("signalling")
    group.add_argument("--from", dest="from_user", type=user, default="phone", metavar="USER", help="who calls")
    group.add_argument("--user", metavar="NAME", help="name for digest authentication")
    group.add_argument("--password", help=f"its password; better in the environment, as {PASSWORD_VARIABLE}")
    group.add_argument("--bind", metavar="ADDRESS", help="own IPv4 address (default: the one that leads there)")
    group.add_argument("--transport", choices=("udp", "tcp"), default="udp", help="for SIP")
    group.add_argument("--stay", action="store_true", help="do not call elsewhere when the server asks for it (REFER)")
    group.add_argument("--verbose", action="store_true", help="show the SIP messages, on standard error")
    group.add_argument("--json", action="store_true", help="print one JSON object for each event")


def codec(text: str) -> str:
    """The name of a codec, whose library is there."""
    name = text.lower()
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is no codec; there is {', '.join(NAMES)}")
    if reason := missing(name):
        raise argparse.ArgumentTypeError(reason)
    return name


def duration(text: str) -> float:
    """Seconds from '30s', '500ms', '2m', '1h' or a bare number of seconds."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 30s, 500ms or 2m")
    return float(match[1]) * _UNITS[match[2]]


def keys(text: str) -> list[Keys]:
    """Times and digits from '5s:123#,8s:*'."""
    return [_one_keys(part, text) for part in text.split(",")]


def _one_keys(part: str, text: str) -> Keys:
    at, colon, digits = part.partition(":")
    digits = digits.strip().upper()
    if not colon or not digits or not set(digits) <= set(DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r}: write when and which keys, like 5s:123#,8s:* (keys: {DIGITS})")
    return Keys(duration(at), digits)


def frequencies(text: str) -> tuple[float, ...]:
    """Frequencies in Hz from '440' or '440,660'."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value < 4000 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r}: write frequencies in Hz, below 4000, like 440 or 440,660")
    return values


def level(text: str) -> float:
    """A level in dB relative to full scale: -100 to 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -100 <= value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: write a level below full scale, from -100 to 0")
    return value


def port(text: str) -> int:
    """A port number."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number from 1 to 65535")
    return int(text)


def user(text: str) -> str:
    """The user part of a SIP URI, unescaped characters only."""
    if not re.fullmatch(r"[\w.!~*'()&=+$,;?/-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the user of a SIP URI; use letters and digits")
    return text
