"""All of a linked ELF file that is not loaded."""

from __future__ import annotations

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.masks import ANY, EVERYWHERE, without_kinds
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

_CLASSES = ("comment", "debug", "debuglink", "names", "symbols", "unloaded")
_DROPPED = ("build-id", "path-prefix", "debug-texts", "position", *_CLASSES, *(f"{name}-facts" for name in _CLASSES))
"""What is left: header, entry point, segments, every mapped section with its facts, and bytes of no section, mapped or not."""

PASS = Pass(
    id="elf-code-identical",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="Everything that is loaded into memory when the file runs is the same, at the same addresses; the file is never bit for bit the same.",
    mask=PieceMask(ELF, without_kinds(*_DROPPED)),
)
