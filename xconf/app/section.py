"""What sections of the configuration have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]


class Section(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; a key that is not in it is refused."""
