"""The console program: `xconf check-config`, `xconf ctl`, `xconf phone`, `xconf load`, `xconf cluster-init`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xconf.app.problems import ConfigError
from xconf.app.version import VERSION

USAGE = """\
usage: xconf COMMAND …

  check-config FILE   say whether a configuration can be used, and what is wrong with it
  ctl WORDS…          ask or tell the running server something; without words, a prompt
  phone SIP-URI       a small telephone, for trying things
  load SIP-URI        many calls at once, and how they fared
  cluster-init N      write what a main node and N visitor nodes are started with
  completion SHELL    what the Tab key offers: eval "$(xconf completion bash)", or zsh
  COMMAND --help      more of one command

The server itself: twistd -n xconf -c FILE"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the result is the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] == "--version":
        print(f"xconf {VERSION}")
        return 0
    if words[0] not in COMMANDS:
        return fail(f"there is no command {words[0]}; there are {', '.join(COMMANDS)} (xconf --help)", 2)
    try:
        return COMMANDS[words[0]](words[1:])
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def fail(text: str, status: int = 1) -> int:
    """Says what went wrong, in one line for each thing."""
    for line in text.splitlines():
        print(f"xconf: {line}", file=sys.stderr)
    return status


def check_config(arguments: Sequence[str]) -> int:
    from xconf.app.config import load
    from xconf.app.summary import summary

    parser = argparse.ArgumentParser(prog="xconf check-config", description="Says whether a configuration can be used.")
    parser.add_argument("file", metavar="FILE", help="the configuration, like conf/xconf.yaml")
    file = parser.parse_args(arguments).file
    try:
        configuration = load(file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: ok", *summary(configuration), sep="\n")
    return 0


def ctl(arguments: Sequence[str]) -> int:
    from xconf.api import console
    from xconf.app.config import socket_path
    from xconf.app.paths import default_config

    parser = argparse.ArgumentParser(
        prog="xconf ctl",
        usage="xconf ctl [-c FILE | --socket PATH] [--json] [WORDS …]",
        description="Asks or tells the running server something. `xconf ctl help` names what there is; "
        "without words there is a prompt.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-c", "--config", metavar="FILE", help="the server's configuration; default: conf/xconf.yaml")
    where.add_argument("--socket", metavar="PATH", type=Path, help="the server's management socket")
    parser.add_argument("--json", action="store_true", help="answer for programs")
    parser.add_argument("words", metavar="WORDS", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    # After the words, too: no command has such a word.
    as_json = options.json or "--json" in options.words
    words = [word for word in options.words if word != "--json"]
    try:
        path = options.socket or socket_path(options.config or default_config())
    except ConfigError as error:
        return fail(f"{error}" if options.config else f"{error}; --socket PATH also names a server")
    return console.run(path, words, as_json=as_json, offers=_offered)


def _offered(typed: Sequence[str], ask: Callable[[str], Any]) -> list[str]:
    """At the prompt. What it takes is loaded when somebody wants it: a single command is done sooner."""
    from xconf.app.completion import candidates

    return candidates(["ctl", *typed], (), ask)


def phone(arguments: Sequence[str]) -> int:
    # A telephone brings Twisted's reactor with it; the other commands start faster without.
    command: Callable[[Sequence[str]], int] = importlib.import_module("xconf.phone.command").main
    return command(arguments)


def load(arguments: Sequence[str]) -> int:
    command: Callable[[Sequence[str]], int] = importlib.import_module("xconf.phone.load").main
    return command(arguments)


def cluster_init(arguments: Sequence[str]) -> int:
    command: Callable[[Sequence[str]], int] = importlib.import_module("xconf.app.cluster_init").main
    return command(arguments)


def completion(arguments: Sequence[str]) -> int:
    from xconf.app.completion import SCRIPTS, candidates

    if arguments and arguments[0] == "words":
        print("\n".join(candidates(arguments[1:], COMMANDS, _asked)))
        return 0
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        return fail(f"for which shell? {' or '.join(SCRIPTS)}", 2)
    print(SCRIPTS[arguments[0]])
    return 0


def _asked(command: str) -> Any:
    """The data of a management command of the server here; None when there is none."""
    from xconf.api.client import ClientError, ControlClient
    from xconf.app.config import socket_path
    from xconf.app.paths import default_config

    try:
        with ControlClient(socket_path(default_config()), timeout=2.0) as client:
            return client.request(command).data
    except (ClientError, ConfigError):
        return None


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "check-config": check_config,
    "ctl": ctl,
    "cluster-init": cluster_init,
    "completion": completion,
    "phone": phone,
    "load": load,
}
