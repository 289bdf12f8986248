"""Answers that no transaction is kept for (RFC 3261 section 8.2.7)."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import Outbox, Transmit
from xconf.sip.flow import Flow
from xconf.sip.message import Request
from xconf.sip.transactions import reply_path


class Stateless:
    """Answers a retransmission in the same way again."""

    def __init__(self, product: str, rng: random.Random, out: Outbox, counters: Counter[str]) -> None:
        self._product = product
        self._out = out
        self._counters = counters
        self._secret = rng.getrandbits(256).to_bytes(32, "big")

    def answer(
        self,
        request: Request,
        status: int,
        flow: Flow,
        headers: Sequence[tuple[str, str]] = (),
        reason: str | None = None,
    ) -> None:
        self._counters[f"stateless_{status}"] += 1
        items = [("Server", self._product), *headers]
        response = request.response(status, reason, to_tag=self._tag(request), headers=items)
        try:
            hop, reconnect = reply_path(request, flow)
        except RemoteProtocolError:  # its Via is the fault
            hop, reconnect = flow, None
        self._out.append(Transmit(hop, response.to_bytes(), reconnect))

    def _tag(self, request: Request) -> str:
        """The same for each retransmission, and nothing that others could guess."""
        same = "\n".join(value for name in ("Call-ID", "From", "CSeq") for value in request.headers.values(name))
        return hashlib.blake2s(same.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=8).hexdigest()
