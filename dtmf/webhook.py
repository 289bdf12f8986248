"""Telling a web server of the operator's something."""

from __future__ import annotations

from xconf.conference import events
from xconf.conference.commands import Argument, command
from xconf.conference.errors import CommandError
from xconf.conference.member import Member

LONGEST = 200


def _text(text: str) -> str:
    if "://" in text:
        raise ValueError("posts to the configured webhook.url only: a text is needed, and no address")
    if len(text) > LONGEST or not text.isprintable():
        raise ValueError(f"a text of up to {LONGEST} printable characters is needed")
    return text


@command("webhook", argument=Argument("TEXT", _text))
def webhook(member: Member, text: str) -> None:
    """Posts a text to the configured web server, as an event of the member."""
    member.require_in()
    if not member.conference.owner.posts:
        raise CommandError("there is no webhook.url, or webhook.only leaves out webhook-called")
    member.publish(events.WebhookCalled, text=text)
