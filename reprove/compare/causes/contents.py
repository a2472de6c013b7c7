"""Causes of a difference between two contents: proved by the passes that mask exactly it, else by a typed token, else none."""

from __future__ import annotations

from collections.abc import Iterator

from reprove.archive.limits import CHUNK
from reprove.archive.tree import Profile
from reprove.compare.anatomies import headers
from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.anatomies.json_object import JSON
from reprove.compare.causes.catalogue import BY_PASS, DERIVED
from reprove.compare.causes.fields import Guess
from reprove.compare.causes.model import Sides
from reprove.compare.causes.texts import text_cause
from reprove.compare.masking import applicable, content_passes
from reprove.compare.pieces import Anatomy
from reprove.core.outcomes import Certainty

_BACKEND_HEADERS = frozenset({"header:Metadata-Version", "header:License-File", "header:Dynamic", "header:Generator"})
"""Headers that a backend writes by its own age, whatever the project says (PEP 639, PEP 643)."""
_BACKEND_MAYBE = _BACKEND_HEADERS | {"header:License", "header:License-Expression", "header:Classifier", "header:Project-URL", "header:Home-page"}
_NPM_STATE = frozenset({"member:gitHead", "layout"})
_NPM_PACKER = frozenset(
    {"member:_npmVersion", "member:_nodeVersion", "member:_resolved", "member:_integrity", "member:_id", "member:_from", "layout"}
)


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


def content_causes(profile: Profile, sides: Sides) -> list[Guess]:
    """The causes of one content's difference, the one that claims it first; empty where none is known."""
    passes = content_passes(applicable(profile, sides.path), sides.path, _Bytes(sides.old), _Bytes(sides.new))
    if passes is not None:
        named = [BY_PASS[one.id] for one in passes if one.id in BY_PASS]
        named.sort(key=lambda cause: cause in DERIVED)
        if named:
            return [(cause, Certainty.PROVED) for cause in dict.fromkeys(named)]
        return [("elf-debug", Certainty.LIKELY)] if ELF.fits(sides.path, sides.old[:64]) else []
    guess = _by_pieces(sides) or text_cause(sides.old, sides.new)
    return [guess] if guess else []


def _by_pieces(sides: Sides) -> Guess | None:
    """What the names of the pieces that differ tell."""
    path = sides.path
    if headers.WHEEL_METADATA.fits(path, b""):
        names = _differing(headers.WHEEL_METADATA, sides)
        if names and names <= _BACKEND_HEADERS:
            return "backend-version", Certainty.PROVED
        spelled = names and _differing(headers.WHEEL_METADATA, sides, spaces=False)
        if spelled is not None and spelled <= _BACKEND_MAYBE:
            return "backend-version", Certainty.LIKELY
    elif JSON.fits(path, sides.old[:64]):
        names = _differing(JSON, sides)
        if names and names <= _NPM_STATE:
            return "git-state", Certainty.LIKELY
        if names and names <= _NPM_PACKER:
            return "backend-version", Certainty.LIKELY
    elif ELF.fits(path, sides.old[:64]):
        names = _differing(ELF, sides)
        if names and any(name.startswith(".comment") or "comment" in name for name in names):
            return "compiler-version", Certainty.LIKELY
    return None


def _differing(anatomy: Anatomy, sides: Sides, *, spaces: bool = True) -> frozenset[str] | None:
    """The names of pieces that one side has and the other has not, with or without regard to spaces; None where a side is not of the format."""
    old, new = anatomy.split(sides.old), anatomy.split(sides.new)
    if old is None or new is None:
        return None
    mine, theirs = ({(piece.name, piece.data if spaces else piece.data.replace(b" ", b"")) for piece in pieces} for pieces in (old, new))
    return frozenset(name for name, _ in mine ^ theirs)
