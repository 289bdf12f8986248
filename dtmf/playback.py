"""Sounds for one member alone."""

from xconf.conference.commands import SOUND, command
from xconf.conference.member import Member


@command("playback", argument=SOUND)
def playback(member: Member, sound: str) -> str:
    """Plays a sound to this member alone, in place of the conference, or stops it."""
    if sound == "stop":
        return "stopped" if member.stop_playback() else "nothing was played"
    member.play(sound)
    return f"playing {sound}"
