"""Which hosts and addresses may be talked to (DESIGN section 8, egress).

A host that the operator listed may have any address; every other one must be https on port 443 and have only public addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from reprove.core.errors import OwnError

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")

_V4_REFUSED = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
"""IANA's special-purpose registry; written out, since ``ipaddress.is_global`` changes between patch releases of Python."""

_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_V6_REFUSED = tuple(ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
"""Inside 2000::/3: Teredo and its like, documentation, 6to4. Mapped, NAT64, link-local and unique-local ranges lie outside it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a connection goes: a lower-case host name or an address, a port, and whether TLS is spoken."""

    host: str
    port: int
    tls: bool

    @property
    def header(self) -> str:
        """The ``Host`` header: the default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_allow(entries: Iterable[str]) -> frozenset[Endpoint]:
    """Read ``fetch_allow``: ``host:port`` (https) or ``http://host:port``. Raises OwnError naming the entry that is neither."""
    return frozenset(_entry(entry) for entry in entries)


def endpoint_of(url: str) -> tuple[Endpoint, str] | None:
    """Split a URL into where it goes and the request target; None for what is not a plain http(s) URL (credentials, control characters)."""
    if len(url) > 8192 or not url.isascii() or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    host = parts.hostname.rstrip(".")
    if not (_HOST.match(host) or _is_address(host)):
        return None
    tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(host, port or (443 if tls else 80), tls), target


def is_public(address: str) -> bool:
    """Say whether an address is one that anybody on the Internet could have; scoped, mapped and translated forms never are."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _V4_REFUSED)
    if parsed.scope_id is not None or parsed not in _V6_GLOBAL:
        return False
    return not any(parsed in network for network in _V6_REFUSED)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _entry(entry: str) -> Endpoint:
    url = entry if "://" in entry else f"https://{entry}"
    found = endpoint_of(url.lower())
    if found is None or found[1] != "/" or urlsplit(url).port is None:
        raise OwnError(f"fetch_allow: {entry!r} is neither host:port nor http://host:port")
    return found[0]
