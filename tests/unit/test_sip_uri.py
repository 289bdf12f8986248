"""URIs and addresses: how they are taken apart, compared and written (RFC 3261 sections 19.1 and 20.10)."""

from __future__ import annotations

import pytest

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.uri import URI, Address


def test_a_sip_uri_with_everything() -> None:
    uri = URI.parse("sips:alice%20b:se%3Acret@[2001:db8::1]:5061;transport=TCP;lr?Subject=a%20b&Priority=urgent")
    assert (uri.scheme, uri.user, uri.password) == ("sips", "alice b", "se:cret")
    assert (uri.host, uri.port) == ("2001:db8::1", 5061)
    assert uri.params == {"transport": "TCP", "lr": None}
    assert uri.transport == "tcp"
    assert uri.headers == {"Subject": "a b", "Priority": "urgent"}


def test_a_parsed_uri_is_written_as_it_came_and_a_changed_one_anew() -> None:
    uri = URI.parse("SIP:%61lice@Example.COM;lr")
    assert str(uri) == "SIP:%61lice@Example.COM;lr"
    assert str(uri.replaced(port=5070)) == "sip:alice@Example.COM:5070;lr"
    assert str(URI("sip", user="a b", host="::1", params={"x": "y z"})) == "sip:a%20b@[::1];x=y%20z"


def test_a_telephone_number_has_its_digits_as_user() -> None:
    uri = URI.parse("tel:+1-201-555-0123;phone-context=example.com")
    assert (uri.scheme, uri.user, uri.params) == ("tel", "+1-201-555-0123", {"phone-context": "example.com"})
    assert not uri.is_sip


def test_other_schemes_are_kept_whole() -> None:
    uri = URI.parse("http://example.com/?a=b")
    assert (uri.scheme, uri.opaque) == ("http", "//example.com/?a=b")
    assert str(uri) == "http://example.com/?a=b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":a@b",
        "3000",
        "a@b",
        "sip:@b",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        "sip:a@b:",
        "sip:a@b:65536",
    ]
    + ["sip:a@b:5o60", "sip:a@[::1", "sip:a@[x]", "sip:a@b,c", "sip:a@b<c", 'sip:"a"@b', "sip:a@\u0661", "1sip:a@b"],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        URI.parse(text)
    assert caught.value.status == 400


# The pairs of RFC 3261 section 19.1.4.
SAME = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
    ("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", None),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
]
DIFFERENT = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_by_the_rules_of_sip(one: str, other: str | None) -> None:
    assert URI.parse(one) == URI.parse(other or one.replace("biloxi", "BILOXI", 1))
    assert hash(URI.parse(one)) == hash(URI.parse(other or one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_by_the_rules_of_sip(one: str, other: str) -> None:
    assert URI.parse(one) != URI.parse(other)


@pytest.mark.parametrize(
    ("text", "display", "user", "params"),
    [
        ('"Bob" <sip:bob@b>;tag=1', "Bob", "bob", {"tag": "1"}),
        ('"B, \\"o\\" <b>"<sip:bob@b>', 'B, "o" <b>', "bob", {}),
        ("Bob the  Builder <sip:bob@b> ; tag = 1 ; x", "Bob the Builder", "bob", {"tag": "1", "x": None}),
        ("<sip:bob@b;lr>;q=0.5", None, "bob", {"q": "0.5"}),
        ("sip:bob@b;tag=1", None, "bob", {"tag": "1"}),
        ('"" <sip:bob@b>', "", "bob", {}),
        ('Jörg <sip:bob@b>;x="a;b"', "Jörg", "bob", {"x": "a;b"}),
    ],
)
def test_addresses(text: str, display: str | None, user: str, params: dict[str, str | None]) -> None:
    address = Address.parse(text)
    assert (address.display, address.uri.user, address.params) == (display, user, params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bob",
        '"Bob',
        '"Bob" sip:bob@b',
        "<sip:bob@b",
        "<sip:bob@b>x",
        "<sip:bob@b>;;a",
        "<sip:bob@b>;a;a",
        "sip:bob@b?a=b",
    ]
    + ['Bob "B" <sip:bob@b>', "<sip:bob@b>;=a", '<sip:bob@b>;a="b', '<sip:bob@b>;a="b"c', "< sip:bob@b >"],
)
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Address.parse(text)


def test_a_tag_is_added_to_a_copy() -> None:
    address = Address.parse("Bob <sip:bob@b>")
    assert str(address.with_tag("x")) == '"Bob" <sip:bob@b>;tag=x'
    assert address.tag is None


def test_a_name_cannot_smuggle_a_header_field_in() -> None:
    assert str(Address(URI.parse("sip:a@b"), 'x"\r\nVia: y')) == '"x\\"  Via: y" <sip:a@b>'
