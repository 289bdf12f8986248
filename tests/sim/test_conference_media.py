"""Members in real media: the engine's tick drives prompts, music and keys; only the network is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from node_world import Node


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node({"member_welcome": "tone_stream://%(100,0,500)"})
    yield node
    node.close()


def test_alone_music_mix_goodbye(node: Node) -> None:
    ann = node.call()
    node.run(8)
    assert ann.hears == "sound"  # the music
    bob = node.call()
    node.until(bob, "mix", 1)
    node.until(ann, "mix", 1)
    bob.leg.digit("#")
    assert bob.hears == "sound"
    node.run(3)
    assert bob.ended == "left by keypad"
    node.run(0.5)
    assert ann.hears == "sound"


def test_deaf_hears_the_prompt_then_silence_also_in_place_of_music(node: Node) -> None:
    ann = node.call()
    node.run(8)
    ann.leg.digit("*")
    assert ann.hears == "sound"
    node.until(ann, "silence", 4)
    node.run(2)
    assert ann.hears == "silence"


def test_a_conference_hears_a_file_that_was_named_and_term_ends_it(node: Node) -> None:
    ann, bob = node.call(), node.call()
    node.run(1)
    result = node.do("3000 playback locked.wav")
    assert result.ok, result.text
    node.run(1)
    assert node.engine.planes[8000, 1].pcm[ann.leg.mix.row].any()
    assert node.do("3000 playback nowhere.wav").text == "no sound 'nowhere.wav'"
    assert node.do("3000 term").ok
    node.run(3)
    assert (ann.ended, bob.ended) == ("conference ended", "conference ended")
    assert len(node.conferences) == 0
