"""What a configuration amounts to, in a few lines: where the server listens, and what to dial."""

from __future__ import annotations

from collections.abc import Iterator

from xconf.app.config import Configuration
from xconf.app.dialrules import DialRule
from xconf.app.settings import Settings

LONGEST = 5  # digits of an example


def summary(configuration: Configuration) -> Iterator[str]:
    """Lines for people."""
    settings = configuration.settings
    yield f"  SIP      {', '.join(map(str, settings.sip.listen))}"
    six = f" and udp://{settings.rtp.address6}" if settings.rtp.address6 else ""
    yield f"  media    udp://{settings.rtp.address}{six}, ports {settings.rtp.ports}"
    yield f"  control  {configuration.socket}"
    yield from (f"  dial     {line}" for line in how_to_dial(settings))


def how_to_dial(settings: Settings) -> Iterator[str]:
    """A line for each rule of the dial plan: a number to try, and where it leads."""
    listen = settings.sip.listen[0]
    # On all addresses means on this one too.
    host = (
        str(listen)
        .partition("://")[2]
        .removesuffix(":5061" if listen.transport == "tls" else ":5060")
        .replace("0.0.0.0", "127.0.0.1")
        .replace("[::]", "[::1]")
    )
    transport = f";transport={listen.transport}" if listen.transport != "udp" else ""
    for rule in settings.dialplan:
        number = example(settings, rule)
        target = f"sip:{number}@{host}{transport}" if number else f"{rule.number} at {host}"
        conference = rule.conference_of(number) if number else rule.conference
        flags = f", {rule.flags}" if rule.flags.text else ""
        yield f"{target}  conference {conference}, profile {rule.profile}{flags}"


def example(settings: Settings, rule: DialRule) -> str | None:
    """The shortest and smallest number that this rule takes; None when it takes no short one."""
    for length in range(1, LONGEST + 1):
        for number in range(10**length):
            digits = f"{number:0{length}}"
            if rule.number.regex.fullmatch(digits):
                route = settings.route(digits)
                if route and route[0] is rule:
                    return digits
    return None
