"""From a configuration file to what the server is built of; with every fault in it, each in one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from cryptography import x509

from xconf.app.cluster_settings import Cluster
from xconf.app.convert import FAILED, Converter
from xconf.app.made_sounds import ESPEAK, Speech, Web
from xconf.app.paths import DTMF, SOUNDS
from xconf.app.problems import KeyPath
from xconf.app.settings import Control, History, Recording, Settings, SoundFolder
from xconf.app.sip_settings import Tls
from xconf.app.trunks import tls_files
from xconf.app.values import SocketPath
from xconf.app.yamlfile import Document, read_document
from xconf.conference import controls as controls_room
from xconf.conference import errors
from xconf.conference.commands import CommandsError, Table, load_folder
from xconf.conference.controls import Controls
from xconf.conference.dispatch import load_table
from xconf.conference.library import SAY, Library
from xconf.conference.profile import Profile, resolve
from xconf.media.sounds import Sounds
from xconf.media.sources import SoundError
from xconf.sip.tls.files import TLSError, load_certificates
from xconf.sip.tls.ports import Contexts
from xconf.sip.tls.ports import load as load_contexts

LONGEST_SOCKET_PATH = 107  # octets: sun_path of unix(7), less its end


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without faults. Everything that its files named has been read."""

    document: Document
    settings: Settings
    profiles: dict[str, Profile]
    controls: dict[str, Controls]
    commands: Table
    sounds: Sounds
    socket: Path
    history: Path | None
    contexts: Contexts | None
    """Of TLS; None when nothing is said of it, and no call goes out."""
    bus_trust: list[x509.Certificate] | None
    """Who signs the certificate of the broker between the nodes; None: whom the system believes."""

    @property
    def name(self) -> str:
        """The file, as it was named by who started us."""
        return self.document.file

    @property
    def path(self) -> Path:
        """The file, wherever the process stands meanwhile."""
        return self.document.folder / Path(self.document.file).name

    def restart_for(self, fresh: Configuration) -> list[str]:
        """The keys that differ in another reading of the file, and have an effect only at a start."""
        old, new = self.settings, fresh.settings
        keys = [
            *(("sip", key) for key in ("listen", "nameservers", "realm", "digest", "limits")),
            *(("cluster", key) for key in Cluster.__struct_fields__ if key not in ("secret", "previous_secret")),
            *((key,) for key in ("node", "rtp", "control", "sounds", "dtmf", "log", "history", "webhook", "recording")),
        ]
        return [".".join(key) for key in keys if attrgetter(".".join(key))(old) != attrgetter(".".join(key))(new)]


def load(file: str | Path, running: Configuration | None = None) -> Configuration:
    """Reads a configuration and all that it names. Raises ConfigError with all faults that can be found.

    running: the one in use, when this is a reload; its sounds are in use too, and new ones are added to them.
    """
    document = read_document(file)
    settings = Converter(document).convert(document.data, Settings, ())
    # Where a section has faults the others are looked at all the same, with that section's defaults.
    raw = document.data if isinstance(document.data, dict) else {}
    commands = _commands(document, raw)
    profiles = _profiles(document, raw)
    controls = _controls(document, raw, commands)
    _references(document, raw, profiles, controls)
    sounds = running.sounds if running else _sound_folder(document, raw)
    if running is None and settings is not FAILED:
        sounds.made = makers(settings.sounds)
    _prepare(document, sounds, profiles)
    socket = _absolute(document, settings.control.listen) if settings is not FAILED else Path()
    contexts = _contexts(document, settings) if settings is not FAILED else None
    trusted = _bus_trust(document, settings.cluster) if settings is not FAILED else None
    history = _history(document, settings.history) if settings is not FAILED else None
    if settings is not FAILED:
        _recordings(document, settings.recording, profiles)
    document.complain()
    return Configuration(document, settings, profiles, controls, commands, sounds, socket, history, contexts, trusted)


