"""What the configuration says of callers, as the calls ask it."""

from __future__ import annotations

from collections.abc import Mapping

from xconf.app.settings import Settings
from xconf.calls.access import Route


class ConfiguredAccess:
    """Who may call, and where numbers lead; of one reading of the configuration."""

    def __init__(self, settings: Settings) -> None:
        self.realm = settings.sip.realm
        self.users: Mapping[str, str] = settings.sip.users
        self._settings = settings

    def trusts(self, host: str) -> bool:
        return self._settings.sip.trusts(host)

    def at_trunk(self, host: str) -> bool:
        return self._settings.sip.at_trunk(host)

    def route(self, dialled: str) -> Route | None:
        found = self._settings.route(dialled)
        if found is None:
            return None
        rule, conference = found
        return Route(conference, rule.profile, rule.flags.flags)
