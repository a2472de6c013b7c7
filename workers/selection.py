"""Which file a purl means, and which source it was built from: pure decisions over one index page (DESIGN section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from reprove.core.errors import ProblemError, Slug
from reprove.core.outcomes import Finding, Outcome
from reprove.core.purls import Purl
from workers.inputs.index import IndexFile, Page

SDIST_SLACK = timedelta(hours=1)
"""A publisher uploads a release's files one after the other; a source that comes later than this was not there when the wheel was built."""

LISTED_CHARACTERS = 1500
NEWEST = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome that stands before anything is built: its cause class and one sentence."""

    outcome: Outcome
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What the page says about a purl. ``source`` is None without one; ``verdict`` is None when a build can be tried."""

    original: IndexFile
    source: IndexFile | None
    listing: tuple[IndexFile, ...]
    findings: tuple[tuple[Finding, str, str], ...]
    verdict: Verdict | None


def select(page: Page | None, purl: Purl, *, index: str) -> Selection:
    """Decide which file is the original and which the source.

    Raises ProblemError (``unknown-package``, ``invalid-purl``) when the original cannot be determined; its detail says what there is instead.
    """
    if page is None or not page.files:
        raise ProblemError(Slug.UNKNOWN_PACKAGE, f'index "{index}" has no project {purl.name}')
    if purl.version is None:
        raise ProblemError(Slug.INVALID_PURL, f"name a version of {purl.name}. Newest: {_newest(page)}")
    listing = page.of_version(purl.version)
    if not listing:
        raise ProblemError(Slug.UNKNOWN_PACKAGE, f'index "{index}" has no version {purl.version} of {purl.name}. Newest: {_newest(page)}')
    original = _original(listing, purl, index)
    source = _source(listing)
    return Selection(original, source, listing, tuple(_findings(original, source)), _verdict(original, source))


def _original(listing: tuple[IndexFile, ...], purl: Purl, index: str) -> IndexFile:
    if purl.file_name is not None:
        for file in listing:
            if file.name == purl.file_name:
                return file
        detail = f'index "{index}" has no file {purl.file_name} of {purl.name} {purl.version}. It has: {_names(listing)}'
        raise ProblemError(Slug.UNKNOWN_PACKAGE, detail)
    pure = [file for file in listing if file.wheel is not None and file.wheel.pure]
    if len(pure) == 1:
        return pure[0]
    count = "1 file" if len(listing) == 1 else f"{len(listing)} files"
    what = "none of them none-any.whl" if not pure else f"{len(pure)} of them none-any.whl"
    name = f"pkg:pypi/{purl.name}@{purl.version}?file_name=…"
    raise ProblemError(Slug.INVALID_PURL, f"{count}, {what}. Name one: {name}  {_names(listing)}")


def _source(listing: tuple[IndexFile, ...]) -> IndexFile | None:
    """The source archive; of several the ``.tar.gz`` (PEP 625), since old releases also had zips for another platform."""
    sdists = sorted((file for file in listing if file.is_sdist), key=lambda file: (not file.name.endswith(".tar.gz"), file.name))
    return sdists[0] if sdists else None


def _findings(original: IndexFile, source: IndexFile | None) -> list[tuple[Finding, str, str]]:
    rows = [
        (Finding.YANKED, file.name, "the publisher withdrew it; it is rebuilt all the same")
        for file in (original, source)
        if file is not None and file.yanked
    ]
    if source is not None and source.uploaded and original.uploaded and source.uploaded > original.uploaded + SDIST_SLACK:
        detail = f"uploaded {source.uploaded_text}, the wheel {original.uploaded_text}: it was not there when the wheel was"
        rows.append((Finding.SDIST_LATER, source.name, detail))
    return rows


def _verdict(original: IndexFile, source: IndexFile | None) -> Verdict | None:
    if original.wheel is None:
        detail = f"{original.name} is a source archive itself; there is nothing that it was built from"
        return Verdict(Outcome.NOT_ATTEMPTABLE, "no-sdist", detail)
    if not original.wheel.pure:
        return Verdict(Outcome.NOT_ATTEMPTABLE, "native-tag", f"{original.name} has compiled parts or an ABI; only none-any wheels are rebuilt yet")
    if source is None:
        return Verdict(Outcome.NOT_ATTEMPTABLE, "no-sdist", f"no source archive was published with {original.name}")
    for file in (original, source):
        if file.uploaded is None:
            detail = f"the index does not say when {file.name} was uploaded (PEP 700); without it nothing can be resolved as of that time"
            return Verdict(Outcome.INPUT_UNAVAILABLE, "no-upload-times", detail)
    return None


def _newest(page: Page) -> str:
    final = [version for version in page.versions if not version.is_prerelease] or list(page.versions)
    return ", ".join(str(version) for version in final[:NEWEST])


def _names(listing: tuple[IndexFile, ...]) -> str:
    names: list[str] = []
    for file in listing:
        if sum(len(name) + 2 for name in names) + len(file.name) > LISTED_CHARACTERS:
            return f"{', '.join(names)} and {len(listing) - len(names)} more"
        names.append(file.name)
    return ", ".join(names)
