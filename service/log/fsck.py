"""An independent check of a published log: every entry re-hashed, every tile recomputed, the checkpoint's signatures verified.

It shares no code with the sequencer's writing side (only :mod:`reprove.core`), so that one mistake cannot hide in both. What it proves: the
folder is a complete, well-formed log under the checkpoint shown. What it cannot: that this is the checkpoint that others see; a consistency
proof from one that you kept (``since``) shows that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reprove.core import merkle, tiles
from reprove.core.checkpoints import Checkpoint, open_checkpoint, parse_checkpoint
from reprove.core.errors import ProblemError, Slug, VerificationError
from reprove.core.leaf import parse_leaf
from reprove.core.merkle import HASH_BYTES, Compact
from reprove.core.notes import VKey, parse_note
from reprove.core.tiles import TILE_WIDTH

MAX_PROBLEMS = 50

Read = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. ``ahead`` counts files beyond the checkpoint: a batch that is committed but not yet published, no fault."""

    origin: str
    size: int
    files: int
    ahead: int
    cosigned: tuple[tuple[str, int], ...]
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    files: int = 0
    ahead: int = 0

    def add(self, problem: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def check_folder(
    root: Path,
    *,
    log: VKey | None = None,
    witnesses: Sequence[VKey] = (),
    quorum: int = 0,
    since: Checkpoint | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check the log in a folder: :func:`check_log`, and that no other file there contradicts it."""

    def read(name: str) -> bytes | None:
        try:
            return (root / name).read_bytes()
        except OSError:
            return None

    report = check_log(read, log=log, witnesses=witnesses, quorum=quorum, since=since, progress=progress)
    findings = _Findings(list(report.problems))
    if report.origin:
        _check_names(root, read, report.size, findings)
    return dataclasses.replace(report, ahead=findings.ahead, problems=tuple(findings.problems))


def check_log(
    read: Read,
    *,
    log: VKey | None = None,
    witnesses: Sequence[VKey] = (),
    quorum: int = 0,
    since: Checkpoint | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a log through ``read``. Without ``log`` the signatures are not checked, everything else is.

    ``since`` is an older checkpoint that the tree must extend; ``progress`` is told entries done and entries in all. Raises what ``read`` raises.
    """
    findings = _Findings()
    opened = _open(read("checkpoint"), log, witnesses, quorum, findings)
    if opened is None:
        return Report("", 0, findings.files, 0, (), tuple(findings.problems))
    checkpoint, cosigned = opened
    roots = {checkpoint.size: checkpoint.root} | ({since.size: since.root} if since else {})
    if since is not None and (since.origin != checkpoint.origin or since.size > checkpoint.size):
        findings.add(f"the checkpoint of size {checkpoint.size} does not extend the older one of {since.origin} size {since.size}")
    _check_tree(read, checkpoint.size, roots, findings, progress or (lambda _done, _all: None))
    return Report(checkpoint.origin, checkpoint.size, findings.files, findings.ahead, cosigned, tuple(findings.problems))


def _open(
    note: bytes | None, log: VKey | None, witnesses: Sequence[VKey], quorum: int, findings: _Findings
) -> tuple[Checkpoint, tuple[tuple[str, int], ...]] | None:
    if note is None:
        findings.add("checkpoint: missing")
        return None
    try:
        if log is None:
            return parse_checkpoint(parse_note(note).text), ()
        opened = open_checkpoint(note, log, witnesses, quorum)
    except VerificationError as error:
        findings.add(f"checkpoint: {error.detail}")
        try:
            return parse_checkpoint(parse_note(note).text), ()
        except ProblemError:
            return None
    except ProblemError as error:
        findings.add(f"checkpoint: {error.problem.detail}")
        return None
    return opened.checkpoint, opened.cosigned


def _check_tree(read: Read, size: int, roots: dict[int, bytes], findings: _Findings, progress: Callable[[int, int], None]) -> None:
    """Recompute everything from the entries upwards."""
    tree = Compact()
    row: list[bytes] = []
    ids: set[bytes] = set()
    _check_root(tree, roots, findings)
    above: list[bytes] = []
    for n in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - n * TILE_WIDTH)
        row = _leaves(read, n, width, ids, findings)
        for leaf in row:
            tree.append(leaf)
            _check_root(tree, roots, findings)
        _check_tile(read, 0, n, row, findings)
        if width == TILE_WIDTH:
            above.append(_complete(row))
        progress(n * TILE_WIDTH + width, size)
    level = 1
    while above:
        below, above = above, []
        for n in range(-(-len(below) // TILE_WIDTH)):
            row = below[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]
            _check_tile(read, level, n, row, findings)
            if len(row) == TILE_WIDTH:
                above.append(_complete(row))
        level += 1


def _leaves(read: Read, n: int, width: int, ids: set[bytes], findings: _Findings) -> list[bytes]:
    """Read a bundle and return its leaf hashes; what is unreadable is reported and stands as empty entries, so that the rest is still looked at."""
    name = tiles.entries_path(n, width)
    data = read(name)
    try:
        if data is None:
            raise ProblemError(Slug.NOT_FOUND, "missing")
        entries: Iterable[bytes] = tiles.decode_bundle(data, width)
    except ProblemError as error:
        findings.add(f"{name}: {error.problem.detail}")
        entries = [b""] * width
    else:
        findings.files += 1
        for at, entry in enumerate(entries):
            _check_entry(entry, n * TILE_WIDTH + at, ids, findings)
    return [merkle.leaf_hash(entry) for entry in entries]


def _check_entry(entry: bytes, index: int, ids: set[bytes], findings: _Findings) -> None:
    try:
        attestation = parse_leaf(entry).pae_sha256
    except ProblemError as error:
        findings.add(f"entry {index}: {error.problem.detail}")
        return
    if attestation in ids:
        findings.add(f"entry {index}: {attestation.hex()} is logged twice")
    ids.add(attestation)


def _check_root(tree: Compact, roots: dict[int, bytes], findings: _Findings) -> None:
    expected = roots.get(tree.size)
    if expected is not None and tree.root() != expected:
        findings.add(f"the entries give another root than the checkpoint of size {tree.size}")


def _check_tile(read: Read, level: int, n: int, row: Sequence[bytes], findings: _Findings) -> None:
    name = tiles.tile_path(level, n, len(row))
    data = read(name)
    if data is None:
        findings.add(f"{name}: missing")
        return
    findings.files += 1
    if data != b"".join(row):
        findings.add(f"{name}: does not hold the hashes of what is below it")


def _check_names(root: Path, read: Read, size: int, findings: _Findings) -> None:
    """Look at every other file: older partial tiles must be beginnings of the newer ones, and nothing else may be there."""
    for path in sorted((root / "tile").rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(root).as_posix()
        entries = name.startswith("tile/entries/")
        try:
            parsed = tiles.parse_entries_path(name) if entries else tiles.parse_tile_path(name)
        except ProblemError:
            findings.add(f"{name}: not a file of a log")
            continue
        level = parsed.level or 0
        now = tiles.tile_width(level, parsed.n, size)
        if parsed.width > now:
            findings.ahead += 1
            continue
        newest = tiles.entries_path(parsed.n, now) if entries else tiles.tile_path(level, parsed.n, now)
        whole = read(newest) or b""
        data = read(name)
        if data is None or not whole.startswith(data) or (not entries and len(data) != parsed.width * HASH_BYTES):
            findings.add(f"{name}: contradicts {newest}")


def _complete(row: Sequence[bytes]) -> bytes:
    tree = Compact()
    for one in row:
        tree.append(one)
    return tree.root()
