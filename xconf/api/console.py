"""`xconf ctl`: one command, a prompt, or a script of commands on standard input."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from xconf.api.client import ClientError, ControlClient, Reply
from xconf.conference.wording import event_line

HISTORY = Path("~/.xconf_history")
PROMPT = "xconf> "


Ask = Callable[[str], Any]
"""The data of a management command; nothing where it is refused."""
Offers = Callable[[Sequence[str], Ask], list[str]]
"""What the last of some words, perhaps empty, may become."""


def run(socket: Path, words: Sequence[str], *, as_json: bool = False, offers: Offers = lambda words, ask: []) -> int:
    """Sends `words`, or what is typed when there are none, to the server at `socket`; returns the exit status. offers: for
    the Tab key at the prompt.

    0: done; 1: the server refused something, or does not answer.
    """
    try:
        with ControlClient(socket) as client:
            if words:
                return ask(client, words, as_json)
            lines = prompted(completer(client, offers)) if sys.stdin.isatty() else sys.stdin
            return converse(client, lines, as_json)
    except ClientError as error:
        print(f"xconf: {error}", file=sys.stderr)
        return 1


def ask(client: ControlClient, command: str | Sequence[str], as_json: bool) -> int:
    """Sends one command and prints what comes of it, however long that goes on."""
    reply = client.request(command)
    if not reply.follows:
        return show(reply, as_json)
    for event in client.events():
        print(json.dumps(event) if as_json else event_line(event), flush=True)
    return 0


def show(reply: Reply, as_json: bool) -> int:
    """Prints an answer; an error goes to standard error."""
    if as_json:
        print(json.dumps({"ok": reply.ok, "text": reply.text, "data": reply.data}))
    elif not reply.ok:
        print(f"xconf: {reply.text}", file=sys.stderr)
    elif reply.text:
        print(reply.text)
    return 0 if reply.ok else 1


def converse(client: ControlClient, lines: Iterable[str], as_json: bool) -> int:
    """Sends line after line; the status is that of the worst."""
    status = 0
    for line in lines:
        command = line.strip()
        if command in ("exit", "quit"):
            break
        if command and not command.startswith("#"):
            status |= ask(client, command, as_json)
            sys.stdout.flush()
    return status


Completer = Callable[[str, int], str | None]
"""Of readline: the state-th of the words that a begun one may become."""


def completer(client: ControlClient, offers: Offers) -> Completer:
    """Asks the server whenever the Tab key is pressed."""
    found: list[str] = []

    def complete(begun: str, state: int) -> str | None:
        if state == 0:
            import readline

            before = readline.get_line_buffer()[: readline.get_begidx()].split()
            # What goes wrong here would spoil the line that is being typed; the command itself will say it.
            with contextlib.suppress(ClientError):
                found[:] = offers([*before, begun], lambda command: client.request(command).data)
        return f"{found[state]} " if state < len(found) else None

    return complete


def prompted(complete: Completer) -> Iterator[str]:
    """What is typed at a prompt, with the history of earlier times; ends at Ctrl-D."""
    with line_editing(complete):
        while True:
            try:
                yield input(PROMPT)
            except EOFError:
                print()
                return


@contextlib.contextmanager
def line_editing(complete: Completer) -> Iterator[None]:
    """Arrow keys bring back what was typed before, and Tab completes a word, if this Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    file = HISTORY.expanduser()
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(1000)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(file)
