"""The options of `twistd xconf`."""

from __future__ import annotations

import sys

from twisted.python import usage

from xconf.app.config import Configuration, load
from xconf.app.logs import name_sink
from xconf.app.paths import default_config
from xconf.app.preflight import check_addresses
from xconf.app.problems import ConfigError


class Options(usage.Options):
    """`-c FILE`. The configuration is read here, so that its faults are seen before anything starts."""

    optParameters = [["config", "c", None, "the configuration; default: conf/xconf.yaml, or /etc/xconf/xconf.yaml"]]
    longdesc = "A SIP/RTP conference server for telephones."

    def postOptions(self) -> None:
        file = self["config"] or default_config()
        try:
            self.configuration: Configuration = load(file)
            check_addresses(self.configuration)
        except ConfigError as error:
            print(error, file=sys.stderr)
            raise SystemExit(1) from None
        if self.parent is not None:
            name_sink(self.parent)
