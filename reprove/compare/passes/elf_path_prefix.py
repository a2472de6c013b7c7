"""The folder that an ELF file was built in, in its debug information."""

from __future__ import annotations

from reprove.compare.anatomies.elf.split import ELF
from reprove.compare.passes.masks import ANY, EVERYWHERE, without_kinds
from reprove.compare.passes.model import Pass, PieceMask, Risk
from reprove.core.outcomes import Level

PASS = Pass(
    id="elf-path-prefix",
    version=1,
    level=Level.NORMALIZED,
    risk=Risk.METADATA,
    profiles=ANY,
    paths=EVERYWHERE,
    reason="Debug information names the folder of the build; without that prefix all paths in it are the same.",
    mask=PieceMask(ELF, without_kinds("path-prefix", "position"), frozenset({"debug:.debug_line_str"})),
)
