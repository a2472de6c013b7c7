"""Package URLs: one canonical spelling, and how a policy's ``match`` is applied to it (DESIGN section 6, INTERFACE section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote

from packageurl import PackageURL
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprove.core.errors import ProblemError, Slug

MAX_LENGTH = 1024
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,254}\Z")
_PYPI_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_TYPE = re.compile(r"[a-z][a-z0-9.-]{0,31}\Z")
_PLAIN = re.compile(r"[ -~]+\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9._~+-]+\Z")


@dataclass(frozen=True, slots=True)
class Purl:
    """A package URL in canonical parts; text form by ``str``. Made by :func:`parse_purl`."""

    type: str
    namespace: str | None
    name: str
    version: str | None = None
    file_name: str | None = None
    repository_url: str | None = None

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        version = f"@{quote(self.version, safe='.-_~')}" if self.version else ""
        known = (("file_name", self.file_name), ("repository_url", self.repository_url))
        qualifiers = [f"{key}={quote(value, safe='.-_~:/')}" for key, value in known if value is not None]
        return f"pkg:{self.type}/{path}{version}" + (f"?{'&'.join(qualifiers)}" if qualifiers else "")

    def without_file(self) -> Purl:
        """The purl of the release: no ``file_name``."""
        return replace(self, file_name=None)

    def with_file(self, name: str) -> Purl:
        """The purl of one file of the release."""
        if not _FILE_NAME.match(name):
            raise _bad(f"file_name {name[:80]!r} is not a plain file name")
        return replace(self, file_name=name)


def parse_purl(text: object) -> Purl:
    """Read a purl in any spelling and canonicalise it: PEP 503 name and PEP 440 version for ``pypi``.

    Raises ``invalid-purl`` for anything else: other qualifiers, sub-paths, control characters, a file name with a slash.
    """
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_LENGTH or not _PLAIN.match(text):
        raise _bad(f"a purl is 1 to {MAX_LENGTH} printable ASCII characters such as pkg:pypi/idna@3.10")
    return _parse(text)


@lru_cache(maxsize=8192)
def _parse(text: str) -> Purl:
    """Parse checked text; remembered, since a decision asks for the same names again and again."""
    if not text.lower().startswith("pkg:"):
        raise _bad("a purl starts with pkg:, as in pkg:pypi/idna@3.10")
    _check_spelling(text)
    try:
        parsed = PackageURL.from_string(text)
    except ValueError as error:
        raise _bad(f"not a purl: {error}") from None
    if parsed.subpath:
        raise _bad("a sub-path (#…) names no artifact")
    qualifiers = dict(parsed.qualifiers)
    unknown = sorted(set(qualifiers) - {"file_name", "repository_url"})
    if unknown:
        raise _bad(f"unknown qualifier {unknown[0][:40]!r}; known: file_name, repository_url")
    file_name, repository = qualifiers.get("file_name"), qualifiers.get("repository_url")
    if file_name is not None and not _FILE_NAME.match(file_name):
        raise _bad(f"file_name {file_name[:80]!r} is not a plain file name")
    if repository is not None and not re.fullmatch(r"https?://[!-~]+", repository):
        raise _bad("repository_url must be an http or https address")
    if not _TYPE.match(parsed.type):
        raise _bad(f"type {parsed.type[:40]!r} is not a purl type")
    name, version = _pypi(parsed) if parsed.type == "pypi" else _generic(parsed)
    return Purl(parsed.type, parsed.namespace or None, name, version, file_name, repository)


def matches(pattern: str, purl: Purl) -> bool:
    """Say whether a policy's ``match`` covers ``purl``: a prefix up to ``/`` or ``@``, or the whole purl.

    A whole purl covers what it leaves open: ``pkg:pypi/foo`` every version of foo (as ``pkg:pypi/foo@`` does) and never ``foobar``,
    ``pkg:pypi/foo@1`` the files of that release and never ``foo@10``.
    """
    text = str(purl)
    if pattern.endswith(("/", "@")):
        return text.startswith(pattern)
    release = purl.without_file()
    return pattern in (text, str(release), str(replace(release, version=None)))


def parse_pattern(text: object) -> str:
    """Check and canonicalise a ``match``: a purl prefix that ends in ``/`` or ``@``, or a whole purl. Raises ``invalid-purl``."""
    if not isinstance(text, str) or not _PLAIN.match(text) or len(text) > MAX_LENGTH:
        raise _bad("a match is printable ASCII text")
    if text.endswith("@"):
        purl = parse_purl(text[:-1])
        if purl.version or purl.file_name or purl.repository_url:
            raise _bad(f"{text!r} has a version or qualifier before its last @")
        return f"{purl}@"
    if text.endswith("/"):
        kind, _, path = text.removeprefix("pkg:").partition("/")
        if not text.startswith("pkg:") or not _TYPE.match(kind) or not all(_SEGMENT.match(part) for part in path.split("/")[:-1]):
            raise _bad(f"{text!r} is not a purl prefix such as pkg:pypi/")
        if kind == "pypi" and path:
            raise _bad(f"{text!r} would cover nothing: a pypi purl has no namespace; to cover a project write {text[:-1]}@")
        return text
    return str(parse_purl(text))


def _check_spelling(text: str) -> None:
    """Refuse what the purl library would silently drop or double: repeated qualifiers, empty segments, user parts, encoded slashes."""
    head, _, query = text.partition("?")
    keys = [part.partition("=")[0].lower() for part in query.split("#")[0].split("&")] if query else []
    if len(keys) != len(set(keys)) or any(part.partition("=")[2] == "" for part in query.split("#")[0].split("&") if query):
        raise _bad("a qualifier is empty or stands twice")
    path = head[4:]
    if path.startswith("/") or "//" in path or "%2f" in path.lower() or "%00" in text or any(part in (".", "..") for part in path.split("/")):
        raise _bad("a purl has the form pkg:type/namespace/name@version")
    if path.count("@") > 1:
        raise _bad("a purl has at most one @; encode one inside a name as %40")


def _pypi(parsed: PackageURL) -> tuple[str, str | None]:
    if parsed.namespace:
        raise _bad("a pypi purl has no namespace")
    if not _PYPI_NAME.match(parsed.name):
        raise _bad(f"{parsed.name[:80]!r} is not a Python project name")
    if not parsed.version:
        return canonicalize_name(parsed.name), None
    try:
        return canonicalize_name(parsed.name), str(Version(parsed.version))
    except InvalidVersion:
        raise _bad(f"{parsed.version[:80]!r} is not a Python version (PEP 440)") from None


def _generic(parsed: PackageURL) -> tuple[str, str | None]:
    parts = [*(parsed.namespace or "").split("/"), parsed.name] if parsed.namespace else [parsed.name]
    if not all(_SEGMENT.match(part) for part in parts):
        raise _bad("names may have letters, digits and . _ ~ + -")
    if parsed.version and not re.fullmatch(r"[A-Za-z0-9._~+:-]+", parsed.version):
        raise _bad("the version has characters other than letters, digits and . _ ~ + : -")
    return parsed.name, parsed.version or None


def _bad(detail: str) -> ProblemError:
    return ProblemError(Slug.INVALID_PURL, detail)
