"""The bytes between nodes, as docs/cluster.md has them; and any bytes at all."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from xconf.cluster.conferences import Conferences
from xconf.cluster.frame import FrameError, Hello, Kind, node_id, parse_header, parse_hello
from xconf.cluster.seal import Keyring, Sealer, key_id
from xconf.cluster.sound import Coding, SoundFrame, conference_id, parse_sound, samples_of, split
from xconf.cluster.tunnel import Tunnel

SECRET = b"a secret of the tests"
EPOCH, OTHER_EPOCH = 0x18C0000000012345, 0x18C0000000067890
PAGE = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"

GREETING_BODY = bytes.fromhex("01 01 61 01 9e 04 01 3e 23 e8 16 00 39 59 4a 18 c0 00 00 00 06 78 90")
GREETING = bytes.fromhex(
    "58 43 4e 46 01 01 9e 04 ca 97 81 12 ca 1b bd ca 18 c0 00 00 00 01 23 45 00 00 00 00 00 00 00 01"
    "f2 2c 04 0d 8c a6 d8 c8 64 54 41 58 1c 59 e5 18 4e 31 93 6f 2c ba a9"
    "e4 48 2b 04 22 0e b3 93 07 0c 1f a2 e8 17 06 56"
)
READABLE = bytes.fromhex(
    "58 43 4e 46 01 00 9e 04 ca 97 81 12 ca 1b bd ca 18 c0 00 00 00 01 23 45 00 00 00 00 00 00 00 02"
    "03 73 74 61 74 75 73 01 c7 ee 95 52 55 58 61 87 17 5d 81 d2 e8 36 63"
)
END_OF_SOUND = bytes.fromhex(
    "a1 76 ee b3 1e 60 1c 38 77 c8 7c 28 43 a2 f5 84 00 01 00 50 00 00 00 00 00 00 12 34 00 01"
)
SOUND = bytes.fromhex(
    "a1 76 ee b3 1e 60 1c 38 77 c8 7c 28 43 a2 f5 84 01 02 01 e0 00 00 00 00 00 00 12 34 01 03 00 01 ff fe"
)


def derived(info: bytes) -> bytes:
    """By the page's words, with a library."""
    return HKDF(SHA256(), 32, b"xconf tunnel 1", info).derive(SECRET)


def test_a_greeting() -> None:
    hello = Hello("a", (key_id(SECRET),), ((node_id("b"), OTHER_EPOCH),))
    assert bytes((Kind.HELLO,)) + hello.encode() == GREETING_BODY
    assert parse_hello(GREETING_BODY[1:]) == hello
    assert Sealer(SECRET, node_id("a"), EPOCH).seal(1, GREETING_BODY) == GREETING
    assert Keyring([SECRET]).open(parse_header(GREETING), GREETING) == GREETING_BODY


def test_it_is_sealed_as_the_page_says() -> None:
    sender = hashlib.sha256(b"a").digest()[:8]
    header = b"XCNF\x01\x01" + derived(b"id")[:2] + sender + struct.pack(">QQ", EPOCH, 1)
    cipher = AESGCM(derived(b"key" + sender + struct.pack(">Q", EPOCH)))
    assert header + cipher.encrypt(bytes(11) + b"\x01", GREETING_BODY, header) == GREETING


def test_one_that_is_not_encrypted() -> None:
    assert Sealer(SECRET, node_id("a"), EPOCH, encrypt=False).seal(2, b"\x03status") == READABLE
    assert Keyring([SECRET]).open(parse_header(READABLE), READABLE) == b"\x03status"


def test_sound_and_its_end() -> None:
    end = SoundFrame(conference_id("3000"), Coding.NOTHING, 1, 8000, 0x1234)
    assert end.encode() == END_OF_SOUND and parse_sound(END_OF_SOUND) == end
    sound = SoundFrame(conference_id("3000"), Coding.L16, 2, 48000, 0x1234, bytes.fromhex("0001fffe"), 1, 3)
    assert sound.encode() == SOUND
    assert samples_of(sound.payload).tolist() == [1, -2]


def test_the_page_has_these_octets() -> None:
    page = " ".join(PAGE.read_text().split())
    for golden in (GREETING, GREETING_BODY, READABLE, b"\x02" + END_OF_SOUND):
        assert golden.hex(" ") in page, golden.hex(" ")


@given(st.sampled_from([8000, 16000, 32000, 48000]), st.sampled_from([1, 2]), st.randoms())
def test_a_frame_comes_out_of_its_parts_as_it_was(rate: int, channels: int, random: object) -> None:
    import numpy as np

    frame = np.random.default_rng(random.getrandbits(32)).integers(-32768, 32768, rate // 50 * channels)  # type: ignore[attr-defined]
    parts = split(frame.astype(np.int16))
    sounds = [
        SoundFrame(bytes(16), Coding.L16, channels, rate, 7, part, at, len(parts)) for at, part in enumerate(parts)
    ]
    assert all(parse_sound(sound.encode()) == sound for sound in sounds)
    assert np.concatenate([samples_of(part) for part in parts]).tolist() == frame.tolist()


@given(st.binary(max_size=1500))
@settings(max_examples=300)
def test_any_bytes_are_a_frame_or_refused(octets: bytes) -> None:
    for parse in (parse_header, parse_hello, parse_sound):
        try:
            parse(octets)
        except FrameError as error:
            assert error.reason in ("foreign", "version", "truncated", "malformed")


@given(st.binary(max_size=200))
def test_any_body_of_a_node_that_is_trusted_is_taken_or_refused(body: bytes) -> None:
    a, b = Tunnel("a", [SECRET], 1), Tunnel("b", [SECRET], 1)
    for _ in range(3):
        for one, other in ((a, b), (b, a)):
            for sent in one.wake(0.0):
                other.receive(sent.datagram, ("x", 1), 0.0)
    assert b.peers
    sealed = Sealer(SECRET, node_id("a"), 1).seal(1000, body)
    b.receive(sealed, ("x", 1), 0.0)
    Conferences(lambda body: None, lambda: 0.0, None).sound("a", body, 0.0)  # type: ignore[arg-type]
