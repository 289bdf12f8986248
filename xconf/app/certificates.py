"""Certificates that were renewed on the disk are taken into use, without a restart; those about to expire are named."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from twisted.internet import threads
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from xconf.sip.tls.files import Files, TLSError
from xconf.sip.tls.ports import Contexts, Security, load

log = Logger()

LOOK_EVERY = 10.0  # s
TOLD_EVERY = datetime.timedelta(days=1)
SOON = datetime.timedelta(days=14)

Marks = tuple[tuple[int, int, int] | None, ...]
"""Of each file what changes with it: inode, time of the last change (also of its rights), size; None for one that is not there."""


class CertificateWatch:
    """Looks at the files from time to time, in a thread."""

    def __init__(self, reactor: Any, security: Security) -> None:
        self._security = security
        self._seen: Marks | None = None
        self._told: datetime.datetime | None = None  # when the end was told of
        self._look = LoopingCall(self.look)
        self._look.clock = reactor

    def start(self) -> None:
        self._look.start(LOOK_EVERY, now=True)

    def stop(self) -> None:
        if self._look.running:
            self._look.stop()

    def adopt(self, contexts: Contexts) -> None:
        """The next connections take these; those that stand go on with theirs."""
        self._security.contexts = contexts
        self._seen = None
        self._warn()

    def look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._compare())

    async def _compare(self) -> None:
        contexts = self._security.contexts
        seen = await threads.deferToThread(marks, contexts.files)
        if self._security.contexts is contexts:
            changed = self._seen is not None and seen != self._seen
            self._seen = seen
            if changed:
                await self._renew(contexts.files)
        self._warn()

    async def _renew(self, files: Files) -> None:
        try:
            fresh = await threads.deferToThread(load, files)
        except TLSError as error:
            # Half of it may be written yet: the other half is a change, too.
            log.warn("changed certificate files are not taken, those before stay in use: {error}", error=error)
            return
        self._security.contexts = fresh
        self._told = None
        until = f"; the certificate is good until {fresh.identity.expires:%Y-%m-%d %H:%M} UTC" if fresh.identity else ""
        log.info("changed certificate files are in use{until}", until=until)

    def _warn(self) -> None:
        identity, now = self._security.contexts.identity, datetime.datetime.now(datetime.UTC)
        if identity is None or identity.expires - now > SOON:
            return
        if self._told is not None and now - self._told < TOLD_EVERY:
            return
        self._told = now
        log.warn(
            "the certificate {path} {what} {when:%Y-%m-%d %H:%M} UTC; renew it, the new one is taken by itself",
            path=self._security.contexts.files.certificate,
            what="expires" if identity.expires > now else "has expired",
            when=identity.expires,
        )


def marks(files: Files) -> Marks:
    return tuple(_mark(path) for path in (files.certificate, files.key, files.ca) if path is not None)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns, found.st_size
