"""`xconf cluster-init`: what it writes can be used, is for its owner alone, and takes nobody's place."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from xconf.app import cli, node_files
from xconf.app.config import load
from xconf.app.forwarding import listed
from xconf.app.nodes import offered
from xconf.cluster.nodes import NodeTable
from xconf.cluster.router import Caller, Router
from xconf.cluster.status import Load, Reporter


def init(folder: Path, *arguments: str) -> int:
    return cli.main(["cluster-init", *arguments, "--folder", str(folder)])


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests runs the nodes, root too."""
    monkeypatch.setattr("xconf.app.cluster_init.os.geteuid", lambda: 1000)


def test_each_configuration_passes_check_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "c", "3") == 0
    for name in ("main", "v1", "v2", "v3"):
        assert cli.main(["check-config", str(tmp_path / "c" / name / "xconf.yaml")]) == 0
        assert f"{name} " in capsys.readouterr().out.replace("/", " ")


def test_all_nodes_know_each_other_and_nothing_is_taken_twice(tmp_path: Path) -> None:
    assert init(tmp_path, "3") == 0
    settings = [load(tmp_path / name / "xconf.yaml").settings for name in ("main", "v1", "v2", "v3")]
    tunnels = {str(one.cluster.listen) for one in settings}
    assert len(tunnels) == 4 and len({one.cluster.secret for one in settings}) == 1
    for one in settings:
        assert {str(peer) for peer in one.cluster.peers} == tunnels - {str(one.cluster.listen)}
    assert len({str(listen) for one in settings for listen in one.sip.listen}) == 8
    ports = [number for one in settings for number in range(one.rtp.ports.first, one.rtp.ports.last + 1)]
    assert len(ports) == len(set(ports))
    assert [one.node.name for one in settings] == ["main", "v1", "v2", "v3"]


def test_who_dials_a_visitor_node_listens(tmp_path: Path) -> None:
    assert init(tmp_path, "1") == 0
    main, visitor = (load(tmp_path / name / "xconf.yaml").settings for name in ("main", "v1"))
    for settings, flags in ((main, "+speaker"), (visitor, "")):
        route = settings.route("3000")
        assert route is not None and route[1] == "3000" and route[0].flags.text == flags


def seen_by(tmp_path: Path, name: str, calls: dict[str, int]) -> tuple[Router, Load]:
    """A node's router, and its load, in the cluster as it was written, where nodes have so many calls."""
    loads = {
        node: replace(offered(load(tmp_path / node / "xconf.yaml").settings), calls=calls.get(node, 0))
        for node in ("main", "v1", "v2")
    }
    table = NodeTable()
    for number, (node, its) in enumerate(loads.items()):
        if node != name:
            table.appeared(node, number + 1, 0.0)
            for body in Reporter().complete(its, []):
                table.received(node, body, 0.0)
    return Router(name, table), loads[name]


SPEAKS, LISTENS = Caller("3000", True, "1"), Caller("3000", False, "1")


@pytest.mark.parametrize(
    ("called", "caller", "calls", "node"),
    [
        ("main", SPEAKS, {"main": 900}, "main"),
        ("main", LISTENS, {"v1": 1990}, "v2"),
        ("main", LISTENS, {"v1": 2000, "v2": 2000}, "main"),  # better than nowhere
        ("v1", LISTENS, {"v1": 100, "v2": 110}, "v1"),
        ("v1", LISTENS, {"v1": 1000}, "v2"),
        ("v1", LISTENS, {"v1": 2000, "v2": 1999}, "v2"),
        ("v2", LISTENS, {"v1": 2000, "v2": 2000}, ""),
    ],
)
def test_a_call_to_any_node_goes_where_there_is_room(
    tmp_path: Path, called: str, caller: Caller, calls: dict[str, int], node: str
) -> None:
    assert init(tmp_path, "2") == 0
    router, own = seen_by(tmp_path, called, calls)
    choice = router.choose(caller, own, 0, 0.0)
    assert (choice.node if choice else "") == node
    assert choice is None or choice.uri == {"v2": "sip:127.0.0.1:5080"}.get(node if node != called else "", "")


