"""ELF files by section (System V ABI, chapters 4 and 5)."""
