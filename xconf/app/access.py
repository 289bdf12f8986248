"""What the configuration says of callers, as the calls ask it."""

from __future__ import annotations

from collections.abc import Mapping

from xconf.app.dialrules import first_rule
from xconf.app.settings import Settings
from xconf.calls.access import Route
from xconf.calls.trunk import Trunk
from xconf.calls.trunks import Trunks
from xconf.sip.flow import Flow
from xconf.sip.message import Request


class ConfiguredAccess:
    """Who may call, and where numbers lead; of one reading of the configuration, whose trunks are those of `trunks`."""

    def __init__(self, settings: Settings, trunks: Trunks) -> None:
        self.realm = settings.sip.realm
        self.users: Mapping[str, str] = {**settings.sip.users, **trunks.users}
        self._settings = settings
        self._trunks = trunks

    def trusts(self, host: str) -> bool:
        return self._trunks.at(host) or self._settings.sip.allows(host)

    def at_trunk(self, host: str) -> bool:
        return self._trunks.at(host)

    def trunk_media(self, address: str) -> bool:
        return self._trunks.media_at(address)

    def trunk_of(self, request: Request, flow: Flow) -> Trunk | None:
        return self._trunks.calling(request, flow)

    def trunk_of_user(self, user: str) -> Trunk | None:
        return self._trunks.of_user(user)

    def route(self, dialled: str, trunk: Trunk | None = None) -> Route | None:
        own = (
            self._settings.sip.trunks[trunk.name].dialplan
            if trunk and trunk.name in self._settings.sip.trunks
            else None
        )
        found = first_rule(own, dialled) if own else self._settings.route(dialled)
        if found is None:
            return None
        rule, conference = found
        return Route(conference, rule.profile, rule.flags.flags)
