"""in-toto statements: their shapes, how they are read, and how ours are built. Importing the package registers every shape."""

from reprove.core.statements import common, comparison, decision, provenance, report, resolution

__all__ = ["common", "comparison", "decision", "provenance", "report", "resolution"]
