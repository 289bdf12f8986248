"""Certificates that change on the disk: taken into use, or left, with a line that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tls_world import Authority
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from xconf.app.certificates import LOOK_EVERY, CertificateWatch
from xconf.sip.tls.files import Files, TLSError, load_identity, names_in
from xconf.sip.tls.ports import Security, load


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(do: Callable[..., Any], *arguments: Any) -> Any:
        return defer.execute(do, *arguments)

    monkeypatch.setattr("xconf.app.certificates.threads.deferToThread", at_once)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    logged: list[str] = []

    def note(event: LogEvent) -> None:
        logged.append(formatEvent(event))

    globalLogPublisher.addObserver(note)  # type: ignore[arg-type]
    yield logged
    globalLogPublisher.removeObserver(note)  # type: ignore[arg-type]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Watched:
    def __init__(self, files: Files) -> None:
        self.clock = Clock()
        self.security = Security(load(files))
        self.watch = CertificateWatch(self.clock, self.security)
        self.watch.start()
        self.before = self.security.contexts

    def look(self) -> None:
        self.clock.advance(LOOK_EVERY)

    @property
    def renewed(self) -> bool:
        return self.security.contexts is not self.before


def test_a_renewed_certificate_is_taken(authority: Authority, lines: list[str]) -> None:
    watched = Watched(authority.issue("server", "a.example"))
    watched.look()
    assert not watched.renewed
    authority.issue("server", "b.example")
    watched.look()
    identity = watched.security.contexts.identity
    assert identity is not None
    assert names_in(identity.certificate) == ("b.example",)
    assert any("changed certificate files are in use; the certificate is good until" in line for line in lines)


def test_half_of_a_renewal_is_left_until_the_other_half_is_there(authority: Authority, lines: list[str]) -> None:
    files = authority.issue("server", "a.example")
    watched = Watched(files)
    assert files.key is not None
    other = Authority(authority.folder / "other").issue("server", "b.example")
    assert other.key is not None
    assert other.certificate is not None
    assert files.certificate is not None
    files.certificate.write_bytes(other.certificate.read_bytes())
    watched.look()
    assert not watched.renewed
    assert any("those before stay in use" in line and "is not the key of" in line for line in lines)
    files.key.write_bytes(other.key.read_bytes())
    watched.look()
    assert watched.renewed


def test_files_that_vanish_change_nothing(authority: Authority) -> None:
    files = authority.issue("server", "a.example")
    watched = Watched(files)
    assert files.key is not None
    files.key.unlink()
    watched.look()
    watched.look()
    assert not watched.renewed


@pytest.mark.parametrize(("days", "text"), [(13, "expires"), (-1, "has expired"), (15, "")])
def test_the_end_of_a_certificate_is_told_beforehand_each_day(
    days: int, text: str, authority: Authority, lines: list[str]
) -> None:
    watched = Watched(authority.issue("server", "a.example", days=days))
    for _ in range(10):
        watched.look()
    told = [line for line in lines if "renew it" in line]
    assert len(told) == (1 if text else 0)
    assert all(f"server.crt {text} " in line for line in told)


# What a file may not be


def test_a_key_with_a_pass_phrase_is_refused(authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization as form

    files = authority.issue("server", "a.example")
    assert files.key is not None
    key = form.load_pem_private_key(files.key.read_bytes(), None)
    sealed = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"x"))
    files.key.write_bytes(sealed)
    with pytest.raises(TLSError, match="has a pass phrase"):
        load_identity(files)


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    files, other = authority.issue("server", "a.example"), authority.issue("other", "b.example")
    with pytest.raises(TLSError, match="other.key is not the key of .*server.crt") as caught:
        load_identity(Files(files.certificate, other.key))
    assert caught.value.key == "key"


def test_what_is_no_key_is_refused(authority: Authority) -> None:
    files = authority.issue("server", "a.example")
    with pytest.raises(TLSError, match="has no key in PEM form"):
        load_identity(Files(files.certificate, files.certificate))


def test_whom_a_certificate_is_for(authority: Authority) -> None:
    one = load_identity(authority.issue("one", "sip:Example.com", "pbx.example.com", "192.0.2.1"))
    none = load_identity(authority.issue("Common.example"))
    assert one is not None
    assert none is not None
    assert names_in(one.certificate) == ("example.com", "pbx.example.com")
    assert names_in(none.certificate) == ("common.example",)
