"""The compilers that an ELF file names."""

from __future__ import annotations

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.masks import ANY, EVERYWHERE, without_kinds
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="elf-comment",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="The section .comment names the compilers that were used; it is not loaded into memory.",
    mask=PieceMask(ELF, without_kinds("comment", "comment-facts", "position")),
)
