"""A server of calls in virtual time: real signalling over a network that is made up, real sound over loopback sockets."""

from __future__ import annotations

import random
import re
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from phone_world import FakeReactor
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from xconf.app.logs import line_of
from xconf.calls.access import Route
from xconf.calls.admission import Admission, Limits
from xconf.calls.inbound import Calls
from xconf.calls.media_addresses import MediaAddresses
from xconf.calls.trunk import Trunk
from xconf.conference.controls import build
from xconf.conference.dispatch import dispatch, load_table
from xconf.conference.events import Event as ConferenceEvent
from xconf.conference.library import Library
from xconf.conference.profile import resolve
from xconf.conference.registry import Conferences
from xconf.media.codecs import PCMU
from xconf.media.engine import Engine
from xconf.media.sounds import Sounds
from xconf.rtp.ports import MediaPorts
from xconf.rtp.telephone_event import event_packets
from xconf.sip.digest import Challenger
from xconf.sip.events import AnswerArrived, Answered, ChangeRefused, Ended, Event, Offered
from xconf.sip.flow import Flow
from xconf.sip.message import Message, Request, Response, parse
from xconf.sip.sdp import SessionDescription
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI

ROOT = Path(__file__).parents[1]
SERVER = "127.0.0.1"
SIP = 5060
SILENT = dict.fromkeys(
    ("member_join", "member_leave", "member_welcome", "member_bye", "member_alone", "member_kicked"), ""
) | {"alone_sound": False, "vad": {"enable": False}, "cng": {"enable": False}}
PROFILES = {
    "default": SILENT,
    "wide": {"inherit": "default", "sample_rate": 16000},
    "stereo": {
        "inherit": "default",
        "sample_rate": 48000,
        "channels": 2,
        "ptime": 40,
        "codecs": ["pcma", "opus", "l16/16000/2", "g722"],
    },
    "relay": {"inherit": "default", "sample_rate": 16000, "codecs": ["opus"], "transcoding": False},
    "short": {"inherit": "default", "conference_term_timer": 1},
    "noisy": {"inherit": "default", "member_kicked": "tone_stream://%(500,0,440)"},
}
CODECS = "0 101"
MAPS = "a=rtpmap:101 telephone-event/8000\r\n"


class Rules:
    """Who may call and where to; tests change it."""

    realm = "xconf"

    def __init__(self) -> None:
        self.users: Mapping[str, str] = {}
        self.trunks: set[str] = set()
        self.allow: Callable[[str], bool] = lambda host: True
        self.routes: dict[str, Route] = {
            r"30\d\d": Route("3000", "default", {"speaker": True}),
            r"40\d\d": Route("3000", "default"),
            r"16\d\d": Route("1600", "wide", {"speaker": True}),
            r"17\d\d": Route("1700", "stereo", {"speaker": True}),
            r"18\d\d": Route("1800", "relay", {"speaker": True}),
            r"70\d\d": Route("7000", "short", {"speaker": True}),
            r"80\d\d": Route("8000", "noisy", {"speaker": True}),
            r"9\d*#": Route("nine", "default", {"speaker": True}),
            r"none": Route("none", "no such profile"),
        }

    def trusts(self, host: str) -> bool:
        return self.allow(host)

    def at_trunk(self, host: str) -> bool:
        return host in self.trunks

    def trunk_media(self, address: str) -> bool:
        return address in self.trunks

    def trunk_of(self, request: Request, flow: Flow) -> Trunk | None:
        return Trunk(name="trunk") if self.at_trunk(flow.remote[0]) else None

    def trunk_of_user(self, user: str) -> Trunk | None:
        return None

    def trunk_named(self, name: str) -> Trunk | None:
        return Trunk(name=name) if name == "trunk" else None

    def route(self, dialled: str, trunk: Trunk | None = None) -> Route | None:
        return next((route for number, route in self.routes.items() if re.fullmatch(number, dialled)), None)


