"""Who may do what: tokens, roles, limits, audit. No Flask here; both APIs call ``authenticate(db, header, now)`` and ``require(principal, role)``."""
