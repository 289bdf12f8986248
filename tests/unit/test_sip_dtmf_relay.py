"""Digits in INFO, as different telephones write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.sip.dtmf_relay import CONTENT_TYPES, build, parse


@pytest.mark.parametrize("digit", "0123456789*#ABCD")
def test_what_is_built_is_read(digit: str) -> None:
    assert parse("application/dtmf-relay", build(digit, 160)) == digit


@pytest.mark.parametrize(
    ("content_type", "body", "digit"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("Application/DTMF-Relay; charset=utf-8", b"signal= #\nduration = 100", "#"),
        ("application/dtmf-relay", b"Duration=160\r\nSignal=a", "A"),
        ("application/dtmf-relay", b"Signal=10\r\n", "*"),
        ("application/dtmf-relay", b"Signal=11\r\n", "#"),
        ("application/dtmf-relay", b"Signal=16\r\n", None),
        ("application/dtmf-relay", b"Signal=flash\r\n", None),
        ("application/dtmf-relay", b"Signal=\xb2\xb3\r\n", None),
        ("application/dtmf-relay", b"5", None),
        ("application/dtmf-relay", b"", None),
        ("application/dtmf", b"5", "5"),
        ("application/dtmf", b"*\r\n", "*"),
        ("application/dtmf", b"Signal=7\r\nDuration=250\r\n", "7"),
        ("application/dtmf", b"", None),
        ("text/plain", b"Signal=5\r\n", None),
    ],
)
def test_bodies_of_telephones(content_type: str, body: bytes, digit: str | None) -> None:
    assert parse(content_type, body) == digit


@given(st.sampled_from(CONTENT_TYPES), st.binary(max_size=300))
def test_any_body_is_read(content_type: str, body: bytes) -> None:
    digit = parse(content_type, body)
    assert digit is None or digit in "0123456789*#ABCD"
