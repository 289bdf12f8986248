"""The 50 torture messages of RFC 4475 at the parser: values of the good ones, answers to the bad ones."""

from __future__ import annotations

import pytest

from tests.wire.torture_table import FOLDER, TABLE, Fate, Torture
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Message, Request, Response, parse
from xconf.sip.sdp import SessionDescription
from xconf.sip.validate import validate


def each(*fates: Fate) -> pytest.MarkDecorator:
    chosen = [case for case in TABLE if case.fate in fates]
    return pytest.mark.parametrize("case", chosen, ids=[f"{case.section}-{case.name}" for case in chosen])


def value(message: Message, path: str) -> object:
    if path == "length":
        return len(message.body)
    kind, _, rest = path.partition(".")
    if kind == "header":
        return message.headers.get(rest)
    if kind == "headers":
        return message.headers.get_all(rest)
    if ".params." in path:
        found, _, name = path.partition(".params.")
        params = value(message, f"{found}.params")
        assert isinstance(params, dict)
        return params[name]
    found = message
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)  # type: ignore[index]
    return found


def values(message: Message, case: Torture) -> dict[str, object]:
    return {path: value(message, path) for path in case.values}


def refusal(data: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        validate(parse(data))
    return caught.value


def test_every_message_of_the_archive_is_in_the_table_once() -> None:
    assert sorted(case.name for case in TABLE) == sorted(path.stem for path in FOLDER.glob("*.dat"))
    assert len(TABLE) == 50


@each(Fate.ANSWERED, Fate.INVITED)
def test_a_good_request_is_understood(case: Torture) -> None:
    request = parse(case.data)
    validate(request)
    assert isinstance(request, Request)
    assert values(request, case) == case.values


@each(Fate.TAKEN)
def test_a_good_response_is_understood(case: Torture) -> None:
    response = parse(case.data)
    validate(response)
    assert isinstance(response, Response)
    assert values(response, case) == case.values


@each(Fate.REFUSED)
def test_a_bad_request_is_refused_with_what_to_answer(case: Torture) -> None:
    error = refusal(case.data)
    assert error.status in case.answers
    assert error.request is not None
    assert values(error.request, case) == case.values
    answer = error.request.response(error.status, error.reason, to_tag="ours")
    assert parse(answer.to_bytes()).headers.get("Call-ID") == error.request.headers.get("Call-ID")


@each(Fate.DROPPED)
def test_a_bad_response_has_nobody_to_answer_to(case: Torture) -> None:
    assert refusal(case.data).request is None


@each(Fate.ANSWERED, Fate.INVITED, Fate.TAKEN)
def test_what_is_written_again_means_the_same(case: Torture) -> None:
    message = parse(case.data)
    again = parse(message.to_bytes())
    assert values(again, case) == case.values
    assert again.body == message.body


@pytest.mark.parametrize("name", [c.name for c in TABLE if c.fate is Fate.INVITED])
def test_the_sdp_of_an_invite_is_understood(name: str) -> None:
    description = SessionDescription.parse(parse((FOLDER / f"{name}.dat").read_bytes()).body)
    audio = description.media[0]
    assert (audio.kind, audio.port, audio.proto) == ("audio", 49217, "RTP/AVP")
    assert audio.payload_types in ([0, 12], [0])
    assert (description.connection_of(audio) or "").startswith("192.0.2.")


def test_unquoted_names_with_commas_are_taken_as_they_are_meant() -> None:
    data = (FOLDER / "baddn.dat").read_bytes() + b"\r\n"
    request = parse(data)
    validate(request)
    assert request.from_.display == "Bell, Alexander"
    assert request.to.display == "Watson, Thomas"
    assert request.to.uri.user == "t.watson"


def test_only_the_first_message_of_a_datagram_counts() -> None:
    data = (FOLDER / "dblreq.dat").read_bytes()
    assert b"INVITE" in data
    assert b"INVITE" not in parse(data).to_bytes()
