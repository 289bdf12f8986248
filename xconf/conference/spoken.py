"""Numbers and keys as the prompts that say them, one after the other. Names are of sounds, as the folder of sounds has them."""

from __future__ import annotations

from collections.abc import Sequence

_KEYS = {"*": "help/star", "#": "help/hash", "A": "help/a", "B": "help/b", "C": "help/c", "D": "help/d"}


def number(value: int) -> list[str]:
    """A number of 0..999,999: 2041 is `two thousand forty one`."""
    words: list[str] = []
    if value >= 1000:
        words += [*number(value // 1000), "digits/thousand.wav"]
        value %= 1000
    if value >= 100:
        words += [f"digits/{value // 100}.wav", "digits/hundred.wav"]
        value %= 100
    if value > 20 and value % 10:
        words.append(f"digits/{value // 10 * 10}.wav")
        value %= 10
    if value or not words:
        words.append(f"digits/{value}.wav")
    return words


def members(count: int) -> list[str]:
    """`three members`"""
    return [*number(count), "member.wav" if count == 1 else "members.wav"]


def keys(digits: str) -> list[str]:
    """The keys of a telephone, each by its name."""
    return [f"{_KEYS.get(digit, f'digits/{digit}')}.wav" for digit in digits]


def helps(command: str, argument: str, words: str) -> Sequence[str]:
    """What says of a command what it does, the best first: `vol-talk:+1` has a prompt of its own, beside `vol-talk`. words: its help, for
    an engine that speaks.
    """
    first = argument[:1]
    way = {"+": "-up", "-": "-down", "0": "-reset"}.get(first, f"-{argument}" if argument.isalpha() else "")
    own = (f"help/{command}{way}.wav",) if way else ()
    return (*own, f"help/{command}.wav", f"say:{words}", "help/other.wav")
