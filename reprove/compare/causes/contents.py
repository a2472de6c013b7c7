"""Causes of a difference between two contents: proved by the passes that mask exactly it, else by a typed token, else none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reprove.archive.limits import CHUNK
from reprove.archive.tree import Profile
from reprove.compare.anatomies import headers
from reprove.compare.anatomies.archive_file import ARCHIVE
from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.anatomies.gzip_file import GZIP
from reprove.compare.anatomies.json_object import JSON
from reprove.compare.anatomies.pyc import PYC
from reprove.compare.causes.budget import Budget
from reprove.compare.causes.catalogue import BY_PASS, DERIVED
from reprove.compare.causes.elves import code_causes, other_folder
from reprove.compare.causes.fields import Guess
from reprove.compare.causes.model import Sides
from reprove.compare.causes.pycs import compiled_path
from reprove.compare.causes.texts import Rename, text_causes
from reprove.compare.masking import applicable, content_passes
from reprove.compare.passes.model import Pass
from reprove.compare.pieces import Anatomy
from reprove.core.outcomes import Certainty

_BACKEND_HEADERS = frozenset({"header:Metadata-Version", "header:License-File", "header:Dynamic", "header:Generator"})
"""Headers that a backend writes by its own age, whatever the project says (PEP 639, PEP 643)."""
_BACKEND_MAYBE = _BACKEND_HEADERS | {"header:License", "header:License-Expression", "header:Classifier", "header:Project-URL", "header:Home-page"}
_NPM_STATE = frozenset({"member:gitHead", "layout"})
_NPM_PACKER = frozenset(
    {"member:_npmVersion", "member:_nodeVersion", "member:_resolved", "member:_integrity", "member:_id", "member:_from", "layout"}
)
_PKG_INFO = Anatomy("pkg-info", lambda path, _head: path.rpartition("/")[2] == "PKG-INFO", headers.split)


class _Bytes:
    """A :class:`~reprove.archive.tree.Content` that is held."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def chunks(self) -> Iterator[bytes]:
        """The bytes in chunks."""
        for at in range(0, self.size, CHUNK):
            yield self.data[at : at + CHUNK]

    def read(self) -> bytes:
        """All of them."""
        return self.data


def content_causes(profile: Profile, sides: Sides, budget: Budget, renames: Sequence[Rename] = ()) -> list[Guess]:
    """The causes of one content's difference, the one that claims it first; empty where none is known or the budget is spent."""
    if not budget.reads(len(sides.old) + len(sides.new)):
        return []
    passes = content_passes(applicable(profile, sides.path), sides.path, _Bytes(sides.old), _Bytes(sides.new))
    if passes is not None:
        return _of_passes(passes, sides)
    found = _by_pieces(sides, budget)
    return found if found is not None else text_causes(sides.path, sides.old, sides.new, budget, renames)


def same_inside(sides: Sides) -> bool:
    """Whether two archives that are payload hold the same, in the canonical form (no violation on either side)."""
    passes = content_passes(applicable(Profile.ZIP, sides.path), sides.path, _Bytes(sides.old), _Bytes(sides.new))
    return passes is not None and [one.id for one in passes] == ["nested-archive"]


def _of_passes(passes: Sequence[Pass], sides: Sides) -> list[Guess]:
    """The causes that the passes which make the sides equal mask, each proved."""
    ids = {one.id for one in passes}
    if ids == {"nested-gzip"}:
        return _gzip(sides)
    named = [BY_PASS[one.id] for one in passes if one.id in BY_PASS]
    named.sort(key=lambda cause: cause in DERIVED)
    found: list[Guess] = [(cause, Certainty.PROVED) for cause in dict.fromkeys(named)]
    if ids & {"elf-debug", "elf-code-identical"}:
        if "elf-debug" not in named:
            found = [("elf-debug", Certainty.LIKELY), *found]
        if other_folder(sides.old, sides.new):
            # what else differs in the debug information may follow from the folder, or not
            found = [("build-path", Certainty.LIKELY), *found]
    return found


def _gzip(sides: Sides) -> list[Guess]:
    """Which parts of a file compressed by gzip differ; its payload is the same."""
    names = _differing(GZIP, sides) or frozenset()
    found: list[Guess] = [("compressor", Certainty.PROVED)] if names & {"packed", "effort"} else []
    return found + ([("gzip-header", Certainty.PROVED)] if names & {"time", "name", "os", "flags"} or not found else [])


def _by_pieces(sides: Sides, budget: Budget) -> list[Guess] | None:
    """What the names of the pieces that differ tell; empty for contents that are to be explained by their pieces or not at all, None for others."""
    path, head = sides.path, sides.old[:64]
    for anatomy in (headers.WHEEL_METADATA, _PKG_INFO):
        if anatomy.fits(path, b""):
            return _headers(anatomy, sides)
    if JSON.fits(path, head):
        names = _differing(JSON, sides)
        if names and names <= _NPM_STATE:
            return [("git-state", Certainty.LIKELY)]
        if names and names <= _NPM_PACKER | _NPM_STATE:
            return [("backend-version", Certainty.LIKELY), *([("git-state", Certainty.LIKELY)] if not names <= _NPM_PACKER else [])]
        return None
    if ELF.fits(path, head):
        return code_causes(path, sides.old, sides.new, budget)
    if PYC.fits(path, head):
        return compiled_path(sides.old, sides.new)
    return [] if ARCHIVE.fits(path, sides.old[:512]) else None


def _headers(anatomy: Anatomy, sides: Sides) -> list[Guess] | None:
    names = _differing(anatomy, sides)
    if names and names <= _BACKEND_HEADERS:
        return [("backend-version", Certainty.PROVED)]
    spelled = _differing(anatomy, sides, spaces=False) if names else None
    if spelled is not None and spelled <= _BACKEND_MAYBE:
        return [("backend-version", Certainty.LIKELY)]
    return None


def _differing(anatomy: Anatomy, sides: Sides, *, spaces: bool = True) -> frozenset[str] | None:
    """The names of pieces that one side has and the other has not, with or without regard to spaces; None where a side is not of the format."""
    old, new = anatomy.split(sides.old), anatomy.split(sides.new)
    if old is None or new is None:
        return None
    mine, theirs = ({(piece.name, piece.data if spaces else piece.data.replace(b" ", b"")) for piece in pieces} for pieces in (old, new))
    return frozenset(name for name, _ in mine ^ theirs)
