"""The link from an ELF file to its debug information."""

from __future__ import annotations

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.masks import ANY, EVERYWHERE, without_kinds
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="elf-debuglink",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="The debug link names the file of debug information and its checksum; it is not loaded into memory.",
    mask=PieceMask(ELF, without_kinds("debuglink", "debuglink-facts", "position")),
)
