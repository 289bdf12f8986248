"""100,000 and 200,000 listeners on many nodes: what their totals are in virtual time, and what each node costs by the model."""

from __future__ import annotations

from collections.abc import Iterable

from bench import model, page
from bench.model import Costs, Shape
from bench.plot import Plot
from bench.simulated.net import MODES
from bench.simulated.story import Plan, Story, tell
from bench.simulated.town import NOTICED
from bench.table import Figures, Row

CORE = 0.75  # of a core, that a node uses at most
BESIDES = 0.05  # of a core, for other nodes, where one speaks
SIZES = ((20, 100_000), (50, 200_000), (256, 200_000))
SPEAKING = (1, 5, 20)
LEAVES = 16
STORIES = (Plan(20, 100_000, "unicast"), Plan(50, 200_000, "unicast"), Plan(256, 200_000, "relay", leaves=LEAVES))
QUICK = (Plan(20, 100_000, "unicast"), Plan(20, 100_000, "relay", leaves=4))


def measure(quick: bool) -> Figures:
    cost = model.costs(page.read())
    rows = [_story(plan, tell(plan)) for plan in (QUICK if quick else STORIES)]
    rows += [_cost(cost, nodes, listeners, mode) for nodes, listeners in SIZES for mode in MODES]
    rows.append(_speakers(cost))
    return Figures(rows, [_plot(cost)])


def _story(plan: Plan, story: Story) -> Row:
    relays = f", a tree of {1 + plan.leaves} relays" if plan.mode == "relay" else ""
    fewest, most = story.frames
    return Row(
        f"{plan.listeners:,} listeners on {plan.nodes} nodes, simulated, {plan.mode}{relays}: until all totals on all nodes are right, "
        "whatever happens",
        f"at most {NOTICED:.0f} s",
        f"{story.slowest:.2f} s",
        story.slowest <= NOTICED and fewest == most > 0,
        f"all started at once: {story.started:.2f} s; a node dies with its listeners: {story.crashed:.2f}; it comes back: "
        f"{story.returned:.2f}; a network parted: {story.parted:.2f}, healed: {story.healed:.2f}; half of all hang up: "
        f"{story.hung_up:.2f}; while {plan.rate:,.0f} calls a second come, a total is {story.behind:.2f} old at most; the fullest "
        f"node has {story.busiest:.3f} of the mean; without sound a node takes {story.came:,.0f} datagrams a second, in the rush "
        f"{story.rushed:,.0f}",
        story.slowest / NOTICED,
    )


def _cost(cost: Costs, nodes: int, listeners: int, mode: str) -> Row:
    shapes = [Shape(nodes, listeners, mode, speaking, LEAVES if nodes > LEAVES else 0) for speaking in SPEAKING]
    hears = [model.node(cost, shape, speaks=False) for shape in shapes if shape.speaking < nodes]
    says = [model.node(cost, shape, speaks=True) for shape in shapes]
    besides = hears[0].cpu - shapes[0].each * cost.listener
    note = f"where somebody speaks {_shares(load.cpu for load in says)}, sent {says[0].sent:,.0f} datagrams a second, taken in "
    note += ", ".join(f"{load.came:,.0f}" for load in says)
    if mode == "relay":
        note += f"; each of {1 + LEAVES if shapes[0].leaves else 1} relays {_shares(model.relay(cost, shape).cpu for shape in shapes)}"
    return Row(
        f"{listeners:,} listeners, {shapes[0].each:,} on each of {nodes} nodes, {mode}: CPU of one that listens, somebody speaking on "
        f"{', '.join(str(shape.speaking) for shape in shapes if shape.speaking < nodes)} others",
        f"at most {CORE:.0%} of a core; {BESIDES:.0%} for other nodes, with one that speaks",
        _shares(load.cpu for load in hears),
        max(load.cpu for load in (*hears, *says)) <= CORE and besides <= BESIDES,
        f"by the costs measured above; {besides:.1%} for other nodes, with one that speaks; {note}",
    )


def _speakers(cost: Costs) -> Row:
    """The same cluster with more who speak on the same nodes."""
    shape = Shape(50, 200_000, "unicast", 5)
    one, fifty = (model.node(cost, shape, speaks=True, many=many).cpu for many in (False, True))
    return Row(
        "50 in place of 1 who speak on each of 5 of 50 nodes: CPU of a node that listens, by the model",
        "no more",
        "no more",
        None,
        f"each node sends one stream, whoever speaks there (the row of `elsewhere` measures that); where they speak {one:.0%} of a "
        f"core and {fifty:.0%}",
    )


def _shares(loads: Iterable[float]) -> str:
    """Of a core."""
    return ", ".join(f"{100 * load:.0f} %" for load in loads)


def _plot(cost: Costs) -> Plot:
    """What others cost a node on which somebody speaks."""
    curves = {}
    for mode in MODES:
        shapes = [Shape(nodes, 0, mode, min(5, nodes)) for nodes in (2, 8, 20, 50, 100, 150, 200, 256)]
        curves[mode] = [(float(shape.nodes), 100 * model.node(cost, shape, speaks=True).cpu) for shape in shapes]
    title = "CPU for other nodes, of a node on which somebody speaks, as on 4 others"
    return Plot("cluster", title, "nodes", "% of a core", curves)