class Office:
    """The server, its phones, and time. beside: another one, on whose network and in whose time it is; address: of its SIP."""

    def __init__(
        self,
        *,
        limit: int = 200,
        media_timeout: float = 60.0,
        settings: Settings | None = None,
        six: str = "",
        beside: Office | None = None,
        address: str = SERVER,
    ) -> None:
        self._beside, self.address = beside, address
        self.reactor = beside.reactor if beside is not None else FakeReactor()
        self.rules = Rules()
        first = 22000 if beside is None else 23000
        self.engine = Engine(MediaPorts(SERVER, first, first + 999, six=six), limit + 8, np.random.default_rng(1))
        table = load_table([ROOT / "dtmf"])
        library = Library(Sounds(ROOT / "sounds"))
        self.conferences = Conferences(
            self.reactor,
            self.engine,
            library,
            resolve(PROFILES),
            build({}, table),
            table,
        )
        self.overloaded = False
        self.calls = Calls(
            self.reactor,
            self.engine,
            self.conferences,
            self.rules,
            Challenger("xconf", b"secret"),
            admission=Admission(Limits(limit), lambda: self.overloaded),
            media_addresses=MediaAddresses(SERVER, six),
            media_timeout=media_timeout,
        )
        self.sip = SIPService(
            self.reactor, [f"udp://{address}:{SIP}"], self.calls.handle, settings, rng=random.Random(1)
        )
        self.sip.startService()
        self.calls.start()
        self.events: list[ConferenceEvent] = []
        self.conferences.events.subscribe(self.events.append)
        self.phones: list[Phone] = []
        self.wire: list[tuple[float, str, Message]] = []
        self.sip.trace = lambda way, flow, data: self.wire.append((self.now, way, parse(data)))
        self.lines: list[str] = []
        self.faults: list[str] = []
        globalLogPublisher.addObserver(self._logged)  # type: ignore[arg-type]

    def _logged(self, event: LogEvent) -> None:
        self.lines.append(line_of(event) or "")
        if event.get("log_failure") is not None:
            self.faults.append(formatEvent(event))

    @property
    def now(self) -> float:
        return self.reactor.seconds()

    def phone(self, address: str = "127.0.0.2", **options: Any) -> Phone:
        self.phones.append(Phone(self, address, **options))
        return self.phones[-1]

    def phones_in(self, count: int, number: str = "3000", **options: Any) -> list[Phone]:
        """So many phones whose calls are up."""
        phones = [self.phone(f"127.0.0.{2 + len(self.phones)}") for _ in range(count)]
        for phone in phones:
            phone.dial(number, **options)
        self.run(0.1)
        assert all(phone.is_up for phone in phones)
        return phones

    def run(self, seconds: float) -> None:
        """Time goes by, tick by tick; phones that are to speak do."""
        for _ in range(round(seconds * 50)):
            for phone in self.phones:
                phone.speak_on()
            self.reactor.run(0.02)
            self.tick()

    def tick(self, missed: int = 0) -> None:
        self.engine.tick(missed, 1e9 + self.now)
        self.engine.ports.settle()
        self.engine.deliver()
        for phone in self.phones:
            phone.listen()

    def sleep(self, seconds: float, step: float = 1.0) -> None:
        """A long time, in which nobody speaks."""
        for _ in range(round(seconds / step)):
            self.reactor.run(step)
            self.tick(round(step * 50) - 1)

    def sent(self, start: str) -> list[Message]:
        """What the server sent whose first line begins like this."""
        return [message for _, way, message in self.wire if way == "out" and message.start_line().startswith(start)]

    def logged(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def invite_by_hand(
        self, uri: str = "sip:3000@127.0.0.1", *, call_id: str = "by@hand", body: bytes = b"", kind: str = "text/plain"
    ) -> Request:
        """As no user agent of ours would send it."""
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bK{call_id};rport"),
            ("Max-Forwards", "70"),
            ("From", "<sip:1001@127.0.0.2>;tag=hand"),
            ("To", "<sip:3000@127.0.0.1>"),
            ("Call-ID", call_id),
            ("CSeq", "1 INVITE"),
            ("Contact", "<sip:1001@127.0.0.2>"),
        ]
        return Request("INVITE", URI.parse(uri), headers + [("Content-Type", kind)] * bool(body), body)

    def answers_to(self, request: Request) -> list[int]:
        """Statuses of the final answers, retransmissions included."""
        self.sip.received(request.to_bytes(), Flow("udp", (SERVER, SIP), ("127.0.0.2", SIP)))
        self.run(1)
        sent = [message for message in self.sent("SIP/2.0") if isinstance(message, Response)]
        return [m.status for m in sent if m.call_id == request.call_id and m.status >= 200]

    def did(self, line: str) -> str:
        result = dispatch(self.conferences, line)
        assert result.ok, result.text
        return result.text

    def assert_no_call(self) -> None:
        """No call is up, and nothing is held for one."""
        self.sleep(80)
        assert len(self.calls) == 0
        assert self.sip.user_agent.sizes() == dict.fromkeys(self.sip.user_agent.sizes(), 0)
        assert self.conferences.sizes()["calls"] == 0
        sizes = self.engine.sizes()
        assert not any(sizes.values()), sizes
        calls = [re.search(r"\[(\S+)\] call from .* conference", line) for line in self.lines]
        for call_id in [found[1] for found in calls if found]:
            assert len([line for line in self.logged("ended: ") if f"[{call_id}]" in line]) == 1, call_id

    def close(self) -> None:
        """Everybody hangs up, the server stops; then nothing is left of anything."""
        for phone in self.phones:
            phone.hang_up()
        self.run(0.2)
        self.assert_no_call()
        self.calls.shutdown()
        self.conferences.shutdown()
        self.sip.stopService()
        for phone in self.phones:
            phone.close()
        self.reactor.run(2)
        globalLogPublisher.removeObserver(self._logged)  # type: ignore[arg-type]
        self.engine.close()
        assert self._beside is not None or self.reactor.getDelayedCalls() == []
        assert self.conferences.sizes() == dict.fromkeys(self.conferences.sizes(), 0)
        assert self.faults == []


