"""The phones of a test: made on demand, stopped together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bed_audio import tone, write_wav
from bed_phones import Baresip, Linphone
from bed_server import Server
from bed_sipp import Outcome, SippRun, run_sipp


class Phones:
    """Makes phones that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._made: list[Baresip | Linphone | SippRun] = []

    def baresip(self, name: str, **options: Any) -> Baresip:
        """A baresip; `tone=1000` (Hz), with `level` (dBFS RMS) and `rate` (Hz, the codec's), is its microphone for two minutes."""
        return self._keep(Baresip(self.folder, name, source=self._tone(options), **options))

    def linphone(self, name: str, **options: Any) -> Linphone:
        """A linphone, with the same options for a tone."""
        return self._keep(Linphone(self.folder, name, source=self._tone(options), **options))

    def _tone(self, options: dict[str, Any]) -> Path | None:
        """The file that the tone options, which are taken out, ask for."""
        frequency, level = options.pop("tone", None), options.pop("level", -18.0)
        rate = options.pop("rate", 8000)
        if frequency is None:
            return options.pop("source", None)
        path = self.folder / f"tone{frequency}{level}at{rate}.wav"
        return path if path.exists() else write_wav(path, tone(frequency, 120, level, rate), rate)

    def sipp(self, scenario: str, server: Server, number: str, **options: Any) -> SippRun:
        """A run of SIPp that goes on beside the test; `.finish()` waits for it."""
        return self._keep(SippRun(self.folder, scenario, server.target, number, **options))

    def flow(self, scenario: str, server: Server, number: str, **options: Any) -> Outcome:
        """A run of SIPp to its end, every call of which must pass."""
        return run_sipp(self.folder, scenario, server.target, number, **options)

    def _keep(self, phone: Any) -> Any:
        self._made.append(phone)
        return phone

    def stop(self) -> None:
        for phone in self._made:
            phone.stop()
