"""Where the files that come with xconf are: its sounds, its keypad commands, its configuration.

In a checkout they are beside the package; in an installed wheel they are inside of it.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
SHIPPED = PACKAGE / "_data" if (PACKAGE / "_data").is_dir() else PACKAGE.parent

SOUNDS = SHIPPED / "sounds"
DTMF = SHIPPED / "dtmf"
CONFIG = SHIPPED / "conf" / "xconf.yaml"

SYSTEM_CONFIG = Path("/etc/xconf/xconf.yaml")


def default_config(folder: Path | None = None) -> Path:
    """The configuration that is meant when none is named: conf/xconf.yaml in `folder` (here), or /etc/xconf's."""
    here = (folder or Path()) / "conf" / "xconf.yaml"
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() and not here.exists() else here
