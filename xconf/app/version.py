"""Which xconf this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("xconf")
except PackageNotFoundError:
    VERSION = "not installed"
