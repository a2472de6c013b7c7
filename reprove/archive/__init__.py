"""Strict readers of archives: every byte accounted for (DESIGN section 3). Standard library, zstd and ``reprove.core`` only.

They run on hostile input inside a hardened container: every size, count, depth and ratio has a cap in :mod:`reprove.archive.limits`.
"""
