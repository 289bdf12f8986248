"""An office whose server calls people: telephones that answer, are busy, ring for ever, redirect; in virtual time."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from calls_world import SIP, Office, Phone
from twisted.internet import defer
from twisted.internet.defer import Deferred

from xconf.calls.names import NamesError
from xconf.calls.outbound import Outbound
from xconf.calls.outbound_list import Invitations, Limits
from xconf.calls.outbound_rules import Allowed
from xconf.calls.trunks import Trunks
from xconf.conference import events
from xconf.conference.invitation import Wishes
from xconf.conference.turns import finish
from xconf.sip.events import Event, Invited
from xconf.sip.location import Target
from xconf.sip.sdp import SessionDescription
from xconf.sip.uri import URI

Reaction = Callable[[Invited], None]


class FixedNames:
    """Names that have one address each."""

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}

    def locate(
        self, host: str, port: int | None = None, transport: str | None = None, **_: Any
    ) -> Deferred[list[Target]]:
        address = self.hosts.get(host, host if host[0].isdigit() else "")
        if not address:
            return defer.fail(NamesError(f"there is no server for {host} in the DNS"))
        return defer.succeed([(transport or "udp", (address, port or 5060))])


class InvitingOffice(Office):
    """Whom it may call: whoever is at 127.0.0.0/8, and what `lists` names."""

    def __init__(self, limits: Limits | None = None, lists: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__()
        self.names = FixedNames()
        self.trunks = Trunks(self.sip, self.names)  # type: ignore[arg-type]
        self.allowed = Allowed((ipaddress.ip_network("127.0.0.0/8"),))
        parts = (self.reactor, self.calls, self.engine, self.sip, self.trunks, lambda: self.allowed)
        self.invitations = Invitations(
            Outbound(*parts), self.conferences.events, limits or Limits(rate=100), Wishes(), lists or {}
        )
        self.conferences.inviter = self.invitations

    def callee(self, reaction: Reaction | None = None, **options: Any) -> Callee:
        """A telephone that does as told with a call, which it answers otherwise."""
        phone = Callee(self, f"127.0.0.{2 + len(self.phones)}", **options)
        phone.reaction = reaction or phone.pick_up
        self.phones.append(phone)
        return phone

    def invite(self, *phones: Callee, options: str = "", conference: str = "3000") -> list[dict[str, Any]]:
        """Have them called; the rows of `invite list` a moment later."""
        self.did(f"invite {conference} {' '.join(phone.uri for phone in phones)} {options}")
        self.run(0.2)
        return self.rows

    @property
    def rows(self) -> list[dict[str, Any]]:
        return finish(self.invitations.rows())

    @property
    def states(self) -> list[str]:
        return [row["state"] for row in self.rows]

    @property
    def endings(self) -> list[events.InvitationEnded]:
        return [event for event in self.events if isinstance(event, events.InvitationEnded)]

    def close(self) -> None:
        self.invitations.stop()
        self.run(0.1)
        super().close()


class Callee(Phone):
    """invites: the calls that came."""

    reaction: Reaction

    def __init__(self, office: Office, address: str, **options: Any) -> None:
        super().__init__(office, address, **options)
        self.invites: list[Invited] = []

    @property
    def uri(self) -> str:
        return f"sip:phone@{self.address}" + (f":{self.sip_port}" if self.sip_port != SIP else "")

    def _handle(self, event: Event) -> None:
        if isinstance(event, Invited):
            self.events.append(event)
            self.session = event.session
            self.invites.append(event)
            self.version = 1
            body = event.request.body
            if body:
                self.description = SessionDescription.parse(body)
            self.reaction(event)
        else:
            super()._handle(event)

    # What it may do with a call

    def pick_up(self, event: Invited) -> None:
        event.session.accept(self.sdp(), self.office.now)

    def ring(self, event: Invited) -> None:
        event.session.ring(180, now=self.office.now)

    def say_nothing(self, event: Invited) -> None:
        """Not even that it rings."""

    def after_ringing(self, seconds: float) -> Reaction:
        def react(event: Invited) -> None:
            self.ring(event)
            self.office.reactor.callLater(seconds, self.answer_now)

        return react

    def answer_now(self) -> None:
        if self.session is not None and self.session.incoming:
            self.session.accept(self.sdp(), self.office.now)
            self.sip.pump()

    def refusing(self, status: int, *headers: tuple[str, str]) -> Reaction:
        return lambda event: event.session.refuse(status, headers=headers, now=self.office.now)

    def redirecting(self, *uris: str) -> Reaction:
        return self.refusing(302, *(("Contact", f"<{uri}>") for uri in uris))

    @property
    def called_by(self) -> str:
        """The From of the latest call."""
        return str(self.invites[-1].request.from_)

    @property
    def called_as(self) -> URI:
        return self.invites[-1].request.uri
