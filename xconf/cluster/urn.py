"""Names of which one is drawn in a dozen steps, however many there are.

A binary tree, in which a name has its place by its hash, and each branch the sum of what is below it. A draw goes down and takes
one side or the other as their sums have it, by a digit of the hash of what it is for. So whoever has the same names and weights
draws the same name for the same, and where one weight changes, few draws do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

LEVELS = 12
_LEAVES = 1 << LEVELS
_DIGITS = struct.Struct(f">{LEVELS + 1}I")
_ONE = 1 << 32  # what a digit is below


class Urn:
    """Each name is as probable as it weighs."""

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}
        self._names: dict[int, list[str]] = {}  # of a leaf, sorted
        self._sums: dict[int, float] = {}  # of a branch; the root is 1, below each are twice its number and the next

    def __len__(self) -> int:
        return len(self._weights)

    def __contains__(self, name: object) -> bool:
        return name in self._weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def put(self, name: str, weight: float) -> None:
        """weight: above 0."""
        if self._weights.get(name) == weight:
            return
        leaf = _leaf(name)
        if name not in self._weights:
            self._names[leaf] = sorted([*self._names.get(leaf, ()), name])
        self._weights[name] = weight
        self._sum_up(leaf)

    def remove(self, name: str) -> None:
        if self._weights.pop(name, None) is None:
            return
        leaf = _leaf(name)
        self._names[leaf].remove(name)
        if not self._names[leaf]:
            del self._names[leaf]
        self._sum_up(leaf)

    def _sum_up(self, leaf: int) -> None:
        # From what is below, never by a difference: so no rounding is left over.
        sums = self._sums
        total = sum(self._weights[name] for name in self._names.get(leaf, ()))
        at = leaf
        while at:
            if total:
                sums[at] = total
            else:
                sums.pop(at, None)
            total += sums.get(at ^ 1, 0.0) if at > 1 else 0.0
            at >>= 1

    def draw(self, what: str) -> str:
        """A name, the same wherever and whenever it is asked for. There has to be one."""
        digest = blake2b(what.encode(errors="surrogateescape"), digest_size=_DIGITS.size).digest()
        *digits, last = _DIGITS.unpack(digest)
        sums, at = self._sums, 1
        for digit in digits:
            left, right = sums.get(2 * at), sums.get(2 * at + 1)
            at = 2 * at + (left is None or (right is not None and digit * (left + right) >= left * _ONE))
        names = self._names[at]
        rest = last * sums[at] / _ONE
        for name in names[:-1]:
            rest -= self._weights[name]
            if rest < 0:
                return name
        return names[-1]


@lru_cache(maxsize=1 << 13)
def _leaf(name: str) -> int:
    return _LEAVES | int.from_bytes(blake2b(name.encode(), digest_size=2).digest()) % _LEAVES
