"""Whose packet is it: legs by (local media port, remote address), and latching where the remote address is not known yet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Legs = npt.NDArray[np.int64]
RELATCH_AMONG = 64  # legs of one address at one port among which a silent one is looked for


class SourceTable:
    """Sorted keys (see `hosts.Hosts`) and the leg of each: whole batches are looked up at once."""

    def __init__(self) -> None:
        self._count = 0
        self._all_keys = np.zeros(64, np.uint64)
        self._all_legs = np.zeros(64, np.int64)
        self._cut()

    def _cut(self) -> None:
        self._keys, self._legs = self._all_keys[: self._count], self._all_legs[: self._count]

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: int) -> bool:
        return self._at(key)[1]

    def _at(self, key: int) -> tuple[int, bool]:
        """Where the key is, or would be; and whether it is there."""
        at = int(self._keys.searchsorted(np.uint64(key)))
        return at, at < self._count and int(self._keys[at]) == key

    def add(self, key: int, leg: int) -> bool:
        """False when another leg has that key."""
        at, there = self._at(key)
        if there:
            return False
        if self._count == len(self._all_keys):
            self._all_keys = np.concatenate([self._all_keys, self._all_keys])
            self._all_legs = np.concatenate([self._all_legs, self._all_legs])
        for column, value in ((self._all_keys, key), (self._all_legs, leg)):
            column[at + 1 : self._count + 1] = column[at : self._count]
            column[at] = value
        self._count += 1
        self._cut()
        return True

    def remove(self, key: int) -> None:
        at, there = self._at(key)
        if there:
            for column in (self._all_keys, self._all_legs):
                column[at : self._count - 1] = column[at + 1 : self._count]
            self._count -= 1
            self._cut()

    def find(self, keys: Keys) -> Legs:
        """The leg of each key, -1 where there is none."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(self._keys.searchsorted(keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._legs[at], -1)


class Latches:
    """Legs by (local port, remote host), for packets from a source that no leg has yet.

    A leg is `unheard` until its first packet. A stray packet latches the one unheard leg of its host at its port; when
    there are two it is nobody's. `unaddressed` legs (the phone's own idea of its address is implausible) are never two of a
    host at a port. A leg that was heard is latched anew only when `silent(leg)`. A phone with two addresses may name one and
    send from the other: from a host that is trusted, the source port that it named is enough.
    """

    def __init__(self) -> None:
        self._legs: dict[tuple[int, int], set[int]] = {}
        self._unheard: dict[tuple[int, int], set[int]] = {}
        self._unaddressed: dict[tuple[int, int], int] = {}
        self._claims: dict[tuple[int, int], set[int]] = {}  # (local port, the port that it named) -> unheard legs
        self._claim: dict[int, tuple[int, int]] = {}

    def add(self, port: int, host: int, leg: int, *, addressed: bool, claimed: int) -> None:
        """host: the upper 32 bits of the source's key; claimed: the port that the phone named."""
        place = port, host
        self._claim[leg] = port, claimed
        self._claims.setdefault((port, claimed), set()).add(leg)
        self._legs.setdefault(place, set()).add(leg)
        self._unheard.setdefault(place, set()).add(leg)
        if not addressed:
            self._unaddressed[place] = leg

    def room(self, port: int, host: int, *, addressed: bool) -> bool:
        """Whether a leg of that host can be told from the others at that port."""
        if addressed:
            return (port, host) not in self._unaddressed
        return not self._unheard.get((port, host))

    def heard(self, port: int, host: int, leg: int) -> None:
        """The leg has sent its first packet."""
        place = port, host
        unheard = self._unheard.get(place, set())
        unheard.discard(leg)
        if not unheard:
            self._unheard.pop(place, None)
        if self._unaddressed.get(place) == leg:
            del self._unaddressed[place]
        claim = self._claim.pop(leg, None)
        if claim is not None:
            self._claims[claim].discard(leg)
            if not self._claims[claim]:
                del self._claims[claim]

    def remove(self, port: int, host: int, leg: int) -> None:
        self.heard(port, host, leg)
        legs = self._legs.get((port, host), set())
        legs.discard(leg)
        if not legs:
            self._legs.pop((port, host), None)

    def count(self, port: int, host: int) -> int:
        """Legs of that host at that port."""
        return len(self._legs.get((port, host), ()))

    def unaddressed(self, port: int) -> list[int]:
        """Hosts of legs at that port whose first packet will tell where they are."""
        return [host for place, host in self._unaddressed if place == port]

    def find(self, port: int, host: int, silent: Callable[[int], bool]) -> int | None:
        """The one leg that a packet of an unknown source of that host can belong to."""
        unheard = self._unheard.get((port, host))
        if unheard:
            return next(iter(unheard)) if len(unheard) == 1 else None
        legs = self._legs.get((port, host), ())
        if len(legs) > RELATCH_AMONG:
            return None
        quiet = [leg for leg in legs if silent(leg)]
        return quiet[0] if len(quiet) == 1 else None

    def find_claim(self, port: int, claimed: int) -> int | None:
        """The one unheard leg at that port that named this port as its own."""
        legs = self._claims.get((port, claimed), ())
        return next(iter(legs)) if len(legs) == 1 else None

    def is_unheard(self, leg: int) -> bool:
        return leg in self._claim

    def __len__(self) -> int:
        return len(self._legs)
