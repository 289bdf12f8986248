"""Applications on the call of who presses a key."""

from __future__ import annotations

from xconf.conference.commands import Argument, Reply, Table, command
from xconf.conference.controls import Action
from xconf.conference.errors import near
from xconf.conference.member import Member
from xconf.conference.turns import Turns

_NONE = ("exec", "api")  # no applications


def _application(text: str, table: Table) -> Action:
    name, _, rest = text.partition(" ")
    if name not in table.member or name in _NONE:
        raise ValueError(
            f"no application '{name}'{near(name, (known for known in table.member if known not in _NONE))}"
        )
    application = table.member[name]
    return Action(application, application.parse(rest.strip(), table), f"{name}:{rest.strip()}" if rest else name)


@command(
    "exec",
    argument=Argument("APPLICATION [ARGUMENT]", among=_application),
    rights=lambda application: application.rights,
)
def execute(member: Member, application: Action) -> Turns[Reply]:
    """Runs an application on the call: transfer, playback, move, flags, hangup, webhook, or another command for members."""
    return (yield from application.command.turns(member, application.argument))
