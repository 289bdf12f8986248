"""Calls of the phone in virtual time, description by description; the signalling in between is the test's."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from phone_world import FakePorts, Net

from xconf.phone.audio import tones
from xconf.phone.call import CallSettings, PhoneCall
from xconf.phone.options import Keys
from xconf.phone.outcome import Outcome
from xconf.phone.report import Happening
from xconf.rtp.packet import RtpPacket
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.sdp import SessionDescription

HUNG_UP = Outcome(True, "hung up")


@dataclass
class FakeSession:
    """Counts what the phone asks of its session."""

    hangups: int = 0

    def hangup(self, now: float) -> None:
        self.hangups += 1


class Party:
    """One phone with its call and all that it told."""

    def __init__(self, net: Net, host: str, **settings: object) -> None:
        self.told: list[Happening] = []
        self.ports = FakePorts(net, (host, 4000))
        self.session = FakeSession()
        self.call = PhoneCall(
            net.clock,
            self.ports,  # type: ignore[arg-type]
            CallSettings(tell=self.told.append, **settings),  # type: ignore[arg-type]
            random.Random(host),
            monotonic=net.clock.seconds,
        )
        self.call.session = self.session  # type: ignore[assignment]

    @property
    def events(self) -> list[str]:
        return [happening.event for happening in self.told]

    @property
    def texts(self) -> str:
        return "\n".join(happening.text for happening in self.told)


def connect(net: Net, a: Party, b: Party) -> None:
    """a calls, b answers after 100 ms."""
    answer = b.call.answer(a.call.offer())
    a.call.progress(180, "Ringing")
    a.call.progress(180, "Ringing")
    net.run(0.1)
    b.call.up()
    a.call.answer_arrived(answer)
    a.call.up()


def pair(net: Net, **settings: object) -> tuple[Party, Party]:
    a = Party(net, "127.0.0.1", **settings)
    b = Party(net, "127.0.0.2", sound=tones((660.0,), -18.0), record=True)
    connect(net, a, b)
    return a, b


def changed(description: bytes, *lines: tuple[bytes, bytes]) -> bytes:
    """A description with lines replaced, as another kind of telephone would have written it."""
    for before, after in lines:
        assert before in description
        description = description.replace(before, after)
    return description


def test_a_call_tells_its_story() -> None:
    net = Net()
    a, b = pair(net, sound=tones((440.0,), -18.0), record=True)
    net.run(3)
    for party in (a, b):
        party.call.over(HUNG_UP)
    assert a.events == ["progress", "answered", "sound", "ended"]
    assert [happening.text for happening in a.told][:2] == ["ringing", "answered after 100 ms, PCMU/8000"]
    summary = a.call.summary()
    assert (summary.answered_after, summary.duration) == (pytest.approx(0.1), pytest.approx(3.0))
    assert summary.received == pytest.approx(150, abs=2) and summary.lost == 0
    assert summary.level == pytest.approx(-18, abs=0.2)
    assert "lost 0" in summary.text and "2.9 s at -18.0 dB" in summary.text.replace("3.0 s", "2.9 s")


def test_both_recordings_hold_what_the_other_said() -> None:
    net = Net()
    a, b = pair(net, sound=tones((440.0,), -18.0), record=True)
    net.run(2)
    for party, frequency in ((a, 660), (b, 440)):
        assert party.call.recorder is not None
        heard = party.call.recorder.samples[4000:12_000]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert int(spectrum.argmax()) == pytest.approx(frequency, abs=1)


def test_nothing_is_sent_before_the_answer_and_nothing_after_the_end() -> None:
    net = Net()
    a, b = Party(net, "127.0.0.1"), Party(net, "127.0.0.2")
    b.call.answer(a.call.offer())
    net.run(1)
    assert not b.ports.sent
    b.call.up()
    net.run(1)
    b.call.over(HUNG_UP)
    count = len(b.ports.sent)
    net.run(1)
    assert len(b.ports.sent) == count == pytest.approx(50, abs=2) and b.ports.closed


def test_keys_are_pressed_when_they_are_due_and_heard_in_order() -> None:
    net = Net()
    _, b = pair(net, keys=(Keys(1.0, "123#"), Keys(3.0, "*")))
    net.run(0.95)
    assert b.call.digits_heard == ""
    net.run(1.0)
    assert b.call.digits_heard == "123#"
    net.run(2.0)
    assert b.call.digits_heard == "123#*" and "the other side pressed * (rfc4733)" in b.texts


def test_keys_that_cannot_be_sent_are_told() -> None:
    net = Net()
    a, b = Party(net, "127.0.0.1", keys=(Keys(0.5, "1"),)), Party(net, "127.0.0.2")
    answer = b.call.answer(a.call.offer())
    a.call.answer_arrived(changed(answer, (b" 101\r\n", b"\r\n")))
    a.call.up()
    net.run(1)
    assert "try --digits-by info" in a.texts and "digit-sent" not in a.events


def test_the_call_is_hung_up_when_its_time_is_over() -> None:
    net = Net()
    a, _ = pair(net, duration=2.0)
    net.run(1.9)
    assert a.session.hangups == 0
    net.run(0.2)
    assert a.session.hangups == 1


def test_on_hold_the_phone_is_silent_and_it_says_so() -> None:
    net = Net()
    a, b = pair(net)
    net.run(1)
    hold = changed(b.call.offer(), (b"a=sendrecv", b"a=sendonly"))
    assert b"a=recvonly" in a.call.answer(hold)
    count = len(a.ports.sent)
    net.run(1)
    assert len(a.ports.sent) == count
    assert b"a=sendrecv" in a.call.answer(changed(hold, (b"a=sendonly", b"a=sendrecv")))
    net.run(1)
    assert len(a.ports.sent) == pytest.approx(count + 50, abs=2)
    assert "now recvonly" in a.texts and "now sendrecv" in a.texts


def test_a_changed_description_gets_a_new_version_and_an_equal_one_does_not() -> None:
    net = Net()
    a, b = pair(net)
    offer = b.call.offer()
    first = SessionDescription.parse(a.call.answer(offer)).origin
    again = SessionDescription.parse(a.call.answer(offer)).origin
    held = SessionDescription.parse(a.call.answer(changed(offer, (b"a=sendrecv", b"a=inactive")))).origin
    assert (again.session_id, again.version) == (first.session_id, first.version)
    assert (held.session_id, held.version) == (first.session_id, first.version + 1)


def test_the_codec_of_a_call_stays() -> None:
    net = Net()
    a, _ = pair(net, codecs=("pcmu", "l16/16000"))
    other = Party(net, "127.0.0.3", codecs=("l16/16000",))
    with pytest.raises(RemoteProtocolError):
        a.call.answer(other.call.offer())
    net.run(0.5)
    assert a.call.codec == "PCMU/8000" and a.call.summary().received > 20


def test_wideband_when_both_want_it() -> None:
    net = Net()
    a = Party(net, "127.0.0.1", codecs=("l16/16000", "pcmu"), sound=tones((3900.0,), -20.0))
    b = Party(net, "127.0.0.2", codecs=("pcmu", "l16/16000"), record=True, keys=(Keys(0.5, "9"),))
    connect(net, a, b)
    net.run(1)
    assert a.call.codec == b.call.codec == "L16/16000"
    assert b.call.summary().level == pytest.approx(-20, abs=0.1) and a.call.digits_heard == "9"


def test_early_media_is_heard_and_not_answered() -> None:
    net = Net()
    a, b = Party(net, "127.0.0.1", record=True), Party(net, "127.0.0.2", sound=tones((425.0,), -18.0))
    answer = b.call.answer(a.call.offer())
    b.call.up()
    a.call.answer_arrived(answer)
    net.run(1)
    assert not a.ports.sent and "first sound heard, before the answer" in a.texts
    assert a.call.recorder is not None and a.call.recorder.seconds > 0.9
    a.call.up()
    net.run(1)
    assert len(a.ports.sent) == pytest.approx(50, abs=2)


def test_the_end_frees_everything_and_comes_once() -> None:
    net = Net()
    a, b = pair(net, keys=(Keys(100.0, "1"),), duration=200.0)
    outcomes: list[Outcome] = []
    a.call.ended.addCallback(outcomes.append)
    net.run(1)
    for party in (a, b):
        party.call.over(HUNG_UP)
        party.call.over(Outcome(False, "again"))
    net.run(0.1)
    assert outcomes == [HUNG_UP] and not net.clock.getDelayedCalls()
    a.call.press("1")
    a.call.hangup()
    assert a.session.hangups == 0 and a.events.count("ended") == 1


def test_a_call_that_was_never_answered() -> None:
    net = Net()
    a = Party(net, "127.0.0.1")
    answered: list[bool] = []
    a.call.answered.addCallback(answered.append)
    a.call.offer()
    a.call.over(Outcome(False, "refused: 486 Busy Here"))
    a.call.up()
    assert answered == [False] and a.call.summary().text == "not answered" and a.ports.closed


def test_what_is_no_rtp_and_what_comes_from_elsewhere_is_in_the_summary() -> None:
    net = Net()
    a, _ = pair(net)
    net.run(0.5)
    a.ports.on_rtp(b"hello", ("127.0.0.2", 4000))
    a.ports.on_rtp(RtpPacket(0, 1, 1, 1, bytes(160)).serialize(), ("127.0.0.9", 4000))
    a.call.over(HUNG_UP)
    assert "1 from elsewhere, 1 malformed, 0 not agreed" in a.call.summary().text
