"""What the configuration says of callers: which plan a call's number goes by, and whose calls are known by what."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from xconf.api.server_commands import server_commands
from xconf.app import config
from xconf.app.access import ConfiguredAccess
from xconf.app.trunks import trunks_of
from xconf.calls.names import Names
from xconf.calls.trunk import TrunkState
from xconf.calls.trunks import Trunks
from xconf.sip.transport import SIPService

TEXT = r"""
sip:
  listen: [udp://127.0.0.1:5060]
  allow: [127.0.0.0/8]
  users: {ann: secret}
  trunks:
    carrier:
      address: 192.0.2.10
      media: [10.0.0.0/8]
      dialplan: [{number: '\+4930(\d)', conference: 'room\1', profile: pin, flags: +speaker}]
    plain: {address: 192.0.2.11}
    branch: {users: {berlin: word}, dialplan: [{number: '1', conference: branch}]}
rtp: {address: 127.0.0.1}
dialplan: [{number: '(30\d\d)', conference: '\1'}]
profiles: {pin: {inherit: default}}
"""


@pytest.fixture
def access(tmp_path: Path) -> ConfiguredAccess:
    (tmp_path / "x.yaml").write_text(TEXT)
    settings = config.load(tmp_path / "x.yaml").settings
    trunks = Trunks(cast(SIPService, FakeSip()), cast(Names, None))
    trunks.adopt(trunks_of(settings))
    return ConfiguredAccess(settings, trunks)


class FakeSip:
    """No trunk of the test calls anybody."""

    user_agent = None
    reactor = None


def test_a_trunk_with_a_plan_of_its_own_goes_by_that_alone(access: ConfiguredAccess) -> None:
    carrier, plain = access._trunks._at("192.0.2.10")[0], access._trunks._at("192.0.2.11")[0]
    route = access.route("+49307", carrier)
    assert route is not None
    assert (route.conference, route.profile, route.flags) == ("room7", "pin", {"speaker": True})
    assert access.route("3000", carrier) is None
    assert access.route("3000", plain) == access.route("3000")
    assert access.route("+49307") is None


def test_who_needs_no_password_and_whose_sound_may_come_from_where(access: ConfiguredAccess) -> None:
    assert [access.trusts(host) for host in ("127.0.0.1", "192.0.2.10", "192.0.2.12", "10.0.0.1")] == [
        True,
        True,
        False,
        False,
    ]
    assert [access.trunk_media(host) for host in ("192.0.2.10", "10.0.0.1", "172.16.0.1")] == [True, True, False]


def test_a_password_can_be_a_trunks(access: ConfiguredAccess) -> None:
    assert access.users == {"ann": "secret", "berlin": "word"}
    branch = access.trunk_of_user("berlin")
    assert branch is not None
    assert access.route("1", branch).conference == "branch"  # type: ignore[union-attr]
    assert access.trunk_of_user("ann") is None


def state(**changes: Any) -> TrunkState:
    usual: dict[str, Any] = {
        "name": "t",
        "registration": "not used",
        "expires": None,
        "retry": None,
        "reachable": None,
        "round_trip": None,
        "server": "",
        "error": "",
        "addresses": [],
    }
    return TrunkState(**(usual | changes))


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (state(), "t  not asked"),
        (
            state(
                registration="registered",
                expires=3063.0,
                server="tls 192.0.2.1:5061",
                reachable=True,
                round_trip=0.0123,
            ),
            "t  registered for 51m 3s, reachable in 12 ms at tls 192.0.2.1:5061",
        ),
        (
            state(registration="waiting", retry=24.2, server="udp 192.0.2.1:5060", error="no answer"),
            "t  waiting at udp 192.0.2.1:5060: no answer; next try in 24s",
        ),
        (state(reachable=False, error="udp x: no answer to OPTIONS"), "t  not reachable: udp x: no answer to OPTIONS"),
    ],
)
def test_how_a_trunk_is_shown(shown: TrunkState, line: str) -> None:
    class Server:
        def trunk_states(self) -> list[TrunkState]:
            return [shown]

    command = next(command for command in server_commands(cast(Any, Server())) if command.name == "trunks")
    reply = cast(Any, command.run)(None)
    assert reply.text == line
    assert reply.data[0]["name"] == "t"
