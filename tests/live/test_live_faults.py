"""Four real nodes on a network that does harm, and nodes that die: what telephones on each of them hear.

`make test-long ARGS='-k live_faults -s'` prints the rows of the table in docs/cluster.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from bed_cluster import Namespaces, cluster
from bed_play import OTHERS, SETTLED, TONES, Play
from bed_weather import FAIR, Weather

from bench.stalls import StallMonitor

pytestmark = pytest.mark.long
ACTS = {
    "fair": FAIR,
    "5 % loss": Weather(loss=0.05),
    "10 % duplicates": Weather(doubled=0.1),
    "one in ten 20 ms late": Weather(late=0.1),
    "0 to 30 ms, in order": Weather(jitter=0.03, ordered=True),
    "0 to 30 ms, reordered, 5 % loss, 10 % duplicates": Weather(loss=0.05, jitter=0.03, doubled=0.1),
}
SECONDS = 12.0
CUT = 2.0
BUSY = 0.04  # s of silence that are left to a machine of two cores on which all of this runs, each act and listener
AFTER = 4.0  # s for which it is looked at how things are again


@pytest.fixture(scope="module", params=["unicast", "multicast"])
def played(
    request: pytest.FixtureRequest, stalls: StallMonitor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Play]:
    """All acts, one after the other, in the same calls."""
    hosts = Namespaces("".join(TONES))
    try:
        settings = {"mode": request.param, "multicast_group": "239.77.1.1"}
        folder = tmp_path_factory.mktemp("faults")
        with StallMonitor(ordinary=True) as busy, cluster(folder, "".join(TONES), settings, hosts) as nodes:
            play = Play(nodes, len(ACTS) * SECONDS + CUT + 2 * AFTER + 45.0, stalls, busy)
            for name, weather in ACTS.items():
                hosts.weather(weather)
                play.act(name, SECONDS)
            hosts.weather(FAIR)
            time.sleep(SETTLED)
            hosts.weather(FAIR, cut="b")
            play.act("cut", CUT)
            hosts.weather(FAIR)
            play.act("after the cut", AFTER)
            nodes.nodes["c"].process.kill()
            nodes.nodes["c"].process.wait()
            play.act("killed", 1.0)
            nodes.restart("c")
            play.callers("c", AFTER + 8.0, " again")
            play.all_there("c")
            play.act("restarted", AFTER)
            play.over(lost="c")
            print(
                f"\n{request.param}: {stalls.describe()}; busy: {busy.describe()}",
                *map(play.row, ACTS),
                *ends(play),
                sep="\n",
            )
            yield play
    finally:
        hosts.close()


def again_after_the_cut(play: Play) -> tuple[float, float]:
    """s for which the host that was cut off heard nothing, and from the end of the cut until it heard something."""
    after = play.acts["after the cut"]
    since, until = play.longest_silent("b", play.acts["cut"].start, after.end)
    return until - since, until - after.start


def silent_after_death(play: Play) -> float:
    """s from a node's death until nobody hears what was said there."""
    killed = play.acts["killed"]
    return max(play.last_heard(f"{name} listens", "c", killed.start, killed.end) for name in "abd") - killed.start


def ends(play: Play) -> list[str]:
    """What is said of the cut and of the node that is killed in docs/cluster.md."""
    cut, after, killed, back = (play.acts[name] for name in ("cut", "after the cut", "killed", "restarted"))
    deaf, again = again_after_the_cut(play)
    others = [gap for name in "cd" for gap in play.gaps(name, cut.start, after.end)]
    rest = [gap for name in "bd" for gap in play.gaps(name, killed.start, back.end)]
    return [
        f"cut: {deaf:.3f} s silent, heard again {again:.3f} s after it; the others' gaps: {others}",
        f"killed: heard for {silent_after_death(play):.2f} s more; the others' gaps: {rest}",
    ]


def assert_all_hear_all(play: Play, start: float, end: float, again: str = "") -> None:
    """again: the node whose telephones called again."""
    for name in TONES:
        for does in ("speaks", "listens"):
            phone = f"{name} {does} again" if name == again else f"{name} {does}"
            for tone in TONES:
                level = play.level(phone, tone, start, end)
                if does == "speaks" and tone == name:
                    assert level < -50, f"{phone} and hears himself"
                else:
                    assert level == pytest.approx(-18, abs=1), f"{phone} and hears {tone}"


@pytest.mark.parametrize("weather", ACTS)
def test_all_hear_all_others_and_not_themselves(weather: str, played: Play) -> None:
    act = played.acts[weather]
    assert_all_hear_all(played, act.start + SETTLED, act.end)


@pytest.mark.parametrize("weather", ACTS)
def test_no_frame_is_silent_also_when_the_network_gets_worse(weather: str, played: Play) -> None:
    act = played.acts[weather]
    silent = {name: sum(played.gaps(name, act.start, act.end)) for name in OTHERS}
    assert max(silent.values()) <= BUSY, silent


@pytest.mark.parametrize("weather", ACTS)
def test_sound_is_not_later_than_the_network_makes_it(weather: str, played: Play) -> None:
    act, its = played.acts[weather], ACTS[weather]
    assert played.later(act.start + SETTLED, act.end) <= 0.035 + its.jitter + 0.02 * bool(its.late)


def test_who_is_cut_off_hears_the_others_again_as_soon_as_the_network_is_there(played: Play) -> None:
    cut, after = played.acts["cut"], played.acts["after the cut"]
    deaf, again = again_after_the_cut(played)
    assert deaf == pytest.approx(CUT, abs=0.3)
    assert again <= 0.3
    missing = {name: sum(played.gaps(name, cut.start, after.end)) for name in OTHERS if name != "b"}
    assert max(missing.values()) <= BUSY, missing
    assert_all_hear_all(played, after.start + 1.0, after.end)


def test_who_is_killed_is_silent_at_once_and_heard_again_after_a_restart(played: Play) -> None:
    killed, back = played.acts["killed"], played.acts["restarted"]
    assert silent_after_death(played) <= 0.2
    missing = {name: sum(played.gaps(name, killed.start, back.end)) for name in OTHERS if name != "c"}
    assert max(missing.values()) <= BUSY, f"the others are heard on: {missing}"
    assert_all_hear_all(played, back.start + 1.0, back.end, again="c")
