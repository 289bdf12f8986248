"""Invitations as they are typed."""

from __future__ import annotations

import contextlib
import time

import pytest

from xconf.conference.invitation import Request, Result, Wishes


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("1001 sip:ann@10.0.0.7;transport=tcp @board", ("1001", "sip:ann@10.0.0.7;transport=tcp", "@board")),
        ("1001 Ann Lee <sip:ann@10.0.0.7> 1002", ("1001", "Ann Lee <sip:ann@10.0.0.7>", "1002")),
        ('"Ann Lee" <sip:ann@10.0.0.7>', ('"Ann Lee" <sip:ann@10.0.0.7>',)),
        ("<sip:ann@10.0.0.7> confirm=yes", ("<sip:ann@10.0.0.7>",)),
        ("caller-id=3000 Ann <sip:ann@10.0.0.7>", ("Ann <sip:ann@10.0.0.7>",)),
    ],
)
def test_whom(text: str, targets: tuple[str, ...]) -> None:
    assert Request.parse(text).targets == targets


def test_wishes() -> None:
    text = "1001 flags=+admin,-vad caller-id=Board Room <4711> timeout=9 retries=2 retry-on=busy pace=0.5 early=heard"
    usual = Wishes(pause=7)
    wishes = Request.parse(text).wishes(usual)
    assert wishes == Wishes(
        flags={"admin": True, "vad": False},
        caller_id="Board Room <4711>",
        timeout=9,
        retries=2,
        pause=7,
        retry_on=frozenset({Result.BUSY}),
        pace=0.5,
        early=True,
    )


@pytest.mark.parametrize(
    "text", ["", "pace=0 1", "pace=x 1", "early=yes 1", "confirm=on 1", "caller-id=a@b 1", "flags=speaker 1", "x=1 1"]
)
def test_what_makes_no_sense(text: str) -> None:
    with pytest.raises(ValueError):
        Request.parse(text)


@pytest.mark.parametrize("text", ["a" * 16_000, "a " * 8000, "<" * 16_000, 'caller-id="' * 1500, "a <" * 5000])
def test_whatever_is_typed_is_read_fast(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(ValueError):
        Request.parse(f"1 {text}")
    assert time.process_time() - began < 2
