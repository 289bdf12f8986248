"""Messages out of a byte stream, by their Content-Length (RFC 3261 section 18.3), and keep-alives between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Request, Response, content_length, parse_head

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The peer's ping, two line ends between messages, to be answered with `PONG` (RFC 5626 section 4.4.1)."""


PONG = b"\r\n"
Item: TypeAlias = Request | Response | KeepAlive | RemoteProtocolError


class StreamParser:
    """Takes the stream in any chunks and hands out what they complete, in order.

    A message that cannot be parsed comes out as its RemoteProtocolError. When not even its end is known, `broken` is
    set: nothing more comes out, and the connection is to be closed (once the error has been answered).
    """

    __slots__ = ("_body_length", "_buffer", "_head", "_searched", "broken")

    def __init__(self) -> None:
        self.broken = False
        self._buffer = bytearray()
        self._searched = 0
        self._head: Request | Response | RemoteProtocolError | None = None
        self._body_length = 0

    def feed(self, data: bytes) -> list[Item]:
        """What these bytes complete. Raises nothing."""
        items: list[Item] = []
        if self.broken:
            return items
        self._buffer += data
        while (item := self._next()) is not None:
            items.append(item)
        return items

    @property
    def buffered(self) -> int:
        """Bytes of the message that is not complete yet."""
        return len(self._buffer)

    def _next(self) -> Item | None:
        if self.broken:
            return None
        if self._head is None:
            if self._take_ping():
                return KeepAlive()
            failed = self._take_head()
            if failed is not None:
                return failed
        return self._take_body() if self._head is not None else None

    def _take_ping(self) -> bool:
        """Line ends before a message: two are a ping, one alone is a pong or a slip and is skipped."""
        if self._buffer.startswith(_END):
            del self._buffer[:4]
            return True
        if self._buffer.startswith(PONG) and len(self._buffer) > 2 and self._buffer[2:3] != b"\r":
            del self._buffer[:2]
        return False

    def _take_head(self) -> RemoteProtocolError | None:
        end = self._buffer.find(_END, self._searched)
        if end < 0 or end > MAX_HEAD:
            self._searched = max(0, len(self._buffer) - 3)
            return self._break(RemoteProtocolError("Header too large", 513)) if len(self._buffer) > MAX_HEAD else None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        self._searched = 0
        try:
            self._head, length = parse_head(head)
        except RemoteProtocolError as error:
            self._head, length = error, _length_despite(error)
        return self._expect(length)

    def _expect(self, length: int | None) -> RemoteProtocolError | None:
        head = self._head
        if isinstance(head, RemoteProtocolError) and length is None:
            return self._break(head)
        request = head if isinstance(head, Request) else None
        if length is None:
            return self._break(RemoteProtocolError("Missing Content-Length header field", 400, request))
        if length > MAX_BODY:
            return self._break(RemoteProtocolError("Message Too Large", 513, request))
        self._body_length = length
        return None

    def _take_body(self) -> Item | None:
        if len(self._buffer) < self._body_length:
            return None
        item = self._head
        if isinstance(item, Request | Response):
            item.body = bytes(self._buffer[: self._body_length])
        del self._buffer[: self._body_length]
        self._head = None
        return item

    def _break(self, error: RemoteProtocolError) -> RemoteProtocolError:
        self.broken = True
        self._head = None
        self._buffer.clear()
        return error


def _length_despite(error: RemoteProtocolError) -> int | None:
    """Where a message ends that is wrong otherwise; None when that is not to be known."""
    try:
        return content_length(error.request) if error.request is not None else None
    except RemoteProtocolError:
        return None