class Phone:
    """A telephone of one call at a time. address: where its signalling and its sound come from; says: the address that
    it names for its sound; tone: what it says, in Hz, while `talks`.
    """

    def __init__(
        self,
        office: Office,
        address: str,
        *,
        says: str | None = None,
        sip_port: int = SIP,
        settings: Settings | None = None,
    ) -> None:
        self.office = office
        self.address = address
        self.says = says or address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.sip_port = sip_port
        url = f"udp://{address}:{sip_port}"
        rng = random.Random(f"{address}:{sip_port}")
        self.sip = SIPService(office.reactor, [url], self._handle, settings, rng=rng)
        self.sip.startService()
        self.events: list[Event] = []
        self.session: Session | None = None
        self.first_port = self.port
        self.answer: Callable[[Offered], bytes | None] = lambda event: self.sdp()
        self.description: SessionDescription | None = None  # the server's latest
        self.packets: list[bytes] = []
        self.tone: float | None = None
        self.version = 1
        self._sequence, self._timestamp, self._ssrc = 100, 160_000, random.Random(self.port).getrandbits(32)
        self._payload_type, self._phase = 0, 0

    # Signalling

    def sdp(
        self,
        direction: str = "sendrecv",
        *,
        address: str | None = None,
        port: int | None = None,
        formats: str = CODECS,
        maps: str = MAPS,
        more: str = "",
    ) -> bytes:
        """A description of ours."""
        self.version += 1
        where = address or self.says
        return (
            f"v=0\r\no=- 7 {self.version} IN IP4 {where}\r\ns=-\r\nc=IN IP4 {where}\r\nt=0 0\r\n"
            f"m=audio {port or self.port} RTP/AVP {formats}\r\n{maps}a={direction}\r\n{more}"
        ).encode()

    def dial(
        self, number: str = "3000", sdp: bytes | None = b"", *, headers: Any = (), parameters: str = "", **options: Any
    ) -> Session:
        """Call the server. sdp None: it is to make the offer; parameters: of the URI that is called."""
        options = {"from_": f'"Ann" <sip:1001@{self.address}>'} | options
        flow = Flow("udp", (self.address, self.sip_port), (self.office.address, SIP))
        self.events.clear()
        self.session = self.sip.user_agent.invite(
            f"sip:{number}@{self.office.address}{parameters}",
            sdp=self.sdp() if sdp == b"" else sdp,
            flow=flow,
            headers=headers,
            now=self.office.now,
            **options,
        )
        self.sip.pump()
        return self.session

    def call(self, number: str = "3000", sdp: bytes | None = b"", **options: Any) -> Phone:
        """Dial, and be up."""
        self.dial(number, sdp, **options)
        self.office.run(0.1)
        assert self.is_up, self.refusal
        return self

    def _handle(self, event: Event) -> None:
        self.events.append(event)
        sdp: bytes | None = None
        if isinstance(event, AnswerArrived):
            sdp = event.sdp
        elif isinstance(event, Offered):
            sdp = event.offer_sdp
            event.session.accept(self.answer(event) or b"", self.office.now)
        if sdp:
            self.description = SessionDescription.parse(sdp)

    def request(self, method: str, body: bytes = b"") -> Request:
        """A request in our dialog, by hand; `ask` sends it."""
        request = self.up.request(method)
        for name, value in self.up.contact_headers():
            request.headers.add(name, value)
        if body:
            self.sip.user_agent.describe(request, body)
        return request

    def ask(self, request: Request, then: Callable[[Response], None] = lambda response: None) -> list[int]:
        """The statuses of the answers. then: what is done with a final one."""
        statuses: list[int] = []

        def heard(outcome: Any, now: float) -> None:
            assert isinstance(outcome, Response), outcome
            statuses.append(outcome.status)
            if outcome.status >= 200 and statuses.count(outcome.status) == 1:
                then(outcome)

        self.up.send(request, heard, self.office.now)
        self.sip.pump()
        self.office.run(0.1)
        return statuses

    def move(self, address: str) -> None:
        """To another network: packets come from another address."""
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.address, self.port = address, self.socket.getsockname()[1]
        self.sip.stopService()
        self.sip._listen = [("udp", (address, self.sip_port))]
        self.office.reactor.run(2)
        self.sip.startService()
        assert self.up.dialog is not None
        self.up.dialog.flow = Flow("udp", (address, self.sip_port), (SERVER, SIP))

    def ask_for_offer(self, answer: bytes | None) -> bytes:
        """A re-INVITE without an offer; the server's offer, which we have answered."""
        offers: list[bytes] = []
        request = self.request("INVITE")

        def offered(response: Response) -> None:
            offers.append(response.body)
            self.up.acknowledge(request, answer)

        self.ask(request, offered)
        self.description = SessionDescription.parse(offers[0])
        return offers[0]

    def change(self, sdp: bytes, *, update: bool = False) -> int:
        """Re-INVITE or UPDATE; the status."""
        self.events.clear()
        (self.up.update if update else self.up.reinvite)(sdp, self.office.now)
        self.sip.pump()
        self.office.run(0.1)
        refused = [event.status for event in self.events if isinstance(event, ChangeRefused)]
        assert refused or any(isinstance(event, AnswerArrived) for event in self.events)
        return refused[0] if refused else 200

    def info(self, body: bytes, kind: str = "application/dtmf-relay") -> None:
        self.up.info(kind, body, self.office.now)
        self.sip.pump()

    def hang_up(self) -> None:
        if self.session is not None and not self.session.ended:
            self.session.hangup(self.office.now)
            self.sip.pump()

    def vanish(self) -> None:
        """Somebody pulled the plug."""
        self.sip.stopService()
        self.tone = None

    @property
    def up(self) -> Session:
        assert self.session is not None
        return self.session

    @property
    def is_up(self) -> bool:
        return any(isinstance(event, Answered) for event in self.events) and not self.up.ended

    @property
    def ending(self) -> Ended | None:
        return next((event for event in self.events if isinstance(event, Ended)), None)

    @property
    def refusal(self) -> Response | None:
        """The answer that refused our call."""
        return self.ending.response if self.ending else None

    @property
    def direction(self) -> str:
        """What the server says that it does."""
        assert self.description is not None
        return self.description.direction_of(self.description.media[0])

    # Sound

    @property
    def server_port(self) -> int:
        assert self.description is not None
        return next(media.port for media in self.description.media if media.port)

    def send(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool = False) -> None:
        head = struct.pack("!BBHII", 0x80, marker << 7 | payload_type, self._sequence, timestamp, self._ssrc)
        self.socket.sendto(head + payload, (SERVER, self.server_port))
        self._sequence += 1

    def speak_on(self) -> None:
        """One packet of our tone."""
        if self.tone is None or self.description is None:
            return
        time = (self._phase + np.arange(160)) / 8000
        self._phase += 160
        wave = (8000 * np.sin(2 * np.pi * self.tone * time)).astype(np.int16)
        self.send(0, self._timestamp, PCMU.encode(wave[None])[0].tobytes())
        self._timestamp += 160

    def press(self, digit: str, payload_type: int = 101) -> None:
        """By telephone-event."""
        start = self._timestamp
        for packet in event_packets(digit, 800):
            self.send(payload_type, start + packet.offset, packet.payload, marker=packet.marker)
        self._timestamp += 1600

    def listen(self) -> None:
        while True:
            try:
                self.packets.append(self.socket.recv(4096))
            except BlockingIOError:
                return

    def forget(self) -> None:
        self.packets.clear()

    def hears(self, frequency: float, octets: int = 160) -> bool:
        """Whether the tone was there in what came since `forget`."""
        payload = b"".join(packet[12:] for packet in self.packets if len(packet) == 12 + octets)
        if len(payload) < 4000:
            return False
        wave = PCMU.decode(np.frombuffer(payload, np.uint8)[None])[0]
        turn = np.exp(-2j * np.pi * frequency * np.arange(len(wave)) / 8000)
        window = np.hanning(len(wave))
        return bool(2 * abs((wave * window * turn).sum()) / window.sum() > 1000)

    def close(self) -> None:
        self.sip.stopService()
        self.socket.close()
