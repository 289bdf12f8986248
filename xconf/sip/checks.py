"""What a user agent server looks at before it acts upon a request (RFC 3261 section 8.2)."""

from __future__ import annotations

from dataclasses import dataclass

from xconf.sip.bodies import ACCEPTED, SDP, sdp_of
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Request
from xconf.sip.session_timer import terms_as_server
from xconf.sip.settings import ALLOW, SUPPORTED, Settings

HeaderItems = tuple[tuple[str, str], ...]

_DESCRIBED = ("INVITE", "UPDATE", "PRACK")


@dataclass(frozen=True, slots=True)
class Refusal:
    """How to answer a request that is not acted upon."""

    status: int
    headers: HeaderItems = ()
    reason: str | None = None


def check(request: Request, settings: Settings) -> Refusal | None:
    """In the order of section 8.2: method, Request-URI, extensions, content. Not for ACK and CANCEL.

    Max-Forwards is for proxies: a request that has arrived has arrived, also with 0 (sections 8.2, 11, 16.3).
    """
    if request.method not in ALLOW:
        return Refusal(405, (("Allow", ", ".join(ALLOW)),))
    if not request.uri.is_sip:
        return Refusal(416)
    unsupported = [option for option in request.headers.get_all("Require") if option.lower() not in SUPPORTED]
    if unsupported:
        return Refusal(420, (("Unsupported", ", ".join(unsupported)),))
    return _check_content(request, settings)


def _check_content(request: Request, settings: Settings) -> Refusal | None:
    if request.method == "INFO":
        return _check_info(request, settings)
    if request.method not in _DESCRIBED:
        return None
    if request.method == "INVITE" and not _takes_sdp(request):
        return Refusal(406)
    try:
        sdp_of(request)
        if request.method != "PRACK":
            terms_as_server(request, settings)
    except RemoteProtocolError as error:
        return Refusal(error.status, _explanation(error.status, settings), error.reason)
    return None


def _takes_sdp(request: Request) -> bool:
    """Whether our answer may be a session description (section 20.1); without Accept it may."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in request.headers.get_all("Accept")]
    return not kinds or not {SDP, "application/*", "*/*"}.isdisjoint(kinds)


def _explanation(status: int, settings: Settings) -> HeaderItems:
    """What must stand beside some refusals."""
    if status == 415:
        return ("Accept", ACCEPTED), ("Accept-Encoding", "identity")
    return (("Min-SE", str(settings.min_se)),) if status == 422 else ()


def _check_info(request: Request, settings: Settings) -> Refusal | None:
    if "Info-Package" in request.headers:
        return Refusal(469, (("Recv-Info", ""),))  # RFC 6086: we have announced none
    if request.body and request.content_type not in settings.info_types:
        return Refusal(415, (("Accept", ", ".join(settings.info_types)),))
    return None


def capabilities(settings: Settings) -> HeaderItems:
    """What a 200 to OPTIONS tells (section 11.2)."""
    return (
        ("Allow", ", ".join(ALLOW)),
        ("Accept", ", ".join((SDP, *settings.info_types))),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "en"),
        ("Supported", ", ".join(SUPPORTED)),
    )
