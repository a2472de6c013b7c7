"""One Python package index, read by the JSON form of the simple repository API (PEP 503, 691, 700).

Times, sizes and yanks are claims of the index; digests are checked against what it then serves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import prod
from typing import Any
from urllib.parse import urljoin

from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from reprove.core.canonical import parse
from reprove.core.digests import Sha256, parse_sha256, sha256
from reprove.core.errors import ProblemError
from workers.inputs.egress import EgressClient, FetchError, FetchKind

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"
MAX_PAGE_BYTES = 48 * 1024**2
MAX_FILES = 200_000
PAGE_SECONDS = 30.0
MAX_REQUIRES = 500
MAX_TAGS = 2000
"""Most tags of one wheel: the three sets of a file name multiply, and some hundred bytes would become a hundred thousand."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)\Z")
_PROJECT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,127}[a-z0-9])?\Z")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}\Z")


@dataclass(frozen=True, slots=True)
class WheelName:
    """A wheel's file name, taken apart (binary distribution format)."""

    version: Version
    tags: frozenset[Tag]

    @property
    def pure(self) -> bool:
        """Whether it is tagged ``none-any``, so that neither ABI nor platform matters."""
        return all(tag.abi == "none" and tag.platform == "any" for tag in self.tags)


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of a project. ``uploaded`` is None where the index does not say; ``size`` likewise (PEP 700)."""

    name: str
    url: str
    sha256: Sha256
    size: int | None
    uploaded: datetime | None
    yanked: bool
    version: Version
    wheel: WheelName | None
    requires_python: str | None = None

    @property
    def is_sdist(self) -> bool:
        """Whether it is a source archive."""
        return self.wheel is None

    @property
    def uploaded_text(self) -> str | None:
        """The upload time as RFC 3339 in UTC, microseconds only where there are any."""
        return None if self.uploaded is None else rfc3339(self.uploaded)


@dataclass(frozen=True)
class Page:
    """A project's page: its files that have a digest and a name that can be read, and the bytes it came from."""

    project: NormalizedName
    files: tuple[IndexFile, ...]
    body: bytes
    url: str
    fetched: datetime

    @cached_property
    def sha256(self) -> Sha256:
        """Digest of the page's bytes as they were served, before anything was rewritten."""
        return sha256(self.body)

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """Every version that has a file, newest first."""
        return tuple(sorted({file.version for file in self.files}, reverse=True))

    def of_version(self, version: str) -> tuple[IndexFile, ...]:
        """The files of one version, in the order of their names."""
        try:
            wanted = Version(version)
        except InvalidVersion:
            return ()
        return tuple(sorted((file for file in self.files if file.version == wanted), key=lambda file: file.name))


class IndexFaultError(FetchError):
    """The index answered something that is no page of this project."""

    def __init__(self, detail: str) -> None:
        super().__init__(FetchKind.GARBAGE, detail)


class PypiIndex:
    """One index by its ``/simple/`` address."""

    def __init__(self, url: str, client: EgressClient) -> None:
        self.url = url.rstrip("/") + "/"
        self._client = client

    def page_url(self, project: str) -> str:
        """The address of a project's page."""
        return f"{self.url}{canonicalize_name(project)}/"

    def project(self, name: str, *, now: datetime | None = None, timeout: float = PAGE_SECONDS) -> Page | None:
        """Return the project's page, None when the index has no such project (404, 410). Raises FetchError for everything else."""
        project = canonicalize_name(name)
        if not _PROJECT.match(project):
            return None
        try:
            answer = self._client.get(self.page_url(project), max_bytes=MAX_PAGE_BYTES, timeout=timeout, headers={"Accept": MEDIA_TYPE})
        except FetchError as error:
            if error.status in (404, 410):
                return None
            raise
        if answer.content_type != MEDIA_TYPE:
            raise IndexFaultError(f"media type {answer.content_type[:80]!r}, not {MEDIA_TYPE}: the index must speak PEP 691")
        return read_page(project, answer.body, url=answer.url, fetched=now or datetime.now(UTC))


def read_page(project: NormalizedName, body: bytes, *, url: str, fetched: datetime) -> Page:
    """Read a page's bytes. Raises IndexFaultError for what is no page, is another project's, or names a file twice."""
    try:
        document = parse(body, max_bytes=MAX_PAGE_BYTES, what="the index page")
    except ProblemError as error:
        raise IndexFaultError(str(error)) from None
    if not isinstance(document, dict) or not isinstance(document.get("files"), list) or not isinstance(document.get("meta"), dict):
        raise IndexFaultError("the index page has no meta and files")
    if str(document["meta"].get("api-version", "")).partition(".")[0] != "1":
        raise IndexFaultError("the index page has an API version other than 1.x")
    if not isinstance(document.get("name"), str) or canonicalize_name(document["name"]) != project:
        raise IndexFaultError(f"the index answered with the page of another project than {project}")
    if len(document["files"]) > MAX_FILES:
        raise IndexFaultError(f"the index page lists more than {MAX_FILES} files")
    files = [file for file in (read_file(project, row, url) for row in document["files"]) if file is not None]
    if len({file.name for file in files}) != len(files):
        raise IndexFaultError("the index page names a file twice")
    return Page(project, tuple(files), body, url, fetched)


def read_file(project: NormalizedName, row: object, page_url: str) -> IndexFile | None:
    """Read one row of a page; None for what is no wheel or sdist of this project with a digest (old formats, odd names)."""
    if not isinstance(row, dict) or not isinstance(row.get("filename"), str) or not isinstance(row.get("url"), str):
        return None
    name = row["filename"]
    parsed = parse_file_name(name, project)
    hashes = row.get("hashes")
    if parsed is None or not isinstance(hashes, dict):
        return None
    try:
        digest = parse_sha256(hashes.get("sha256"))
        url = urljoin(page_url, row["url"]).partition("#")[0]
    except (ProblemError, ValueError):
        return None
    size, requires = row.get("size"), row.get("requires-python")
    return IndexFile(
        name=name,
        url=url,
        sha256=digest,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        uploaded=parse_time(row.get("upload-time")),
        # A reason may be empty: PEP 691 says that any string means yanked.
        yanked=row.get("yanked") is True or isinstance(row.get("yanked"), str),
        version=parsed[0],
        wheel=parsed[1],
        requires_python=requires if isinstance(requires, str) and len(requires) <= MAX_REQUIRES else None,
    )


def parse_file_name(name: str, project: str) -> tuple[Version, WheelName | None] | None:
    """Take a file name apart, strictly: version and, for a wheel, its tags; None unless it is a wheel or sdist of ``project``."""
    if not _FILE_NAME.match(name):
        return None
    try:
        if name.endswith(".whl"):
            if prod(part.count(".") + 1 for part in name.removesuffix(".whl").split("-")[-3:]) > MAX_TAGS:
                return None
            distribution, version, _, tags = parse_wheel_filename(name)
            found: tuple[Version, WheelName | None] = (version, WheelName(version, tags))
        else:
            distribution, version = parse_sdist_filename(name)
            found = (version, None)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion, ValueError):
        return None
    return found if distribution == canonicalize_name(project) else None


def parse_time(value: Any) -> datetime | None:  # noqa: ANN401  # any JSON value
    """Read PEP 700's ``upload-time``; None for what is none."""
    if not isinstance(value, str) or not _TIME.match(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rfc3339(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with ``Z``; microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
