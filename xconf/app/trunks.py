"""What the configuration says of trunks and of TLS, as signalling takes it."""

from __future__ import annotations

from pathlib import Path

from xconf.app.settings import Settings
from xconf.app.sip_settings import Tls
from xconf.app.sip_settings import Trunk as TrunkSettings
from xconf.calls.trunk import Trunk
from xconf.sip.tls.files import Files, Verify


def trunks_of(settings: Settings) -> list[Trunk]:
    return [_trunk(name, trunk) for name, trunk in settings.sip.trunks.items()]


def _trunk(name: str, its: TrunkSettings) -> Trunk:
    servers = its.servers
    origins = [*([its.address] if its.address else []), *its.allow]
    username = its.username or ""
    return Trunk(
        name=name,
        servers=tuple((server.host, server.port) for server in servers),
        transport=None if its.transport == "auto" else its.transport,
        domain=its.domain or (servers[0].host if servers else ""),
        username=username,
        credentials=(its.auth_username or username, its.password) if its.password else None,
        register=its.register,
        expires=its.expires,
        retry=its.retry,
        networks=tuple(origin.network.network for origin in origins if origin.network),
        hosts=tuple((at.host.host, at.host.port) for at in origins if at.host and not at.network),
        front=its.front,
        media=tuple(network.network for network in its.media),
        users=its.users,
        certificate=(its.certificate_name or "").lower(),
        options_interval=its.options_interval,
        caller_id=its.caller_id or "",
    )


def tls_files(tls: Tls, folder: Path) -> Files:
    """Relative paths are relative to the folder of the configuration."""
    certificate, key, ca = ((folder / name if name else None) for name in (tls.certificate, tls.key, tls.ca))
    return Files(certificate, key, ca)


def verification(tls: Tls) -> Verify:
    words: dict[bool | str, Verify] = {True: "required", False: "never", "optional": "optional"}
    return words[tls.verify_client]
