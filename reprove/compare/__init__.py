"""Two artifacts in, a typed difference out. Standard library, ``reprove.core`` and ``reprove.archive`` only (DESIGN section 3)."""
