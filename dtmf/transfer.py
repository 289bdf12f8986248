"""Going to somebody else: the telephone is told to call them."""

from __future__ import annotations

from xconf.conference.commands import Argument, Reply, command
from xconf.conference.errors import CommandError
from xconf.conference.later import Later
from xconf.conference.member import Member
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.uri import URI


def _target(text: str) -> str:
    try:
        uri = URI.parse(text)
    except RemoteProtocolError:
        uri = None
    if uri is None or not uri.is_sip or not uri.host:
        raise ValueError(f"'{text}' is not a SIP URI like sip:1001@192.0.2.10")
    return text


@command("transfer", argument=Argument("SIP-URI", _target))
def transfer(member: Member, target: str) -> Reply:
    """Has the telephone call a SIP URI instead (blind transfer); it leaves when that is answered, else it stays."""
    member.require_in()
    name, later = member.id, Later()

    def told(error: str) -> None:
        later.tell(CommandError(f"{target}: {error}") if error else Reply(f"{name} has gone to {target}"))

    member.call.refer(target, told)
    return Reply(f"{name} is told to call {target}", later=later)
