"""Where the CPU of servers of one's own can be asked for: an exporter, or a Prometheus that scrapes one.

FLASHCROWD_PROMETHEUS holds sources with blanks between them, each ``[SERVER=]URL[#LABEL=VALUE&…]``:

    http://db.example:9100/metrics                          node_exporter on the machine of the one server there is
    postgres=http://db.example:8080/metrics#name=shop-db    cAdvisor, the container named shop-db
    mongo-1=http://prometheus:9090/#instance=m1:9100        a Prometheus, of which only what has these labels

A path that ends in ``/metrics`` is an exporter's; anything else is the base of a Prometheus server.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from harness.errors import UsageError

VARIABLE = "FLASHCROWD_PROMETHEUS"
_NAMED = re.compile(r"([\w-]+)=(https?://.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one server's figures are.

    :param server: the server's name here
    :param url: without login and labels
    :param login: the header that carries the URL's user and password; None: it has none
    :param labels: what the samples must have
    """

    server: str
    url: str
    login: str | None = field(default=None, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_exporter(self) -> bool:
        """Whether it is asked for its metrics as text; else it is a Prometheus server, asked by query."""
        return urlsplit(self.url).path.endswith("/metrics")


def parse(texts: Iterable[str], servers: Sequence[str]) -> tuple[Source, ...]:
    """Read sources.

    :param servers: names of the servers that there are
    :raises UsageError: a source cannot be read, or is of no server
    """
    found = tuple(_source(text, servers) for text in texts)
    names = [source.server for source in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{VARIABLE}: two sources for {name}: name one")
    return found


def _source(text: str, servers: Sequence[str]) -> Source:
    named = _NAMED.fullmatch(text)
    url = urlsplit(named[2] if named else text)
    if url.scheme not in ("http", "https") or not url.hostname:
        # It may hold a password, so it is not repeated.
        raise UsageError(
            f"{VARIABLE}: cannot be read; write [SERVER=]http://HOST:PORT/metrics, or the base of a Prometheus"
        )
    server = named[1] if named else servers[0] if len(servers) == 1 else None
    if server is None or server not in servers:
        whose = f"{server} is no server here" if server else "it does not say of which server"
        raise UsageError(f"{VARIABLE}: {_bare(url)}: {whose}; write SERVER=URL, where SERVER is {' or '.join(servers)}")
    return Source(server=server, url=_bare(url), login=_login(url), labels=dict(parse_qsl(url.fragment)))


def _bare(url: SplitResult) -> str:
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, url.query, ""))


def _login(url: SplitResult) -> str | None:
    if url.username is None:
        return None
    both = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return f"Basic {base64.b64encode(both.encode()).decode()}"
