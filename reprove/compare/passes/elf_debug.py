"""The debug information and symbol table of an ELF file."""

from __future__ import annotations

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.masks import ANY, EVERYWHERE, without_kinds
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="elf-debug",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="Debug information and the symbol table of a linked file serve debuggers; they are not loaded into memory.",
    mask=PieceMask(
        ELF, without_kinds("debug", "debug-facts", "debug-texts", "symbols", "symbols-facts", "names", "names-facts", "path-prefix", "position")
    ),
)
