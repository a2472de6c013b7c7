"""Which package index this machine's own client uses, read once by ``reprove init`` (INTERFACE section 1: ``REPROVE_INDEX_PYPI_URL``).

pip is asked, because its configuration and its built-in default are where a user has said what "the index" is. Everything else that pip would
mix in (find-links, extra indexes) is named in a warning and ignored: a rebuild has exactly one index.
"""

from __future__ import annotations

import ast
import http.client
import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from reprove.core.errors import OwnError, UpstreamError

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"
PROBED_PROJECT = "pip"
MAX_PAGE_BYTES = 32 * 1024**2
_PIP_SECONDS = 30
_PROBE_SECONDS = 20
_DEFAULT = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
_IGNORED = ("find-links", "extra-index-url", "no-index")


@dataclass(frozen=True, slots=True)
class ConfiguredIndex:
    """The index's ``/simple/`` address, where it was said, and a line for each ambient setting that is ignored."""

    url: str
    source: str
    warnings: tuple[str, ...] = ()


def configured(environ: Mapping[str, str]) -> ConfiguredIndex:
    """Ask pip for its index. Raises OwnError when there is no pip to ask."""
    rows = dict(_settings(_pip(["config", "list"], environ)))
    warnings = tuple(
        f"pip is configured with {name} = {value!r} ({key.partition('.')[0].strip(':') or 'configuration'}); Reprove ignores it: a rebuild has one index"
        for key, value in sorted(rows.items())
        for name in _IGNORED
        if key.endswith(f".{name}")
    )
    for key in (":env:.index-url", "install.index-url", "global.index-url"):
        if rows.get(key):
            return ConfiguredIndex(simple(rows[key]), "pip's configuration", warnings)
    return ConfiguredIndex(simple(_python(_DEFAULT, environ)), "pip's default", warnings)


def probe(url: str) -> tuple[str, ...]:
    """The hosts that an index needs: its own and that of the files of one page, as ``fetch_allow`` entries. Raises UpstreamError."""
    hosts = [entry(url)]
    page = urljoin(url, f"{PROBED_PROJECT}/")
    request = urllib.request.Request(page, headers={"Accept": MEDIA_TYPE, "User-Agent": "reprove"})  # noqa: S310  # http or https by simple()
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS, context=ssl.create_default_context()) as answer:  # noqa: S310  # as above
            body = answer.read(MAX_PAGE_BYTES + 1)
            files = json.loads(body)["files"]
            first = urljoin(answer.geturl(), str(files[0]["url"])) if files else url
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, IndexError) as error:
        raise UpstreamError(f"the index at {url} does not answer a page of files (PEP 691): {error}; set REPROVE_INDEX_PYPI_URL") from error
    hosts.append(entry(first))
    return tuple(dict.fromkeys(hosts))


def simple(url: str) -> str:
    """An index address in the form that is stored: http or https, ending in one slash. Raises OwnError."""
    text = url.strip().rstrip("/") + "/"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise OwnError("the package index must be an http or https address without a password; set REPROVE_INDEX_PYPI_URL")
    return text


def entry(url: str) -> str:
    """The ``fetch_allow`` entry of an address: ``host:port``, with ``http://`` in front where there is no TLS."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{host}:{port}" if parts.scheme == "https" else f"http://{host}:{port}"


def _settings(text: str) -> list[tuple[str, str]]:
    """The rows of ``pip config list``: ``key='value'``."""
    rows = []
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign:
            try:
                rows.append((key, str(ast.literal_eval(value))))
            except (ValueError, SyntaxError):
                continue
    return rows


def _pip(arguments: list[str], environ: Mapping[str, str]) -> str:
    return _run([sys.executable, "-m", "pip", *arguments], environ)


def _python(code: str, environ: Mapping[str, str]) -> str:
    return _run([sys.executable, "-c", code], environ).strip()


def _run(command: list[str], environ: Mapping[str, str]) -> str:
    try:
        result = subprocess.run(command, env=dict(environ), capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OwnError(f"pip could not be asked for its index: {error}; set REPROVE_INDEX_PYPI_URL") from error
    if result.returncode != 0:
        raise OwnError(f"pip could not be asked for its index: {result.stderr.strip()[-200:]}; set REPROVE_INDEX_PYPI_URL")
    return result.stdout
