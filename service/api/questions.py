"""The artifacts of a decision as they are stored: purls are expanded to the files of the last recorded listing, and the expansion is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator
from sqlalchemy import Connection

from reprove.core.errors import ProblemError, Slug
from reprove.core.purls import Purl, parse_purl
from service.api.operation import Body
from service.records import listings

MAX_ARTIFACTS = 10_000


class ArtifactName(Body):
    """An artifact by digest, or a release or file by package URL."""

    sha256: str | None = Field(None, description="SHA-256 of the artifact.", pattern=r"^[0-9a-f]{64}$")
    purl: str | None = Field(None, description="Package URL; without file_name it means every file of the last recorded listing.", max_length=1024)

    @model_validator(mode="after")
    def _one_of_both(self) -> ArtifactName:
        if (self.sha256 is None) == (self.purl is None):
            raise ValueError("name an artifact by sha256 or by purl")
        return self


def expand(conn: Connection, names: Iterable[ArtifactName]) -> dict[str, Any]:
    """The question's ``artifacts``: ``{sha256, purl?}`` each once, or ``{purl}`` where no listing knows the file; and ``expansion``."""
    found: dict[tuple[str | None, str | None], dict[str, str]] = {}
    expansion: list[dict[str, Any]] = []
    for at, name in enumerate(names):
        rows = _files(conn, name.purl or "", at, expansion) if name.sha256 is None else [_digest_row(name.sha256)]
        for row in rows:
            found.setdefault((row.get("sha256"), None if "sha256" in row else row.get("purl")), row)
        if len(found) > MAX_ARTIFACTS:
            raise ProblemError(Slug.TOO_LARGE, f"the purls stand for more than {MAX_ARTIFACTS} files", pointer="/artifacts")
    return {"artifacts": list(found.values())} | ({"expansion": expansion} if expansion else {})


def _digest_row(sha256: str) -> dict[str, str]:
    return {"sha256": sha256}


def _files(conn: Connection, text: str, at: int, expansion: list[dict[str, Any]]) -> list[dict[str, str]]:
    try:
        purl = parse_purl(text)
    except ProblemError as error:
        raise ProblemError(error.problem.slug, error.problem.detail, pointer=f"/artifacts/{at}/purl") from None
    if purl.version is None:
        raise ProblemError(Slug.INVALID_PURL, "a version is missing", pointer=f"/artifacts/{at}/purl")
    release = str(purl.without_file())
    rows = [_listed(purl, name, digest) for name, digest in listings.last(conn, release) if purl.file_name in (None, name)]
    expansion.append({"purl": str(purl), "files": len(rows)})
    return rows or [{"purl": str(purl)}]


def _listed(purl: Purl, name: str, digest: str | None) -> dict[str, str]:
    """One file of a listing; what an index calls oddly, or gives no digest for, is still asked about, so that it is never allowed by omission."""
    try:
        named = str(purl.with_file(name))
    except ProblemError:
        named = str(purl.without_file())
    return {"purl": named} | ({"sha256": digest} if digest is not None else {})
