"""Rows of fixed tables: taken, given back, taken again."""

from __future__ import annotations


class OutOfRows(Exception):
    """The table is full: the text says which, and what bounds it."""


class Rows:
    """The free rows of a table of `capacity` rows. The lowest are used first, so that a table stays dense in memory."""

    def __init__(self, capacity: int, name: str, first: int = 0) -> None:
        self.capacity = capacity
        self._name = name
        self._first = self._next = first
        self._free: list[int] = []

    @property
    def used(self) -> int:
        return self._next - self._first - len(self._free)

    def take(self) -> int:
        """A free row; raises OutOfRows."""
        if self._free:
            return self._free.pop()
        if self._next >= self.capacity:
            raise OutOfRows(f"no more than {self.capacity} {self._name}")
        self._next += 1
        return self._next - 1

    def give(self, row: int) -> None:
        """The row is free again."""
        self._free.append(row)
