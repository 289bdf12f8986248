"""A list of every RTP packet that came, for measurements: one line of CSV each."""

from __future__ import annotations

from pathlib import Path

from xconf.rtp.packet import RtpPacket


class Arrivals:
    """Times are those of CLOCK_MONOTONIC in seconds, so that lists of several programs on a machine can be compared."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be written."""
        self._file = path.open("w", encoding="ascii")
        self._file.write("arrival,sequence,timestamp,ssrc,payload_type,marker,octets\n")

    def note(self, now: float, packet: RtpPacket) -> None:
        fields = (packet.sequence, packet.timestamp, packet.ssrc, packet.payload_type, int(packet.marker))
        self._file.write(f"{now:.6f},{','.join(map(str, fields))},{len(packet.payload)}\n")

    def close(self) -> None:
        self._file.close()
