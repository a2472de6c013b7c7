"""Evidence checked against the keys that a reader has chosen (DESIGN sections 6 and 7, guarantee G8).

The order is: form, subject, then for every entry signature, checkpoint and inclusion under all keys that are named anywhere, so that a broken
file is called broken (:mod:`reprove.core.proving`); then what the statements say and whether they fit together; only then whether the keys are
trusted ones, the witnesses enough and the times inside the keys' windows; last the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

from reprove.core.claims import Contents, Opinion, judge, malformed, read_contents
from reprove.core.digests import AttestationId, Sha256
from reprove.core.errors import ProblemError, VerificationError, VerificationReason
from reprove.core.evidence import parse_evidence
from reprove.core.keys import PublicKey
from reprove.core.outcomes import Level
from reprove.core.proving import Opened, Proved, Prover, one_history
from reprove.core.statements.comparison import Comparison
from reprove.core.statements.decision import Decision, Verdict
from reprove.core.trust import Operator, TrustedKey, TrustFile


@dataclass(frozen=True, slots=True)
class Logged:
    """Where and when an attestation was logged; times are POSIX seconds by trusted ``witnesses`` (names), or None when none says."""

    id: AttestationId
    origin: str
    index: int
    not_before: int | None
    not_after: int | None
    witnesses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One comparison that a trusted operator signed about the file that it calls ``name``; ``value`` is what it says."""

    logged: Logged
    name: str
    operator: str
    attester: Sha256
    value: Comparison


@dataclass(frozen=True, slots=True)
class DecisionClaim:
    """A decision that a trusted operator signed, and its verdict on this subject."""

    logged: Logged
    operator: str
    verdict: Verdict
    value: Decision


@dataclass(frozen=True, slots=True)
class Checks:
    """What was checked, for people: counts and names, none of which comes from hints.

    ``logs`` are (origin, size of the largest checkpoint); ``witnesses`` are those of the trust file that cosigned a checkpoint of an entry.
    """

    signatures: int
    included: tuple[tuple[str, int], ...]
    logs: tuple[tuple[str, int], ...]
    witnesses: tuple[str, ...]
    witnesses_known: int
    quorum: int
    reports: int
    resolutions: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The result: ``claim`` is the one that the outcome rests on, ``claims`` all comparisons in the order of their log index.

    ``subject_name`` is the file name that the claim's comparison gives; the reader's own file may have another.
    """

    subject_name: str
    subject_sha256: Sha256
    claim: Claim
    claims: tuple[Claim, ...]
    decision: DecisionClaim | None
    checks: Checks
    not_checked: tuple[str, ...]


def verify_evidence(
    evidence: bytes,
    trust: TrustFile | None,
    *,
    subject_sha256: str | None = None,
    subject_sha512: str | None = None,
    minimum: Level = Level.TIMES_STAMPED,
    any_outcome: bool = False,
) -> Verified:
    """Check an evidence file for the file with these digests; without ``subject_sha256``, for whatever the evidence is about.

    With ``any_outcome``, a verified negative outcome is a result too. Raises only VerificationError; without ``trust``, always.
    """
    try:
        parsed = parse_evidence(evidence)
    except ProblemError as error:
        raise malformed(error.problem.detail) from None
    if subject_sha256 is not None and parsed.subject_sha256 != subject_sha256:
        detail = f"the evidence is about {parsed.subject_name} sha256:{parsed.subject_sha256}, the file has sha256:{subject_sha256}"
        raise VerificationError(VerificationReason.SUBJECT, detail)
    prover = Prover(trust, parsed.hints)
    proved = [prover.prove(entry) for entry in parsed.entries]
    decided = prover.prove(parsed.decision) if parsed.decision else None
    everything = [*proved, decided] if decided else proved
    one_history(everything)
    contents = read_contents(parsed, sha512=subject_sha512)
    _check_blobs(contents, prover.enrolled)
    owners = _owners(everything, [*contents.operators, *([contents.decision.operator] if contents.decision else [])], trust, parsed.hints)
    assert trust is not None  # _owners refuses without one; said for the type checker
    logged = [_logged(one, trust) for one in everything]
    for one, (operator, key) in zip(logged, owners, strict=True):
        _in_window(key, one, f"an attester of {operator.name}")
    for at, value in contents.comparisons.items():
        worker = next((one for one in owners[at][0].workers if value.worker and one.key.fingerprint == value.worker.sha256), None)
        if worker is not None:
            _in_window(worker, logged[at], f"an attester for worker {worker.key.fingerprint[:12]}")
    claims = tuple(
        Claim(logged[at], contents.names[at], owners[at][0].name, owners[at][1].key.fingerprint, value)
        for at, value in sorted(contents.comparisons.items())
    )
    decision = _decision(contents, logged[-1], owners[-1][0], parsed.subject_sha256)
    checks, not_checked = _summary(everything, contents, claims, owners, trust)
    chosen = _chosen(claims, minimum, any_outcome=any_outcome)
    level = chosen.value.level
    if level is not None and not level.satisfies(Level.TIMES_STAMPED):
        not_checked = (*not_checked, f"that original and rebuilt are equal at level {level}: a worker's word, which reprove compare checks")
    return Verified(chosen.name, parsed.subject_sha256, chosen, claims, decision, checks, not_checked)


def _check_blobs(contents: Contents, enrolled: dict[Sha256, PublicKey]) -> None:
    """Check reports and resolutions against the enrolled keys that are named; one by a key that nobody names stays unchecked."""
    rows = [(envelope, value.worker.sha256, "report") for envelope, value, _ in contents.reports]
    rows += [(envelope, value.resolver.sha256, "resolution") for envelope, value in contents.resolutions]
    for envelope, fingerprint, what in rows:
        key = enrolled.get(fingerprint)
        if key is not None and (len(envelope.signatures) != 1 or not envelope.signed_by((key,))):
            raise VerificationError(VerificationReason.SIGNATURE, f"the signature of {what} {envelope.id} does not verify")


def _owners(everything: list[Proved], speakers: list[str], trust: TrustFile | None, hints: TrustFile) -> list[tuple[Operator, TrustedKey]]:
    """Find each entry's operator in the trust file; raises ``untrusted-keys`` for a log or an attester that is not there."""
    owners = []
    for one, speaker in zip(everything, speakers, strict=True):
        owner = trust.attester(one.key) if trust else None
        if trust is None or owner is None or not any(log.vkey in one.opened.signers for log in trust.logs):
            names = sorted({operator.name for operator in hints.operators}) or [speaker]
            detail = f"consistent, but by keys that you have not chosen: log {one.opened.checkpoint.origin}, operator {', '.join(names)}"
            raise VerificationError(VerificationReason.UNTRUSTED_KEYS, detail)
        if owner[0].name != speaker:
            detail = f"consistent, but a key of operator {owner[0].name} speaks in the name of {speaker}, for whom you have not chosen it"
            raise VerificationError(VerificationReason.UNTRUSTED_KEYS, detail)
        if one.before is not None and not any(log.vkey in one.before.signers for log in trust.logs):
            raise VerificationError(VerificationReason.UNTRUSTED_KEYS, "consistent, but an earlier checkpoint is by a key that you have not chosen")
        owners.append(owner)
    return owners


