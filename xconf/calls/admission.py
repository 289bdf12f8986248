"""How many calls are taken on: so many that those which are up keep their sound."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

HOSTS = 10_000  # whose rates are remembered; the one unheard of for longest is forgotten first


@dataclass(frozen=True, slots=True)
class Limits:
    """calls: at once; rate: new ones a second (a second's worth may come together). host_…: the same of one host. 0: any."""

    calls: int
    rate: float = 0
    host_calls: int = 0
    host_rate: float = 0


@dataclass(slots=True)
class _Bucket:
    """New calls that may come at once; fills with the rate, up to one second's worth."""

    tokens: float
    since: float

    def take(self, rate: float, now: float) -> bool:
        self.tokens = min(max(rate, 1.0), self.tokens + (now - self.since) * rate)
        self.since = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Admission:
    """Counts calls and their rates. overloaded: whether the tick runs late."""

    def __init__(self, limits: Limits, overloaded: Callable[[], bool]) -> None:
        self._limits = limits
        self._overloaded = overloaded
        self._calls = 0
        self._by_host: Counter[str] = Counter()
        self._all = _Bucket(max(limits.rate, 1.0), 0.0)
        self._hosts: OrderedDict[str, _Bucket] = OrderedDict()

    @property
    def closed(self) -> str | None:
        """Why no calls are taken on now, whoever calls; None if they are."""
        if self._calls >= self._limits.calls:
            return f"there are sip.limits.calls = {self._limits.calls} calls already"
        return "the media run late: the machine has no time for more calls" if self._overloaded() else None

    def refusal(self, host: str, now: float, *, trunk: bool) -> str | None:
        """Why a new call of that host, or in such haste, is refused though there is room; None if it is not. A trunk's host
        stands for many callers.
        """
        limits = self._limits
        if not trunk:
            if limits.host_calls and self._by_host[host] >= limits.host_calls:
                return f"{host} has sip.limits.host_calls = {limits.host_calls} calls already"
            if limits.host_rate and not self._bucket(host, now).take(limits.host_rate, now):
                return f"{host} makes more than sip.limits.host_calls_per_second = {limits.host_rate:g} calls"
        if limits.rate and not self._all.take(limits.rate, now):
            return f"more than sip.limits.calls_per_second = {limits.rate:g} calls come"
        return None

    def _bucket(self, host: str, now: float) -> _Bucket:
        bucket = self._hosts.setdefault(host, _Bucket(max(self._limits.host_rate, 1.0), now))
        self._hosts.move_to_end(host)
        if len(self._hosts) > HOSTS:
            self._hosts.popitem(last=False)
        return bucket

    def began(self, host: str) -> None:
        """A call was taken on."""
        self._calls += 1
        self._by_host[host] += 1

    def ended(self, host: str) -> None:
        self._calls -= 1
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]
