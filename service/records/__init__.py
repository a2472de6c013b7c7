"""The record of everything, in SQL (DESIGN sections 2, 5, 9): Redis may be emptied at any moment, this may not.

What callers use, one module per aggregate:

- ``database``: ``open_database(settings) -> Database``; ``with db.read() as conn``, ``with db.write() as conn``, ``db.grouped(work)``;
  ``prepare_database(settings)`` makes or upgrades it (`reprove init` alone does that).
- ``times``: every moment is an aware UTC ``datetime``; ``times.now()``, ``times.rfc3339(moment)``.
- ``requests``: ``accept`` (202), ``cancel``. ``rebuilds``: ``get``, ``move``, ``as_json``, ``attesting``, ``events``.
- ``attempts``: claim, heartbeat, and the ends of an attempt, all fenced by the lease. ``reports``: the envelopes that workers signed.
- ``statements``: what the attester signs: ``insert``, ``record_entry``, ``of_rebuild``, ``get``, ``search``.
- ``decisions``: ``ask``, ``asked``, ``finish``. ``tokens`` and ``principals``: rows only, the rules are in ``service/access``.
- ``blobs`` (rows, references, expiry) and ``blobstore`` (bytes). ``outbox`` and ``leases``: the scheduler's. ``audit``: who did what.
"""
