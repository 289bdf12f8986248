"""What can be wrong in this room: a configuration, or a command."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

Path = tuple[str, ...]

LOOKED_AT = 200  # names that a mistyped one is compared with: it takes some 10 us for each


class ConfigError(ValueError):
    """A configuration that cannot be used: `path` is the key it stands at, `text` what is wrong and what is allowed."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(f"{'.'.join(path)}: {text}")
        self.path = path
        self.text = text


class CommandError(Exception):
    """A command that cannot be done; its text is the one line that its user sees."""


class ConferenceError(Exception):
    """A conference that cannot be had: the text says why; status: what the caller is answered (RFC 3261)."""

    status = 503


class ConferenceFull(ConferenceError):
    """A conference that takes nobody else."""

    status = 486


def near(word: str, known: Iterable[str]) -> str:
    """'; did you mean level?' or else what there is; for the end of a message. Looks at the first of very many only."""
    names = sorted(islice(known, LOOKED_AT))
    close = difflib.get_close_matches(word, names, n=3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there is {', '.join(names[:20])}" if names else ""
