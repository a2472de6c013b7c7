"""Which Python package index this machine's pip uses, asked of pip itself: read once by ``reprove init``, then canonical (INTERFACE section 1).

Second indexes and find-links, which real machines have, would leak files of another time or author into a build (DESIGN section 5.5), so they
are named in one warning line and ignored.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from reprove.core.canonical import parse
from reprove.core.errors import OwnError, ProblemError, UpstreamError

PROBED_PROJECT = "pip"
"""A project that every index which serves Python has; its page tells where files are."""
PROBE_SECONDS = 20.0
MAX_PAGE = 32 * 1024**2
PIP_SECONDS = 60.0
_MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"
_LINE = re.compile(r"([^=\s]+)='(.*)'\Z")
_IGNORED_PIP = ("find-links", "extra-index-url", "no-index")
_IGNORED_UV = ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_NO_INDEX")
_BUILT_IN = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


@dataclass(frozen=True, slots=True)
class ConfiguredIndex:
    """``url`` ends in ``/``; ``source`` says where pip has it from; ``warnings`` has at most one line."""

    url: str
    source: str
    warnings: tuple[str, ...]


def configured(environ: Mapping[str, str]) -> ConfiguredIndex:
    """Ask pip, in the caller's environment, for its index. Raises OwnError when there is no pip to ask, or its index cannot be used."""
    settings = _pip_settings(environ)
    for key, source in (
        (":env:.index-url", "PIP_INDEX_URL"),
        ("install.index-url", "pip's configuration"),
        ("global.index-url", "pip's configuration"),
    ):
        if settings.get(key):
            return ConfiguredIndex(checked(settings[key]), source, _warnings(settings, environ))
    return ConfiguredIndex(checked(_pip(["-c", _BUILT_IN], environ)), "pip's default", _warnings(settings, environ))


def checked(url: str) -> str:
    """Return the address in the form that we keep. Raises OwnError for one that a canonical index cannot have."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise OwnError("the package index must be a plain http or https address; set REPROVE_INDEX_PYPI_URL")
    if "@" in parts.netloc:
        raise OwnError(f"the package index at {parts.hostname} is configured with credentials, which would become public; set REPROVE_INDEX_PYPI_URL")
    return url.strip().rstrip("/") + "/"


def probe(url: str) -> tuple[str, ...]:
    """Return the ``fetch_allow`` entries that an index needs: its own host, and the hosts of the files of one of its pages.

    Raises UpstreamError when it does not answer. An index without that project, or of another form, needs only its own.
    """
    found = [allow_entry(url)]
    page = f"{checked(url)}{PROBED_PROJECT}/"
    try:
        for address in _file_addresses(page):
            entry = allow_entry(urljoin(page, address))
            if entry not in found:
                found.append(entry)
    except (urllib.error.HTTPError, ProblemError, OwnError, KeyError, TypeError, ValueError):
        return tuple(found)
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UpstreamError(
            f"the package index at {urlsplit(url).hostname} does not answer ({reason}); set REPROVE_INDEX_PYPI_URL, or try again"
        ) from error
    return tuple(found)


def allow_entry(url: str) -> str:
    """Write a URL's host as a ``fetch_allow`` entry: ``host:port``, or ``http://host:port`` where no TLS is spoken."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OwnError(f"{url[:200]!r} is not an http or https address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{parts.port or 80}" if parts.scheme == "http" else f"{host}:{parts.port or 443}"


def _file_addresses(page: str) -> list[str]:
    request = urllib.request.Request(page, headers={"Accept": _MEDIA_TYPE, "User-Agent": "reprove"})  # noqa: S310  # the scheme was checked
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    with opener.open(request, timeout=PROBE_SECONDS) as answer:
        body = answer.read(MAX_PAGE + 1)
    document = parse(body, max_bytes=MAX_PAGE, what="the index page")
    return [str(row["url"]) for row in document["files"]]


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    rows = (_LINE.match(line) for line in _pip(["-m", "pip", "config", "list"], environ).splitlines())
    return {match[1]: match[2] for match in rows if match is not None}


def _pip(arguments: list[str], environ: Mapping[str, str]) -> str:
    environment = {**environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return done.stdout.strip()
    raise OwnError("there is no pip to ask for its package index; set REPROVE_INDEX_PYPI_URL")


def _warnings(settings: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    names = []
    for key, value in sorted(settings.items()):
        section, _, option = key.rpartition(".")
        if option in _IGNORED_PIP and value and value.lower() not in ("false", "0", "no"):
            name = f"PIP_{option.replace('-', '_').upper()}" if section == ":env:" else key
            names.append(f"{name}={json.dumps(_shown(value))}")
    names += [f"{name}={json.dumps(_shown(environ[name]))}" for name in _IGNORED_UV if environ.get(name)]
    return (f"ignored: {', '.join(names)}; builds read one index only, as of a moment",) if names else ()


def _shown(value: str) -> str:
    """Leave credentials out of what is printed."""
    return re.sub(r"//[^/@\s]*@", "//…@", value)[:200]
