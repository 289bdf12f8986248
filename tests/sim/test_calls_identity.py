"""Who calls, as far as it is believed; and which number was dialled."""

from __future__ import annotations

import pytest
from calls_world import Office

from xconf.calls.identity import caller_of, dialled
from xconf.sip.message import Request
from xconf.sip.uri import URI

FROM = ("From", '"Ann" <sip:1001@a.example>;tag=1')
PAI = ("P-Asserted-Identity", '"Cy" <sip:+4930111@carrier.example>')
RPID = ("Remote-Party-ID", '"Dee" <sip:+4930222@carrier.example>;party=calling;privacy=off')


def request(*headers: tuple[str, str], to: str = "3000", uri: str = "sip:3000@x") -> Request:
    return Request("INVITE", URI.parse(uri), [FROM, ("To", f"<sip:{to}@x>"), *headers])


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([], "Ann <1001>"),
        ([PAI], "Cy <+4930111>"),
        ([RPID], "Dee <+4930222>"),
        ([RPID, PAI], "Cy <+4930111>"),
        ([("P-Asserted-Identity", '<tel:+4930333>, "Cy" <sip:cy@x>')], "+4930333"),
        ([("Remote-Party-ID", "<sip:9@x>;party=called")], "Ann <1001>"),
        ([("P-Asserted-Identity", '"broken <sip:')], "Ann <1001>"),
        ([PAI, ("Privacy", "critical; id")], "anonymous"),
        ([("Remote-Party-ID", "<sip:9@x>;privacy=full")], "anonymous"),
        ([PAI, ("Privacy", "none")], "Cy <+4930111>"),
    ],
)
def test_a_trunk_is_believed_who_calls(headers: list[tuple[str, str]], shown: str) -> None:
    assert caller_of(request(*headers), trusted=True) == shown


def test_nobody_else_is() -> None:
    assert caller_of(request(PAI, RPID)) == "Ann <1001>"


@pytest.mark.parametrize(
    ("uri", "to", "user", "number"),
    [
        ("sip:+4930123@x", "+4930123", "conf", "+4930123"),
        ("sip:conf@x", "+4930123", "conf", "+4930123"),
        ("sip:conf@x", "+4930123", "", "conf"),
        ("sip:3000@x", "conf", "conf", "3000"),
        ("sip:+4930123;npdi@x", "", "conf", "+4930123"),
    ],
)
def test_the_number_that_was_dialled(uri: str, to: str, user: str, number: str) -> None:
    assert dialled(request(to=to, uri=uri), user) == number


@pytest.mark.parametrize("at_trunk", [True, False])
def test_the_roster_shows_who_the_trunk_says(at_trunk: bool) -> None:
    office = Office()
    phone = office.phone()
    office.rules.trunks = {phone.address} if at_trunk else set()
    phone.call("3000", headers=[PAI])
    assert ("Cy <+4930111>" if at_trunk else "Ann <1001>") in office.did("3000 show members")
    office.close()