def test_who_does_not_follow_is_forwarded_by_all_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path, "1", "--forward", "192.0.2.0/24", "--forward", "198.51.100.7") == 0
    for name in ("main", "v1"):
        cluster = load(tmp_path / name / "xconf.yaml").settings.cluster
        assert [listed(cluster, host, "") for host in ("192.0.2.9", "198.51.100.7", "127.0.0.1")] == [True, True, False]
    assert init(tmp_path / "other", "1", "--forward", "carrier") == 1
    assert "--forward: 'carrier'" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_behind_a_front_all_nodes_are_alike_and_nobody_else_calls(tmp_path: Path) -> None:
    assert init(tmp_path, "2", "--front", "127.0.0.5", "--allow", "192.0.2.0/24") == 0
    for name in ("main", "v1", "v2"):
        settings = load(tmp_path / name / "xconf.yaml").settings
        assert not settings.sip.allow and settings.cluster.router.enable and settings.sip.limits.calls == 2000
        (trunk,) = settings.sip.trunks.values()
        assert trunk.front and trunk.address is not None and str(trunk.address.network) == "127.0.0.5/32"
        route = settings.route("3000")
        assert route is not None and route[0].flags.text == "+speaker"
    assert '#!trydef CALLERS "192.0.2.0/24"' in (tmp_path / "front/front.cfg").read_text()
    asks = (tmp_path / "front/xconf-dispatcher.service").read_text()
    assert [f"{tmp_path}/{name}/xconf.yaml'" in asks for name in ("main", "v1", "v2")] == [True] * 3
    assert "ssh" not in asks


def test_the_front_asks_nodes_of_other_machines_by_ssh_and_has_an_address_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = ["--address", "192.0.2.10", "--address", "192.0.2.11"]
    assert init(tmp_path, "1", *addresses, "--front", "192.0.2.11") == 1
    assert "give kamailio an address of its own" in capsys.readouterr().err
    assert init(tmp_path, "1", *addresses, "--front", "192.0.2.5") == 0
    asks = (tmp_path / "front/xconf-dispatcher.service").read_text()
    assert "'ssh -o ConnectTimeout=3 192.0.2.11 " in asks


def test_secrets_are_for_their_owner_alone_and_new_each_time(tmp_path: Path) -> None:
    assert init(tmp_path / "a", "1") == 0 and init(tmp_path / "b", "1") == 0
    for name in ("main", "v1"):
        folder = tmp_path / "a" / name
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    keys = [(tmp_path / name / "main" / "cluster.key").read_text().strip() for name in ("a", "b")]
    assert len(set(keys)) == 2 and all(len(key) == 64 for key in keys)


def test_machines_of_their_own_have_the_usual_ports(tmp_path: Path) -> None:
    given = [word for number in (1, 2, 3) for word in ("--address", f"192.0.2.{number}")]
    assert init(tmp_path, "2", *given, "--allow", "198.51.100.0/24") == 0
    settings = load(tmp_path / "v2" / "xconf.yaml").settings
    assert [str(listen) for listen in settings.sip.listen] == ["udp://192.0.2.3:5060", "tcp://192.0.2.3:5060"]
    assert [str(peer) for peer in settings.cluster.peers] == ["192.0.2.1:65021", "192.0.2.2:65021"]
    assert settings.sip.allows("198.51.100.7") and not settings.sip.allows("192.0.2.1")


def test_a_unit_starts_its_node(tmp_path: Path) -> None:
    assert init(tmp_path, "1") == 0
    unit = (tmp_path / "systemd" / "xconf-v1.service").read_text()
    assert f"xconf -c {tmp_path}/v1/xconf.yaml" in unit and f"ReadWritePaths={tmp_path}/v1\n" in unit


@pytest.mark.parametrize("taken", ["main", "v2", "systemd"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / taken).mkdir()
    (tmp_path / taken / "mine").write_text("mine")
    assert init(tmp_path, "2") == 1
    assert f"{tmp_path / taken} exists; nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken / "mine").read_text() == "mine"


def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_files, "LISTENERS", "dialplan: nonsense\n")
    assert init(tmp_path, "2") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["0"], "0 visitor nodes; 1 to 255 are possible"),
        (["256"], "256 visitor nodes"),
        (["200"], "201 nodes at 127.0.0.1; 150 have enough ports"),
        (["2", "--address", "192.0.2.1", "--address", "192.0.2.2"], "2 addresses; give one for all, or 3"),
        (["1", "--address", "example.com"], "'example.com' is not the IPv4 address of a machine"),
        (["1", "--allow", "all"], "give a network like 192.0.2.0/24"),
        (["1", "--user", "nobody-of-that-name"], "there is no user nobody-of-that-name"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path, *words) == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_most_nodes_of_one_address_have_ports_of_their_own(tmp_path: Path) -> None:
    most = str(node_files.MOST_OF_ONE_ADDRESS - 1)
    nodes = node_files.nodes_at(["127.0.0.1"], int(most))
    assert len({node.sip for node in nodes} | {node.tunnel for node in nodes}) == 2 * len(nodes)
    assert int(nodes[-1].rtp.split("-")[1]) < node_files.FIRST_TUNNEL
    assert int(nodes[-1].tunnel.split(":")[1]) < 65536
    assert int(nodes[-1].sip.split(":")[1]) < node_files.FIRST_RTP
