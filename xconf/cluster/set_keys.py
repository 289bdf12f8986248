"""Which keys were set in conferences while they run, and how often any was: whoever has fewer lacks something."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 0xFFFFFFFF


@dataclass(slots=True)
class _Book:
    count: int = 0
    keys: dict[str, None] = field(default_factory=dict)  # in the order in which they were set first
    awaited: set[str] = field(default_factory=set)  # are being taken over, and counted already


class SetKeys:
    """Of the conferences of one node."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    def __len__(self) -> int:
        """Of how many conferences something is kept."""
        return len(self._books)

    def noted(self, conference: str, key: str) -> None:
        """A key was set here."""
        book = self._books.setdefault(conference, _Book())
        book.keys[key] = None
        if key in book.awaited:
            book.awaited.discard(key)
        else:
            book.count = min(book.count + 1, MOST)

    def take_over(self, conference: str, count: int, keys: list[str]) -> None:
        """Another node has set keys so often; these are about to be set here, too."""
        book = self._books.setdefault(conference, _Book())
        book.count = min(max(book.count, count), MOST)
        book.awaited.update(keys)

    def not_taken(self, conference: str, key: str) -> None:
        """It cannot be set here."""
        book = self._books.get(conference)
        if book is not None:
            book.awaited.discard(key)

    def count(self, conference: str) -> int:
        """How often any was, here or where that was taken over from."""
        book = self._books.get(conference)
        return book.count if book is not None else 0

    def keys(self, conference: str) -> list[str]:
        book = self._books.get(conference)
        return list(book.keys) if book is not None else []

    def forget(self, conference: str) -> None:
        """It is over."""
        self._books.pop(conference, None)
