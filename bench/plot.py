"""Line plots as SVG, for docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

Points = list[tuple[float, float]]
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 36, 48
_COLOURS = ("#1f6fb4", "#d1495b", "#3b8e5a", "#8a5aa8", "#c27c1a", "#4a8fa3")


@dataclass(slots=True)
class Plot:
    """Curves of one figure; `name` is that of its file."""

    name: str
    title: str
    across: str
    up: str
    curves: dict[str, Points] = field(default_factory=dict)

    def svg(self) -> str:
        points = [point for curve in self.curves.values() for point in curve]
        right, top = _round_up(max(x for x, _ in points)), _round_up(max(y for _, y in points))

        def place(x: float, y: float) -> tuple[float, float]:
            width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
            return _LEFT + x / right * width, _HEIGHT - _BOTTOM - y / top * height

        parts = [_text(_LEFT, 20, self.title, weight="bold"), *_grid(place, right, top)]
        parts.append(_text(place(right / 2, 0)[0], _HEIGHT - 10, self.across, anchor="middle"))
        parts.append(_text(8, _TOP - 6, self.up))
        for number, (name, curve) in enumerate(self.curves.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            line = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in curve)
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{line}"/>')
            x, y = place(*curve[-1])
            parts.append(_text(x + 6, y + 4, name, colour=colour))
        body = "\n".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
            f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
        )


def _grid(place: Callable[[float, float], tuple[float, float]], right: float, top: float) -> list[str]:
    parts = []
    for step in range(5):
        x, y = right * step / 4, top * step / 4
        (x0, y0), (x1, _) = place(0, y), place(right, y)
        parts.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y0:.1f}" stroke="#ddd"/>')
        parts.append(_text(x0 - 6, y0 + 4, f"{y:g}", anchor="end"))
        parts.append(_text(place(x, 0)[0], _HEIGHT - _BOTTOM + 16, f"{x:g}", anchor="middle"))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" fill="{colour}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8, 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999)
