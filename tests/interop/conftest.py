"""The running instance of the end-to-end tests, for stock verifiers to judge."""

from __future__ import annotations

from tests.end_to_end.conftest import environments_folder, index, instance, stopped

__all__ = ["environments_folder", "index", "instance", "stopped"]