def _logged(one: Proved, trust: TrustFile) -> Logged:
    """Bound an entry's time by what a quorum of trusted witnesses says: no fewer liars than the quorum can move either bound."""
    head = one.opened.checkpoint
    times = sorted(_trusted_times(one.opened, trust))
    if len(times) < trust.quorum:
        detail = f"{len(times)} of the {trust.quorum} witnesses that you ask for cosigned the checkpoint of size {head.size} of {head.origin}"
        raise VerificationError(VerificationReason.CHECKPOINT, detail)
    rank = max(trust.quorum, 1) - 1
    earlier = sorted(_trusted_times(one.before, trust), reverse=True) if one.before else []
    not_after = times[rank] if rank < len(times) else None
    not_before = earlier[rank] if rank < len(earlier) else None
    if not_before is not None and (not_after is None or not_before > not_after):
        not_before = None  # a witness's clock that ran back bounds nothing
    names = tuple(vkey.name for vkey in trust.witnesses if vkey.key.spki in one.opened.times)
    return Logged(one.entry.envelope.id, head.origin, one.entry.index, not_before, not_after, names)


def _trusted_times(opened: Opened, trust: TrustFile) -> list[int]:
    return [opened.times[vkey.key.spki] for vkey in trust.witnesses if vkey.key.spki in opened.times]


def _in_window(key: TrustedKey, logged: Logged, whose: str) -> None:
    why = key.refuses(logged.not_after)
    if why is not None:
        raise VerificationError(VerificationReason.UNTRUSTED_KEYS, f"consistent, but signed by {whose} whose key does not count: {why}")


def _decision(contents: Contents, logged: Logged, operator: Operator, sha256: Sha256) -> DecisionClaim | None:
    if contents.decision is None or contents.decision.artifacts is None:
        return None
    verdict = next(row.verdict for row in contents.decision.artifacts if row.sha256 == sha256)
    return DecisionClaim(logged, operator.name, verdict, contents.decision)


def _chosen(claims: tuple[Claim, ...], minimum: Level, *, any_outcome: bool) -> Claim:
    def order(one: Claim) -> tuple[int, int]:
        return one.logged.not_after or 0, one.logged.index

    opinions = [Opinion(one.logged.id, one.operator, order(one), one.value) for one in claims]
    try:
        best = judge(opinions, minimum)
    except VerificationError:
        if any_outcome:
            return max(claims, key=order)
        raise
    return next(one for one in claims if one.logged.id == best.id)


def _summary(
    everything: list[Proved], contents: Contents, claims: tuple[Claim, ...], owners: list[tuple[Operator, TrustedKey]], trust: TrustFile
) -> tuple[Checks, tuple[str, ...]]:
    """Count what was checked and name what was not."""
    workers = {one.key.fingerprint for operator, _ in owners for one in operator.workers}
    resolvers = {one.key.fingerprint for operator, _ in owners for one in operator.resolvers}
    reports = sum(1 for _, value, _ in contents.reports if value.worker.sha256 in workers)
    resolutions = sum(1 for _, value in contents.resolutions if value.resolver.sha256 in resolvers)
    cosigners = [vkey.name for vkey in trust.witnesses if any(vkey.key.spki in one.opened.times for one in everything)]
    heads = [(one.opened.checkpoint.origin, one.opened.checkpoint.size) for one in everything]
    logs = {origin: max(size for name, size in heads if name == origin) for origin, _ in heads}
    checks = Checks(
        signatures=len(everything) + reports + resolutions,
        included=tuple((one.opened.checkpoint.origin, one.entry.index) for one in everything),
        logs=tuple(sorted(logs.items())),
        witnesses=tuple(cosigners),
        witnesses_known=len(trust.witnesses),
        quorum=trust.quorum,
        reports=reports,
        resolutions=resolutions,
    )
    operators = len({claim.operator for claim in claims})
    others = "that anybody else agrees (1 operator)" if operators == 1 else f"that anybody but these {operators} operators agrees"
    missing = ["that the source is benign", others]
    if trust.quorum == 0:
        missing.append("that the log shows everybody the same history (no witness is asked for)")
    if not reports:
        missing.append("what the worker signed itself (no report by a worker of the trust file inside)")
    return checks, tuple(missing)
