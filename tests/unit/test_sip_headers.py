"""Header fields: names, compact forms, lists, order (RFC 3261 section 7.3), and the values of Via and CSeq."""

from __future__ import annotations

import pytest

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.headers import CSeq, Headers, Via
from xconf.sip.syntax import split_commas, split_parameters


def test_names_are_known_in_any_case_and_in_short() -> None:
    headers = Headers([("v", "1"), ("CALL-id", "2"), ("x-Own", "3")])
    assert headers.get("Via") == "1"
    assert headers.get("I") == headers.get("call-id") == "2"
    assert headers.get("X-OWN") == "3"
    assert "Via" in headers and "To" not in headers
    assert headers.items() == [("Via", "1"), ("CALL-id", "2"), ("x-Own", "3")]


def test_lists_are_split_at_commas_that_are_not_quoted_and_others_never() -> None:
    headers = Headers([("Contact", '"A, B" <sip:a@b;x=",">;q=1, <sip:c@d>'), ("m", "<sip:e@f>"), ("Date", "Sat, 1")])
    assert headers.get_all("Contact") == ['"A, B" <sip:a@b;x=",">;q=1', "<sip:c@d>", "<sip:e@f>"]
    assert headers.get_all("Date") == ["Sat, 1"]
    assert headers.get_all("Allow") == []


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", []),
        ("a", ["a"]),
        (" a ,,b, ", ["a", "b"]),
        ('"a,b" , c', ['"a,b"', "c"]),
        ('"a,b', ['"a,b']),
        ('"\\",",c', ['"\\","', "c"]),
    ]
    + [("<a,b>,c", ["<a,b>", "c"]), ("<a,b", ["<a,b"]), ('"a\\', ['"a\\'])],
)
def test_comma_separated_lists(text: str, elements: list[str]) -> None:
    assert split_commas(text) == elements


def test_changes_keep_the_order_of_the_others() -> None:
    headers = Headers([("Via", "1"), ("To", "t"), ("Via", "2"), ("From", "f")])
    headers.prepend("Via", "0")
    headers.set("To", "u")
    headers.add("Contact", "c")
    headers.remove("From")
    assert headers.items() == [("Via", "0"), ("Via", "1"), ("To", "u"), ("Via", "2"), ("Contact", "c")]
    headers.set("via", "only")
    assert headers.items() == [("Via", "only"), ("To", "u"), ("Contact", "c")]


def test_the_top_element_of_a_list_can_be_replaced_alone() -> None:
    headers = Headers([("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b"), ("To", "t"), ("Via", "SIP/2.0/UDP c")])
    headers.set_first("Via", "SIP/2.0/UDP z")
    assert headers.get_all("Via") == ["SIP/2.0/UDP z", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]


def test_typed_values_follow_changes() -> None:
    headers = Headers([("CSeq", "1 INVITE")])
    assert headers.typed("CSeq", CSeq.parse) == CSeq(1, "INVITE")
    headers.set("CSeq", "2 BYE")
    assert headers.typed("CSeq", CSeq.parse) == CSeq(2, "BYE")


def test_no_more_values_are_parsed_than_a_call_can_have() -> None:
    headers = Headers([("Route", ",".join(["<sip:a>"] * 129))])
    with pytest.raises(RemoteProtocolError):
        headers.typed_list("Route", str)


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nVia: b"), ("X", "a\n"), ("X Y", "a"), ("", "a"), ("X:", "a")])
def test_our_own_mistakes_are_ours(name: str, value: str) -> None:
    with pytest.raises(LocalProtocolError):
        Headers([(name, value)])


def test_copies_do_not_share_changes() -> None:
    headers = Headers([("To", "t")])
    copy = headers.copy()
    copy.add("From", "f")
    assert len(headers) == 1 and len(copy) == 2


def test_via() -> None:
    via = Via.parse("SIP/2.0/udp [2001:db8::9]:5080;received=192.0.2.1;rport=1234;branch=z9hG4bK1;ttl=1")
    assert (via.protocol, via.transport, via.host, via.port) == ("SIP/2.0", "UDP", "2001:db8::9", 5080)
    assert (via.branch, via.received, via.rport, via.wants_rport) == ("z9hG4bK1", "192.0.2.1", 1234, True)
    assert str(via) == "SIP/2.0/UDP [2001:db8::9]:5080;received=192.0.2.1;rport=1234;branch=z9hG4bK1;ttl=1"


def test_an_empty_rport_is_a_wish_to_be_filled_in() -> None:
    via = Via.parse("SIP/2.0/UDP h;rport;branch=b")
    assert via.wants_rport and via.rport is None
    assert (
        str(via.with_params(received="192.0.2.1", rport="5060"))
        == "SIP/2.0/UDP h;rport=5060;branch=b;received=192.0.2.1"
    )


@pytest.mark.parametrize(
    "text", ["", "SIP/2.0/UDP", "SIP/2.0 UDP h", "2.0/UDP h", "SIP/2.0/UDP h;;b", "SIP/2.0/UDP h:p", "SIP/2.0/UDP h i"]
)
def test_malformed_vias(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Via.parse(text)


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE 1", "-1 INVITE", "2147483648 INVITE", "1 INVITE x", "1_0 INVITE", "\u0661 INVITE"]
)
def test_malformed_cseqs(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CSeq.parse(text)


def test_the_highest_cseq() -> None:
    assert CSeq.parse(" 02147483647\tINVITE ") == CSeq(2**31 - 1, "INVITE")


def test_values_with_parameters() -> None:
    assert split_parameters('1800 ; refresher=uas;x="a;b"') == ("1800", {"refresher": "uas", "x": "a;b"})
    assert split_parameters("presence") == ("presence", {})
