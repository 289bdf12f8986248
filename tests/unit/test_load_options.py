"""The command line of `xconf load`."""

from __future__ import annotations

import pytest

from xconf.phone.load_options import loopback_addresses, own_addresses, parse


def test_what_is_left_out_has_a_value() -> None:
    options = parse(["sip:4000@127.0.0.1"])
    assert (options.calls, options.rate, options.hold, options.speakers, options.sends) == (100, 20.0, 30.0, 0, True)
    assert options.hang_up_rate == options.rate
    assert options.codec == "pcmu"


def test_speakers_call_their_own_number() -> None:
    options = parse(["sip:4000@h", "--speak", "2", "--speak-to", "sip:3000@h"])
    assert [options.target(caller) for caller in range(3)] == ["sip:3000@h", "sip:3000@h", "sip:4000@h"]


def test_callers_are_dealt_to_conferences_in_turn() -> None:
    options = parse(["sip:30{}@h", "--conferences", "100", "--calls", "250"])
    assert [options.target(caller) for caller in (0, 7, 99, 100)] == [
        "sip:3000@h",
        "sip:3007@h",
        "sip:3099@h",
        "sip:3000@h",
    ]


def test_who_should_hear_something() -> None:
    options = parse(["sip:3{}@h", "--conferences", "2", "--calls", "6", "--speak", "3"])
    # Conference 0 has the speakers 0 and 2, conference 1 has speaker 1 alone.
    assert [options.heard_by(caller) for caller in range(6)] == [1, 0, 1, 1, 2, 1]


def test_all_should_hear_something_where_others_speak() -> None:
    options = parse(["sip:4000@h", "--calls", "3", "--others-speak"])
    assert [options.heard_by(caller) for caller in range(3)] == [1, 1, 1]


def test_own_addresses_are_listed_or_a_range() -> None:
    assert own_addresses("127.0.0.3, 127.0.0.254-127.0.1.1") == (
        "127.0.0.3",
        "127.0.0.254",
        "127.0.0.255",
        "127.0.1.0",
        "127.0.1.1",
    )


def test_a_few_callers_take_few_addresses_of_this_machine() -> None:
    assert len(loopback_addresses(1)) == 1
    assert len(loopback_addresses(100)) == 10
    assert len(set(loopback_addresses(50_000))) == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sip:1@h", "--speak", "200"], "there are only 100 calls"),
        (["sip:1@h", "--conferences", "2"], "write {} in the SIP URI"),
        (["sip:1@h", "--bind", "127.0.0.9-127.0.0.3"], "own IPv4 addresses"),
        (["sip:1@h", "--bind", "10.0.0.0-10.255.0.0"], "own IPv4 addresses"),
        (["sip:1@h", "--bind", "here"], "own IPv4 addresses"),
        (["sip:1@h", "--rate", "0"], "more than 0"),
        (["sip:1@h", "--rate", "nan"], "calls per second"),
        (["sip:1@h", "--calls", "0"], "at least 1"),
        (["sip:1@h", "--calls", "1000000"], "up to 100000"),
        (["sip:1@h", "--hold", "soon"], "no time"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
