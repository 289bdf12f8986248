"""Which of our addresses a phone is told to send its sound to, of IPv4 or of IPv6."""

from __future__ import annotations

from dataclasses import dataclass

from xconf.calls.addresses import UNSPECIFIED
from xconf.rtp.hosts import is_six
from xconf.rtp.ports import PortError, local_address
from xconf.sip.sdp import SessionDescription


@dataclass(frozen=True, slots=True)
class MediaAddresses:
    """four, six: as the configuration says, 0.0.0.0 and :: for all of this machine's; six: "" for no sound over IPv6."""

    four: str
    six: str = ""

    def family(self, host: str, offer: SessionDescription | None) -> bool:
        """Whether a call's sound goes over IPv6: as the phone offers; without an offer, as it signals."""
        return bool(self.six) and is_six(_offered(offer) if offer is not None else host)

    def ours(self, host: str, six: bool, offer: SessionDescription | None = None) -> str:
        """The address for a phone at `host` that offers this. Raises PortError."""
        address = self.six if six else self.four
        if address not in UNSPECIFIED:
            return address
        named = _offered(offer) if offer is not None else ""
        there = next((one for one in (host, named) if one and is_six(one) is six and one not in UNSPECIFIED), "")
        try:
            if there:
                return local_address(there)
            why = "its signalling is of the other family"
        except OSError as error:
            why = f"{error.strerror}"
        key = "rtp.address6" if six else "rtp.address"
        raise PortError(f"no IPv{6 if six else 4} way to {host} for sound ({why}); name one {key}") from None


def _offered(offer: SessionDescription) -> str:
    """Where the phone expects its sound; empty when it does not say."""
    wanted = [media for media in offer.media if media.kind == "audio" and media.port]
    return (offer.connection_of(wanted[0]) or "") if wanted else ""
