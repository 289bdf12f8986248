"""Sounds that are made into files when they are wanted: words that a program speaks, and files of web servers that are allowed.

All of this waits: for programs, for the network.
"""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xconf.conference.errors import near
from xconf.conference.library import spoken
from xconf.media.sources import SoundError

FILE, VOICE = "{file}", "{voice}"
ESPEAK = {"espeak-ng": ["espeak-ng", "--stdin", "-v", VOICE, "-w", FILE]}
LONGEST_TEXT = 1000  # characters
SPEAKING = 15.0  # s that a program may take
FETCHING = 20.0  # s that a web server may take for each step
LARGEST = 64 << 20  # octets of a file
MOST_FILES = 200  # that are kept


class Files:
    """Files made by `make` of a text, the latest kept. Gone with the process."""

    def __init__(self, make: Callable[[str, Path], None]) -> None:
        self._make = make
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._kept: OrderedDict[str, Path] = OrderedDict()
        self._lock = threading.Lock()

    def file(self, text: str) -> Path:
        """The file of a text. Raises SoundError."""
        name = hashlib.sha256(text.encode()).hexdigest()[:32] + ".wav"
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="xconf-", ignore_cleanup_errors=True)
            path = Path(self._folder.name, name)
            if text in self._kept:
                self._kept.move_to_end(text)
                return path
        # Two threads may make the same one: each in a file of its own, and the last to finish is kept.
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as unfinished:
            made = Path(unfinished.name)
        try:
            self._make(text, made)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
        with self._lock:
            self._kept[text] = path
            oldest = self._kept.popitem(last=False)[1] if len(self._kept) > MOST_FILES else None
        if oldest is not None:
            oldest.unlink(missing_ok=True)
        return path


class Speech:
    """engines: programs by name, that speak what they read to a file, which stands among their arguments as `{file}`; the
    voice, where they have several, as `{voice}`.
    """

    def __init__(self, engines: Mapping[str, Sequence[str]]) -> None:
        self._engines = engines
        self.file = Files(self._speak).file

    def _speak(self, spec: str, path: Path) -> None:
        engine, voice, text = spoken(spec)
        text = text.strip()
        if not text:
            raise SoundError("say: what? give some words")
        if len(text) > LONGEST_TEXT:
            raise SoundError(f"say: at most {LONGEST_TEXT} characters are spoken, not {len(text)}")
        command = self._engines.get(engine)
        if command is None:
            raise SoundError(f"say: no engine '{engine}' in sounds.speech{near(engine, self._engines)}")
        program = command[0]
        try:
            ended = subprocess.run(  # no shell: the text is data, whatever is in it
                [part.replace(FILE, str(path)).replace(VOICE, voice) for part in command],
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=SPEAKING,
                check=False,
            )
        except FileNotFoundError:
            raise SoundError(
                f"say: there is no program {program}; install it (apt-get install espeak-ng), "
                "or name another one in sounds.speech"
            ) from None
        except subprocess.TimeoutExpired:
            raise SoundError(f"say: {program} took more than {SPEAKING:.0f} s") from None
        except OSError as error:
            raise SoundError(f"say: {program} cannot be run: {error.strerror}") from None
        if ended.returncode or not path.stat().st_size:
            told = ended.stderr.decode(errors="replace").strip().splitlines()
            raise SoundError(f"say: {program} failed: {told[-1] if told else f'status {ended.returncode}'}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Followed as far as they lead to what is allowed too."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not self._allowed(newurl):
            raise SoundError(f"sound {req.full_url} leads to {newurl}, which sounds.urls does not allow")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Web:
    """prefixes: addresses of files that may be played begin with one of these."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self._prefixes = [urlsplit(prefix) for prefix in prefixes]
        self._opener = urllib.request.build_opener(_Redirects(self.allows))
        self.file = Files(self._fetch).file

    def allows(self, url: str) -> bool:
        """Whether an address may be fetched: same server as one that is allowed, at or below its path."""
        try:
            asked = urlsplit(url)
        except ValueError:
            return False
        plain = ".." not in asked.path.split("/") and "%2e" not in asked.path.lower() and "@" not in asked.netloc
        return plain and any(
            (asked.scheme, asked.netloc) == (allowed.scheme, allowed.netloc)
            and (asked.path == allowed.path or asked.path.startswith(allowed.path.rstrip("/") + "/"))
            for allowed in self._prefixes
        )

    def _fetch(self, url: str, path: Path) -> None:
        if not self.allows(url):
            raise SoundError(f"sound {url} is not allowed; sounds.urls names what is")
        try:
            with self._opener.open(url, timeout=FETCHING) as answer, path.open("wb") as file:
                left = LARGEST
                while octets := answer.read(min(65536, left + 1)):
                    left -= len(octets)
                    if left < 0:
                        raise SoundError(f"sound {url} has more than {LARGEST >> 20} MB")
                    file.write(octets)
        except urllib.error.HTTPError as error:
            raise SoundError(f"sound {url}: the server says {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SoundError(f"sound {url} cannot be had: {getattr(error, 'reason', None) or error}") from None
