"""The page and the plots that the benchmarks write."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from bench import __main__ as command
from bench.plot import Plot
from bench.table import Figures, Row, as_page, as_text

ROWS = [Row("a thing", "at most 2", "1.5", True, "3 runs"), Row("another", "none", "5", False)]


def test_the_page_has_a_line_for_each_figure_and_says_what_it_was_measured_on() -> None:
    plot = Plot("listeners", "CPU", "listeners", "cores", {"xconf": [(0, 0), (1000, 0.2)]})
    page = as_page(Figures(ROWS, [plot]), quick=True)
    assert "| a thing | at most 2 | 1.5 | yes | 3 runs |" in page
    assert "| another | none | 5 | NO |  |" in page
    assert "![CPU](benchmarks/listeners.svg)" in page
    assert "Linux" in page and "quick form" in page


def test_the_terminal_shows_the_same() -> None:
    assert as_text(ROWS).splitlines()[:3] == ["a thing", "    1.5   (to reach: at most 2)   yes", "    3 runs"]


def test_a_plot_is_an_svg_with_its_curves_inside() -> None:
    plot = Plot("p", "A < B & C", "x", "y", {"one": [(0, 0), (5000, 0.37)], "two": [(0, 0), (5000, 0.29)]})
    root = ElementTree.fromstring(plot.svg())
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    places = [tuple(map(float, place.split(","))) for line in lines for place in line.get("points", "").split()]
    assert all(0 <= x <= 640 and 0 <= y <= 360 for x, y in places)


@pytest.mark.parametrize(
    ("words", "status"), [(["far"], 1), (["far", "--ci"], 1), (["missed"], 1), (["missed", "--ci"], 0)]
)
def test_ci_fails_only_on_what_is_far_out_of_line(
    words: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Row("ratio", "at most 1", "9", False, far=True)
    figures = {"far": lambda _: Figures([far]), "missed": lambda _: Figures([ROWS[1]])}
    monkeypatch.setattr(command, "FIGURES", figures)
    assert command.main(words) == status


def test_an_unknown_figure_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["speed"]) == 2
    assert "no figure speed" in capsys.readouterr().err
