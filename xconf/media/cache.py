"""What was used last, up to so many octets: of memory, or of a folder. For any number of threads."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """size: octets of a value; gone: told of each value that is dropped."""

    def __init__(
        self, most: int, size: Callable[[Value], int], gone: Callable[[Value], None] = lambda value: None
    ) -> None:
        self.held = 0
        self._most = most
        self._size = size
        self._gone = gone
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep it, in place of what was used longest ago. What is larger than all that may be kept is not."""
        if self._size(value) > self._most:
            return
        with self._lock:
            if key in self._values:
                self.held -= self._size(self._values.pop(key))
            self._values[key] = value
            self.held += self._size(value)
            dropped = []
            while self.held > self._most:
                dropped.append(self._values.popitem(last=False)[1])
                self.held -= self._size(dropped[-1])
        for old in dropped:
            self._gone(old)


class Store:
    """Files that were made for a purpose and may be wanted again; in a folder of its own, which is gone with it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._sizes: dict[Path, int] = {}
        self._files: Cache[str, Path] = Cache(most, lambda path: self._sizes.get(path, 0), self._remove)

    def get(self, key: str, make: Callable[[Path], None]) -> Path:
        """The file of that key; `make` writes one, to the path that it is given, when there is none."""
        path = self._files.get(key)
        if path is not None and path.exists():
            return path
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="xconf-")
        folder = Path(self._folder.name)
        number, name = tempfile.mkstemp(dir=folder)
        os.close(number)
        made, path = Path(name), folder / hashlib.sha256(key.encode()).hexdigest()
        try:
            make(made)
            size = made.stat().st_size
            made.replace(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        self._sizes[path] = size
        self._files.put(key, path)
        return path

    def _remove(self, path: Path) -> None:
        self._sizes.pop(path, None)
        path.unlink(missing_ok=True)
