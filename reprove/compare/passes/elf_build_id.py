"""The build id of an ELF file."""

from __future__ import annotations

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.masks import ANY, EVERYWHERE, without_kinds
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="elf-build-id",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="The build id is a hash of the linked file for debuggers to find it by; it differs whenever anything else does.",
    mask=PieceMask(ELF, without_kinds("build-id")),
)
