"""Which of the things that workers and resolvers signed the attester repeats (DESIGN section 5.9).

A check returns the statement with its id and key, or raises :class:`UnconfirmedError`. What is not confirmed is never signed as a claim:
the rebuild becomes ``inconclusive``, which neither allows nor blocks, and an alarm is logged. SQL rows fence (lease, attempt) and are
never believed beyond that; nothing here parses an archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reprove.core import dsse
from reprove.core.canonical import parse, parse_canonical
from reprove.core.digests import AttestationId, Sha256, parse_sha256, sha256
from reprove.core.errors import CallerError, ProblemError
from reprove.core.keys import PublicKey
from reprove.core.outcomes import Origin, Outcome
from reprove.core.purls import parse_purl
from reprove.core.statements import common
from reprove.core.statements import report as reports
from reprove.core.statements import resolution as resolutions
from reprove.core.statements.report import Report
from reprove.core.statements.resolution import Resolution
from reprove.core.states import AttemptState
from service.attester.enrolment import Enrolment, Role
from service.attester.stored import Stored
from service.records.attempts import AttemptKind, AttemptRow
from service.records.rebuilds import RebuildRow
from service.records.reports import ReportKind, ReportRow

MAX_RECIPE_BYTES = 4 * 1024 * 1024
MAX_LOCK_BYTES = 8 * 1024 * 1024
MAX_REQUEST_BYTES = 1024 * 1024


class UnconfirmedError(CallerError):
    """A signed claim that does not hold, or a row that names one which nobody signed."""


@dataclass(frozen=True, slots=True)
class SignedResolution:
    """A resolution that an enrolled resolver signed for this rebuild."""

    id: AttestationId
    resolution: Resolution
    key: PublicKey


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report that an enrolled worker signed for this rebuild, under the lease that it had."""

    id: AttestationId
    report: Report
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Checks:
    """What the checks need besides rows: the enrolled keys, the blobs and the moment at which they are made."""

    enrolment: Enrolment
    stored: Stored
    moment: datetime

    def resolution(self, rebuild: RebuildRow, row: ReportRow | None, attempt: AttemptRow | None) -> SignedResolution:
        """Confirm a resolution: signature, fence, request, name. Its blobs are checked apart (:meth:`blobs_of_resolution`)."""
        envelope, key = self._signed(row, ReportKind.RESOLUTION, Role.RESOLVE)
        try:
            value = resolutions.read(common.decode(envelope.payload))
        except ProblemError as error:
            raise UnconfirmedError(f"the resolution is malformed: {error.problem.detail}") from error
        assert row is not None
        self._fence(rebuild, row, attempt, AttemptKind.RESOLVE, key)
        _same("rebuild", value.rebuild, rebuild.id)
        _same("lease", value.lease, row.lease_sha256)
        _same("resolver key", value.resolver.sha256, key.fingerprint)
        _same("request digest", value.request.sha256, request_digest(rebuild))
        _named_as_asked(rebuild, value)
        return SignedResolution(envelope.id, value, key)

    def report(self, rebuild: RebuildRow, row: ReportRow | None, attempt: AttemptRow | None, resolved: SignedResolution) -> SignedReport:
        """Confirm a report: signature, fence, request, resolution, and that it speaks of what was resolved."""
        envelope, key = self._signed(row, ReportKind.REPORT, Role.WORK)
        try:
            value = reports.read(common.decode(envelope.payload))
        except ProblemError as error:
            raise UnconfirmedError(f"the report is malformed: {error.problem.detail}") from error
        assert row is not None
        self._fence(rebuild, row, attempt, AttemptKind.REBUILD, key)
        _same("rebuild", value.rebuild, rebuild.id)
        _same("attempt", value.attempt, row.attempt_id)
        _same("lease", value.lease, row.lease_sha256)
        _same("worker key", value.worker.sha256, key.fingerprint)
        _same("request digest", value.request.sha256, request_digest(rebuild))
        _same("resolution", value.resolution, resolved.id)
        _same("original", (value.original.sha256, value.original.size), (resolved.resolution.original.sha256, resolved.resolution.original.size))
        _same("architecture", value.arch, rebuild.arch)
        _same_source(value, resolved.resolution)
        if value.rebuilt is not None:
            _same("name of the rebuilt file", value.rebuilt.name, resolved.resolution.original.name)
        if resolved.resolution.outcome is not None:
            raise UnconfirmedError(f"the resolution settles outcome {resolved.resolution.outcome}, so no report can")
        self._recipe(rebuild, value)
        return SignedReport(envelope.id, value, key)

    def blobs_of_resolution(self, value: Resolution) -> None:
        """Hash every blob that the resolution names."""
        self._hash(resolutions.blobs(value))
        if value.original.verified:
            _same("size of the original", self.stored.size(value.original.sha256), value.original.size)
        if value.source is not None:
            _same("size of the source", self.stored.size(value.source.sha256), value.source.size)

    def blobs_of_report(self, value: Report) -> None:
        """Hash every blob that the report names, compare their sizes, and recompute the equality that it claims."""
        self._hash(reports.blobs(value))
        for part in (value.rebuilt, value.log, *value.inputs):
            if part is not None:
                _same(f"size of sha256:{part.sha256}", self.stored.size(part.sha256), part.size)
        if value.environment is not None:
            self._hash(self._packages(value.environment.lock.sha256))
        self.equality(value)

    def equality(self, value: Report) -> None:
        """Recompute what needs no parser: bitwise, the list of stamps, and that ``differs`` differs."""
        if value.rebuilt is None:
            return
        same = value.rebuilt.sha256 == value.original.sha256
        if same and value.outcome in (Outcome.DIFFERS, Outcome.AMBIGUOUS_ARCHIVE):
            raise UnconfirmedError(f"the report says {value.outcome}, but the rebuilt bytes are the original's")
        if value.outcome is not Outcome.REPRODUCED:
            return
        if same != (value.level == "bitwise"):
            raise UnconfirmedError(f"the report says {value.level}, but the digests are {'equal' if same else 'not equal'}")
        if value.stamps is not None:
            found = self.stored.stamped(value.rebuilt.sha256, value.stamps)
            if found != value.original.sha256:
                raise UnconfirmedError("the stamps, applied to the rebuilt bytes, do not give the original")

    def _signed(self, row: ReportRow | None, kind: ReportKind, role: Role) -> tuple[dsse.Envelope, PublicKey]:
        if row is None:
            raise UnconfirmedError(f"no signed {kind.value} is stored")
        try:
            envelope = dsse.decode(row.envelope)
        except ProblemError as error:
            raise UnconfirmedError(f"the {kind.value} is no envelope: {error.problem.detail}") from error
        if row.kind is not kind or envelope.id != row.id:
            raise UnconfirmedError(f"the row {row.id} does not hold the {kind.value} of that id")
        key = self.enrolment.signer_of(envelope, role, self.moment)
        if key is None:
            raise UnconfirmedError(f"the {kind.value} {row.id} is not signed by a key that is enrolled for role {role}")
        return envelope, key

    def _fence(self, rebuild: RebuildRow, row: ReportRow, attempt: AttemptRow | None, kind: AttemptKind, key: PublicKey) -> None:
        """The attempt whose lease the envelope was stored under: this rebuild's, this key's, ended by it, and in time."""
        if attempt is None or attempt.kind is not kind or {attempt.rebuild_id, row.rebuild_id} != {rebuild.id} or attempt.id != row.attempt_id:
            raise UnconfirmedError(f"{row.id} does not belong to an attempt of this rebuild")
        if attempt.state is not AttemptState.REPORTED:
            raise UnconfirmedError(f"attempt {attempt.id} is {attempt.state}: it did not end with a report")
        _same("attempt's lease", attempt.lease_sha256, row.lease_sha256)
        _same("attempt's worker", attempt.worker_sha256, key.fingerprint)
        if attempt.expires is not None and row.created > attempt.expires:
            raise UnconfirmedError(f"{row.id} came after the lease of attempt {attempt.id} had ended")

    def _hash(self, digests: frozenset[Sha256]) -> None:
        for digest in sorted(digests):
            fault = self.stored.fault(digest)
            if fault is not None:
                raise UnconfirmedError(f"blob sha256:{digest} {fault}")

    def _packages(self, lock: Sha256) -> frozenset[Sha256]:
        """The packages that an environment's lock names: without them the build could not be repeated, so it would be no evidence."""
        try:
            document = parse(self.stored.read(lock, MAX_LOCK_BYTES), max_bytes=MAX_LOCK_BYTES, what="the environment's lock")
            rows = document.get("packages") if isinstance(document, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise UnconfirmedError("the environment's lock has no list of packages")
            return frozenset(parse_sha256(row.get("sha256")) for row in rows)
        except ProblemError as error:
            raise UnconfirmedError(f"the environment's lock is malformed: {error.problem.detail}") from error

    def _recipe(self, rebuild: RebuildRow, value: Report) -> None:
        """The recipe blob says what the report says of it; only a request that carries a recipe can have origin ``requester``."""
        if value.recipe is None:
            return
        fault = self.stored.fault(value.recipe.digest)
        if fault is not None:
            raise UnconfirmedError(f"blob sha256:{value.recipe.digest} {fault}")
        try:
            recipe = parse_canonical(self.stored.read(value.recipe.digest, MAX_RECIPE_BYTES), max_bytes=MAX_RECIPE_BYTES, what="the recipe")
        except ProblemError as error:
            raise UnconfirmedError(f"the recipe is malformed: {error.problem.detail}") from error
        if not isinstance(recipe, dict):
            raise UnconfirmedError("the recipe is no object")
        _same("recipe's origin", recipe.get("origin"), str(value.recipe.origin))
        if value.environment is not None:
            _same("recipe's environment lock", recipe.get("lock_sha256"), value.environment.lock.sha256)
        asked = "recipe" in _request(rebuild)
        if asked != (value.recipe.origin is Origin.REQUESTER):
            raise UnconfirmedError(f"recipe.origin is {value.recipe.origin}, but the request {'brings' if asked else 'brings no'} recipe")


def request_digest(rebuild: RebuildRow) -> Sha256:
    """The digest of the canonical request, computed from its text; a column that says otherwise is not believed."""
    digest = sha256(rebuild.request.encode())
    _same("row's request digest", rebuild.request_sha256, digest)
    return digest


def _request(rebuild: RebuildRow) -> dict[str, Any]:
    try:
        document = parse_canonical(rebuild.request.encode(), max_bytes=MAX_REQUEST_BYTES, what="the request")
    except ProblemError as error:
        raise UnconfirmedError(f"the stored request is malformed: {error.problem.detail}") from error
    if not isinstance(document, dict):
        raise UnconfirmedError("the stored request is no object")
    return document


def _named_as_asked(rebuild: RebuildRow, value: Resolution) -> None:
    """The resolution is about the release, the file and the index that the request names."""
    try:
        asked, found = parse_purl(_request(rebuild).get("purl")), parse_purl(value.purl)
    except ProblemError as error:
        raise UnconfirmedError(f"the resolution cannot be compared with its request: {error.problem.detail}") from error
    _same("purl", str(found.without_file()), str(asked.without_file()))
    for purl in (asked, found):
        if purl.file_name is not None:
            _same("file", value.original.name, purl.file_name)
    if asked.file_name is None and asked.type == "pypi" and not value.original.name.endswith("-none-any.whl"):
        raise UnconfirmedError(f"a purl without file_name means the only *-none-any.whl, not {value.original.name}")
    if asked.repository_url is not None and value.index.canonical:
        raise UnconfirmedError("the request names its own index, so it is not the operator's canonical one")


def _same_source(value: Report, resolution: Resolution) -> None:
    source = resolution.source
    if value.source is not None and (source is None or value.source.sha256 != source.sha256):
        raise UnconfirmedError("the report was built from another source than the resolution names")
    if value.index is not None and value.index != resolution.index:
        raise UnconfirmedError("the report names another index than the resolution")


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise UnconfirmedError(f"{what}: {found} instead of {expected}")
