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
SPREAD = 1.1  # of the calls of the fullest node, over the mean: nodes choose at the same time
SIZES = ((20, 100_000), (50, 200_000), (256, 200_000))
SPEAKING = (1, 5, 20)
LEAVES = 16
STORIES = (Plan(20, 100_000, "unicast"), Plan(50, 200_000, "unicast"), Plan(256, 200_000, "relay", leaves=LEAVES))
QUICK = (Plan(20, 100_000, "unicast"), Plan(20, 100_000, "relay", leaves=4))


def measure(quick: bool) -> Figures:
    cost = model.costs(page.read())
    rows = [row for plan in (QUICK if quick else STORIES) for row in told(plan, tell(plan))]
    rows += [_cost(cost, nodes, listeners, mode) for nodes, listeners in SIZES for mode in MODES]
    return Figures(rows, [_plot(cost)])


def told(plan: Plan, story: Story) -> list[Row]:
    """What a simulated day was like."""
    relays = f", a tree of {1 + plan.leaves} relays" if plan.mode == "relay" else ""
    town = f"{plan.listeners:,} listeners on {plan.nodes} nodes, simulated, {plan.mode}{relays}"
    fewest, most = story.frames
    return [
        Row(
            f"{town}: until all totals on all nodes are right, whatever happens",
            f"at most {NOTICED:.0f} s",
            f"{story.slowest:.2f} s",
            story.slowest <= NOTICED and fewest == most > 0,
            f"a node dies with its listeners: {story.crashed:.2f} s; it comes back: {story.returned:.2f}; the network falls apart: "
            f"{story.parted:.2f}, heals: {story.healed:.2f}; half of all hang up: {story.hung_up:.2f}; a total is "
            f"{story.behind:.2f} old at most while {plan.rate:,.0f} calls a second come; all nodes started at once: "
            f"{story.started:.2f}; without sound a node takes in {story.came:,.0f} datagrams a second, {story.rushed:,.0f} in the rush",
            story.slowest / NOTICED,
        ),
        Row(
            f"{town}: {plan.rate:,.0f} calls a second come to every fourth node, and are sent on by the router: the fullest node",
            f"at most {SPREAD:g} of the mean, nobody refused",
            f"{story.busiest:.3f} of the mean, {story.refused} refused",
            story.busiest <= SPREAD and not story.refused,
            f"nodes take {plan.room:g} of the mean at most; {plan.listeners * (1 - plan.first):,.0f} calls came so, the others were "
            "there",
            story.busiest / SPREAD,
        ),
    ]


def _cost(cost: Costs, nodes: int, listeners: int, mode: str) -> Row:
    shapes = [Shape(nodes, listeners, mode, speaking, LEAVES if nodes > LEAVES else 0) for speaking in SPEAKING]
    hears = [model.node(cost, shape, speaks=False) for shape in shapes if shape.speaking < nodes]
    says = [model.node(cost, shape, speaks=True) for shape in shapes]
    besides = hears[0].cpu - cost.node - shapes[0].each * cost.listener
    relays = 1 + LEAVES if shapes[0].leaves else 1
    told = [
        f"by the costs measured above; {besides:.1%} for other nodes, with one that speaks",
        f"50 who speak in place of 1 add {cost.speakers:.1%} where they are, nothing elsewhere",
        f"where somebody speaks {_shares(load.cpu for load in says)}",
        f"datagrams a second: sent there {says[0].sent:,.0f}, taken in {', '.join(f'{load.came:,.0f}' for load in says)}",
    ]
    if mode == "relay":
        told.append(f"each of {relays} relays: {_shares(model.relay(cost, shape).cpu for shape in shapes)}")
    return Row(
        f"{listeners:,} listeners, {shapes[0].each:,} on each of {nodes} nodes, {mode}: CPU of one that listens, somebody speaking on "
        f"{', '.join(str(shape.speaking) for shape in shapes if shape.speaking < nodes)} others",
        f"at most {CORE:.0%} of a core; {BESIDES:.0%} for other nodes, with one that speaks",
        _shares(load.cpu for load in hears),
        max(load.cpu for load in (*hears, *says)) <= CORE and besides <= BESIDES,
        "; ".join(told),
    )


def _shares(loads: Iterable[float]) -> str:
    """Of a core."""
    return ", ".join(f"{100 * load:.1f} %" for load in loads)


def _plot(cost: Costs) -> Plot:
    """What others cost a node on which somebody speaks."""
    curves = {}
    for mode in MODES:
        shapes = [Shape(nodes, 0, mode, min(5, nodes)) for nodes in (2, 8, 20, 50, 100, 150, 200, 256)]
        curves[mode] = [
            (float(shape.nodes), 100 * (model.node(cost, shape, speaks=True).cpu - cost.node)) for shape in shapes
        ]
    title = "CPU for other nodes, of a node on which somebody speaks, as on 4 others"
    return Plot("cluster", title, "nodes", "% of a core", curves)
