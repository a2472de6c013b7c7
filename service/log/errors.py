"""The two faults that end a log process. Everything else is answered to whoever asked, as a problem.

The line between them and the rest is drawn where the state becomes unknown or contradicts what was promised.
"""

from __future__ import annotations

from reprove.core.errors import OwnError


class FatalError(OwnError):
    """The state is unknown or contradictory: the process ends without answering anybody; recovery at the next start decides."""


class RollbackError(FatalError):
    """What is published, or what a witness has seen, is ahead of ``log.db`` or contradicts it: an old copy was restored, or a second log signs."""


class DiskFullError(OwnError):
    """There is no room; nothing under a final name was changed. Answered as ``storage-full``."""


class StateError(OwnError):
    """The state is missing, foreign, or of a newer version: refused at start with this one line."""
