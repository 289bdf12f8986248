"""What the configuration says of callers, as the calls ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

from xconf.app.dialrules import DialRule, first_rule
from xconf.app.settings import Settings
from xconf.calls.access import Route
from xconf.calls.trunk import Trunk
from xconf.calls.trunks import Trunks
from xconf.sip.flow import Flow
from xconf.sip.message import Request
from xconf.sip.syntax import REMEMBERED, remembered


class ConfiguredAccess:
    """Who may call, and where numbers lead; of one reading of the configuration, whose trunks are those of `trunks`."""

    def __init__(self, settings: Settings, trunks: Trunks) -> None:
        self.realm = settings.sip.realm
        self.users: Mapping[str, str] = {**settings.sip.users, **trunks.users}
        self._settings = settings
        self._trunks = trunks
        # The same hosts call again, and the same numbers are called.
        self._allows = lru_cache(REMEMBERED)(settings.sip.allows)
        self._routes: dict[str, Callable[[str], Route | None]] = {}

    def trusts(self, host: str) -> bool:
        return self._trunks.at(host) or self._allows(host)

    def at_trunk(self, host: str) -> bool:
        return self._trunks.at(host)

    def trunk_media(self, address: str) -> bool:
        return self._trunks.media_at(address)

    def trunk_of(self, request: Request, flow: Flow) -> Trunk | None:
        return self._trunks.calling(request, flow)

    def trunk_of_user(self, user: str) -> Trunk | None:
        return self._trunks.of_user(user)

    def trunk_named(self, name: str) -> Trunk | None:
        return self._trunks.named(name)

    def route(self, dialled: str, trunk: Trunk | None = None) -> Route | None:
        name = trunk.name if trunk and trunk.name in self._settings.sip.trunks else ""
        route = self._routes.get(name)
        if route is None:
            own = self._settings.sip.trunks[name].dialplan if name else None
            route = self._routes[name] = remembered(partial(_route, own or self._settings.dialplan))
        return route(dialled)


def _route(rules: Sequence[DialRule], dialled: str) -> Route | None:
    found = first_rule(rules, dialled)
    if found is None:
        return None
    rule, conference = found
    return Route(conference, rule.profile, rule.flags.flags)
