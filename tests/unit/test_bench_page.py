"""The page, the plots and the results that the benchmarks write."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import page
from bench.page import Book, Measured
from bench.plot import Plot
from bench.table import FAR, Figures, Row, as_text

ROWS = [Row("a thing", "at most 2", "1.5", True, "3 runs"), Row("another", "none", "5", False)]
LISTENERS = Plot("listeners", "CPU", "listeners", "cores", {"xconf": [(0, 0), (1000, 0.2)]})


def measured(figures: Figures, *, quick: bool = False, date: str = "2026-01-31", version: str = "abc") -> Measured:
    return Measured(date, version, "2 x a processor, Linux", quick, figures)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command writes its page to, in place of docs/."""
    monkeypatch.setattr(page, "PAGE", tmp_path / "benchmarks.md")
    return tmp_path / "benchmarks.md"


def figures_are(monkeypatch: pytest.MonkeyPatch, **found: Figures | Exception) -> None:
    def measure(name: str) -> Figures:
        figures = found[name]
        if isinstance(figures, Exception):
            raise figures
        return figures

    benchmarks = {name: lambda quick, name=name: measure(name) for name in found}
    monkeypatch.setattr(command, "FIGURES", benchmarks)


def test_the_page_has_a_line_for_each_figure_and_says_what_and_when_it_was_measured_on() -> None:
    text = Book({"fanout": measured(Figures(ROWS, [LISTENERS]), quick=True)}).page(["fanout"])
    assert "| a thing | at most 2 | 1.5 | yes | 3 runs | fanout | 2026-01-31, abc, quick |" in text
    assert "| another | none | 5 | NO |  | fanout | 2026-01-31, abc, quick |" in text
    assert "![CPU](benchmarks/listeners.svg)" in text
    assert "Measured on 2 x a processor, Linux." in text


def test_a_figure_measured_alone_leaves_the_others_as_they_were(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.write(Book({"old": measured(Figures([ROWS[0]], [LISTENERS]))}), ["old"])
    figures_are(monkeypatch, old=Figures(), new=Figures([Row("a third", "1", "1", True)]))
    assert command.main(["new"]) == 0
    text = kept.read_text()
    assert "| a thing | at most 2 | 1.5 | yes | 3 runs | old | 2026-01-31, abc |" in text
    assert "| a third | 1 | 1 | yes |  | new |" in text
    assert (kept.parent / "benchmarks" / "listeners.svg").exists()


def test_the_quick_form_does_not_take_the_place_of_the_full_one(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.write(Book({"some": measured(Figures([ROWS[0]]))}), ["some"])
    figures_are(monkeypatch, some=Figures([Row("a thing", "at most 2", "1.9", True)]))
    command.main(["some", "--quick"])
    assert "| 1.5 |" in kept.read_text()
    command.main(["some"])
    assert "| 1.9 |" in kept.read_text()


def test_a_benchmark_that_fails_leaves_the_others_their_turn(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures_are(monkeypatch, broken=ValueError("no answer"), good=Figures([ROWS[0]]))
    assert command.main([]) == 1
    assert "| a thing |" in kept.read_text()


def test_curves_of_several_benchmarks_come_into_one_plot() -> None:
    other = Plot("listeners", "CPU", "listeners", "cores", {"a peer": [(0, 0), (300, 0.4)]})
    book = Book({"fanout": measured(Figures([], [LISTENERS])), "peers": measured(Figures([], [other]))})
    (plot,) = book.plots(["fanout", "peers"])
    assert set(plot.curves) == {"xconf", "a peer"}


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
    ("row", "words", "status"),
    [
        (Row("ratio", "at most 1", "2.6", False, worse=FAR + 0.1), ["--ci"], 1),
        (Row("ratio", "at most 1", "2.4", False, worse=FAR - 0.1), ["--ci"], 0),
        (Row("ratio", "at most 1", "0.9", True, worse=0.9), ["--ci"], 0),
        (Row("time", "at most 1 s", "90 s", False), ["--ci"], 0),
        (Row("time", "at most 1 s", "90 s", False), [], 1),
        (Row("not measured here", "1", "not installed"), [], 0),
    ],
)
def test_ci_fails_only_on_what_is_far_out_of_line(
    row: Row, words: list[str], status: int, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures_are(monkeypatch, some=Figures([row]))
    assert command.main([*words, "some"]) == status
    assert kept.exists() is ("--ci" not in words)


def test_ci_fails_when_nothing_could_be_measured(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures_are(monkeypatch, broken=ValueError("the server did not start"))
    assert command.main(["--quick", "--ci", "broken"]) == 1


def test_what_ci_measures_is_there() -> None:
    assert set(command.IN_CI) < set(command.FIGURES)


def test_an_unknown_figure_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["speed"]) == 2
    assert "no figure speed" in capsys.readouterr().err
