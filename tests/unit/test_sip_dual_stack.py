"""One socket of IPv6 for all of a machine's addresses: callers of IPv4 are known by the addresses that they have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from xconf.sip.flow import Flow
from xconf.sip.ports import DatagramPort, Routes, plain


@pytest.mark.parametrize(
    ("host", "shown"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("::1", "::1")],
)
def test_the_address_of_a_caller(host: str, shown: str) -> None:
    assert plain(host) == shown


@pytest.mark.parametrize("seen", ["::ffff:127.0.0.1", "::1"])
def test_answers_go_back_to_where_requests_came_from(seen: str) -> None:
    flows: list[Flow] = []
    sent: list[Any] = []
    owner: Any = SimpleNamespace(traced=lambda *_: None, received=lambda data, flow: flows.append(flow))
    port = DatagramPort(owner, Routes())
    port.place = ("::", 5060)
    port.transport = SimpleNamespace(write=lambda data, to: sent.append(to))
    port.datagramReceived(b"x", (seen, 5070, 0, 0))
    assert flows[0].remote == (plain(seen), 5070)
    port.send(flows[0], b"y")
    assert sent == [(seen, 5070)]
