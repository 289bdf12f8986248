"""Where conferences of this node meet their like on other nodes, as the mixer sees it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xconf.media.levels import saturate

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]


class Link(Protocol):
    """One conference's way to other nodes. Frames: int16[rate // 50 * channels] of the conference."""

    def send(self, tick: int, frame: Samples | None) -> None:
        """What is said and played here at this tick; None: nothing is."""

    def receive(self, tick: int) -> npt.NDArray[Any] | None:
        """What is heard from all others at this tick, int16 or int32; None: nothing is."""

    def close(self) -> None:
        """The conference is over."""


class Links:
    """The links of a plane's mixes, by the row of the mix. One that fails is cut; the sound here goes on."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}

    def __bool__(self) -> bool:
        return bool(self._links)

    def set(self, row: int, link: Link | None) -> None:
        if link is None:
            self._links.pop(row, None)
        else:
            self._links[row] = link

    def get(self, row: int) -> Link | None:
        return self._links.get(row)

    def exchange(self, tick: int, mixes: Ints, total: npt.NDArray[np.int32]) -> list[tuple[int, Samples, bool]]:
        """Give each link its mix's own sum, and return what came from other nodes: (mix, frame, False: it is no prompt).

        mixes: sorted; total: of these, before what comes from others is added.
        """
        rows = {row: at for at, row in enumerate(mixes.tolist())}
        return [(row, frame, False) for row, frame in self._exchange(tick, rows, total)]

    def _exchange(self, tick: int, rows: dict[int, int], total: npt.NDArray[np.int32]) -> Iterator[tuple[int, Samples]]:
        for row, link in tuple(self._links.items()):
            try:
                at = rows.get(row)
                link.send(tick, None if at is None else saturate(total[at]).astype(np.int16))
                frame = link.receive(tick)
                if frame is not None and frame.shape != total.shape[1:]:
                    raise ValueError(f"a frame of {frame.shape} samples, where {total.shape[1:]} are due")
            except Exception:
                log.exception("a conference's link to other nodes failed, and is cut")
                del self._links[row]
                continue
            if frame is not None:
                yield row, saturate(frame).astype(np.int16)