def socket_path(file: str | Path) -> Path:
    """The management socket that a configuration names, whatever else may be wrong in it. Raises ConfigError."""
    document = read_document(file)
    document.problems.clear()
    raw = document.data if isinstance(document.data, dict) else {}
    control = Converter(document).convert(raw.get("control"), Control, ("control",))
    document.complain()
    path = _absolute(document, control.listen)
    document.complain()
    return path


def _section(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section as it stands in the file, if it is one."""
    section = raw.get(name)
    return section if isinstance(section, dict) else {}


def _absolute(document: Document, listen: SocketPath) -> Path:
    path = document.folder / listen.path
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        text = f"{path} has {length} octets, a socket's path at most {LONGEST_SOCKET_PATH}; name a shorter one"
        document.problem(("control", "listen"), text)
    return path


def _history(document: Document, history: History) -> Path | None:
    """The file of the history, if there is to be one."""
    path = document.folder / history.file if history.file else None
    if path is not None and not os.access(path.parent, os.W_OK):
        document.problem(("history", "file"), f"the folder {path.parent} does not exist or is not writable")
    return path


def _recordings(document: Document, recording: Recording, profiles: Mapping[str, Profile]) -> None:
    """That there is a folder for recordings, or one can be made, where there are to be any."""
    if recording.folder:
        folder = document.folder / recording.folder
        if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
            text = f"the folder {folder} cannot be written to; make it, or give another"
            document.problem(("recording", "folder"), text)
        return
    for name, profile in profiles.items():
        if profile.record.auto:
            text = "is true, but there is no folder for recordings; give recording.folder"
            document.problem(("profiles", name, "record", "auto"), text)


def _commands(document: Document, raw: Mapping[str, Any]) -> Table:
    """The keypad's commands: those that come with xconf, and those of the folders that are named."""
    table = load_table([])
    named = _section(raw, "dtmf").get("folders") or []
    folders: list[tuple[KeyPath, Path]] = [(("dtmf",), DTMF)]
    for index, name in enumerate(named if isinstance(named, list) else []):
        if isinstance(name, str):
            folders.append((("dtmf", "folders", index), document.folder / name))
    for path, folder in folders:
        try:
            table.add(load_folder(folder))
        except CommandsError as error:
            document.problem(path, str(error))
    _allow(document, raw, table)
    return table


def _allow(document: Document, raw: Mapping[str, Any], table: Table) -> None:
    """What `api` on a key may run."""
    named = _section(raw, "dtmf").get("api")
    if not isinstance(named, list):
        return
    known = {**table.node, **table.conference, **table.member}
    for index, name in enumerate(named):
        if isinstance(name, str) and name not in known:
            document.problem(("dtmf", "api", index), f"no command '{name}'{errors.near(name, known)}")
    table.api = frozenset(name for name in named if isinstance(name, str))


def _profiles(document: Document, raw: Mapping[str, Any]) -> dict[str, Profile]:
    """The profiles that have no fault; `default` is there also when the file has none."""
    given = {"default": {}, **_section(raw, "profiles")}
    # First each with its own keys, so that a fault is shown once, where it stands, and not with every heir.
    converter = Converter(document)
    good = [converter.convert(own, Profile, ("profiles", name)) for name, own in given.items()]
    if any(profile is FAILED for profile in good):
        return {}
    try:
        return resolve(given)
    except errors.ConfigError as error:
        document.problem(error.path, error.text)
        return {}


def _controls(document: Document, raw: Mapping[str, Any], commands: Table) -> dict[str, Controls]:
    """The controls profiles; `default` is there also when the file has none."""
    sections = _section(raw, "controls")
    for name, digits, action in _actions(sections):
        try:
            Controls(name, {digits: action}, commands)
        except errors.ConfigError as error:
            document.problem(error.path, error.text)
    try:
        return controls_room.build(sections, commands)
    except errors.ConfigError as error:
        if error.path not in document.failed and ("dtmf",) not in document.failed:
            document.problem(error.path, error.text)
        return {}


def _actions(sections: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, actions in sections.items():
        for digits, action in actions.items() if isinstance(actions, dict) else ():
            yield name, digits, action


def _references(
    document: Document, raw: Mapping[str, Any], profiles: Mapping[str, Profile], controls: Mapping[str, Controls]
) -> None:
    """What names something else must name something that there is."""
    known = {"default", *_section(raw, "profiles")}
    plans: list[tuple[KeyPath, Any]] = [(("dialplan",), raw.get("dialplan"))]
    for name, trunk in _section(_section(raw, "sip"), "trunks").items():
        plans.append((("sip", "trunks", name, "dialplan"), trunk.get("dialplan") if isinstance(trunk, dict) else None))
    for path, rules in plans:
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                _rule(document, (*path, index), rule, known)
    invite = _section(raw, "invite")
    _rule(document, ("invite",), invite, known)
    trunk = invite.get("trunk")
    trunks = set(_section(_section(raw, "sip"), "trunks"))
    if isinstance(trunk, str) and trunk not in trunks:
        document.problem(("invite", "trunk"), f"no trunk '{trunk}'{errors.near(trunk, trunks)}")
    names = {"default", *_section(raw, "controls")}
    engines = {*ESPEAK, *_section(_section(raw, "sounds"), "speech")}
    for name, profile in profiles.items():
        if profile.tts_engine not in engines:
            text = f"no engine '{profile.tts_engine}' in sounds.speech{errors.near(profile.tts_engine, engines)}"
            document.problem(("profiles", name, "tts_engine"), text)
        for key in ("admin_controls", "user_controls"):
            wanted = getattr(profile, key)
            if wanted not in names:
                text = f"no controls '{wanted}'{errors.near(wanted, names)}"
                _once(document, ("profiles", name, key), text)


def _rule(document: Document, path: KeyPath, rule: Mapping[str, Any], profiles: set[str]) -> None:
    profile = rule.get("profile", "default")
    if isinstance(profile, str) and profile not in profiles:
        document.problem((*path, "profile"), f"no profile '{profile}'{errors.near(profile, profiles)}")


def _contexts(document: Document, settings: Settings) -> Contexts | None:
    """The certificates that are named, read and tried."""
    tls = settings.sip.tls
    if tls == Tls() and not settings.sip.trunks:
        return None
    try:
        return load_contexts(tls_files(tls, document.folder))
    except TLSError as error:
        document.problem(("sip", "tls", error.key), str(error))
        return None


def _bus_trust(document: Document, its: Cluster) -> list[x509.Certificate] | None:
    """Who signs the broker's certificate."""
    if its.bus_ca is None:
        return None
    try:
        return load_certificates("bus_ca", document.folder / its.bus_ca)
    except TLSError as error:
        document.problem(("cluster", error.key), str(error))
        return None


def _sound_folder(document: Document, raw: Mapping[str, Any]) -> Sounds:
    named = _section(raw, "sounds").get("path")
    folder = document.folder / named if isinstance(named, str) else SOUNDS
    if not folder.is_dir():
        document.problem(("sounds", "path"), f"there is no folder {folder}")
    return Sounds(folder)


def makers(its: SoundFolder) -> dict[str, Callable[[str], Path]]:
    """What makes files of sounds that are none, by how their texts begin."""
    web = Web([url.text for url in its.urls])
    return {
        SAY: Speech({**ESPEAK, **its.speech}).file,
        **({"http://": web.file, "https://": web.file} if its.urls else {}),
    }


def _prepare(document: Document, sounds: Sounds, profiles: Mapping[str, Profile]) -> None:
    """All sounds that profiles name, decoded."""
    if ("sounds", "path") in document.failed:
        return
    library = Library(sounds)
    for name, profile in profiles.items():
        for key, spec in profile.sounds().items():
            try:
                sounds.prepare(library.locate(spec, profile), profile.sample_rate)
            except SoundError as error:
                _once(document, ("profiles", name, key), str(error))


def _once(document: Document, path: KeyPath, text: str) -> None:
    """A fault of a profile's key, unless it is told of the profile that the key is inherited from."""
    if not any(problem.text == text and problem.path[-1:] == path[-1:] for problem in document.problems):
        document.problem(path, text)
