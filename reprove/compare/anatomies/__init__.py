"""Content formats taken apart into named pieces, one file each (see :mod:`reprove.compare.pieces`)."""
