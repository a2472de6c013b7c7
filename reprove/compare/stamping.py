"""What a rebuilt wheel's source decides: which members' times may be stamped, and which members come from nowhere (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Iterator

from reprove.archive.dostime import dos_seconds
from reprove.archive.model import Entry
from reprove.archive.sources import Source
from reprove.archive.stamp import Stamp, StampRefusedError, Window, plan, stamped_sha256
from reprove.archive.tree import Kind, Tree
from reprove.archive.ziptree import ZipTree
from reprove.compare.result import FindingRow, cut
from reprove.compare.sourced import SourceIndex, in_dist_info, kept_time
from reprove.core.outcomes import Finding

ZONE_SLACK = 14 * 3600 + 2
"""Zip times have no zone; the widest is 14 h away from UTC."""
UPLOAD_SLACK = 12 * 3600 + ZONE_SLACK
"""A builder's clock may be ahead of the index's."""
_ZIP_EPOCH = 315532800


def stamp_window(source: Source, uploaded: int) -> Window:
    """The times that generated members may have: from the source's oldest member to the upload (both seconds since 1970), with slack."""
    times = [member.mtime for member in source.members if member.mtime >= _ZIP_EPOCH]
    return Window(min(times, default=uploaded) - ZONE_SLACK, uploaded + UPLOAD_SLACK)


class Origin:
    """Where the rebuilt artifact comes from, for stamps and for members that nothing explains. Without a ``window`` nothing is stamped."""

    def __init__(self, source: Source, window: Window | None = None) -> None:
        self._index = SourceIndex(source)
        self._window = window

    def stamps(self, original: Tree, rebuilt: Tree) -> tuple[Stamp, ...]:
        """The stamps that make the rebuilt bytes the original's. Raises :class:`StampRefusedError` when no allowed stamps do."""
        if self._window is None or not isinstance(original, ZipTree) or not isinstance(rebuilt, ZipTree):
            raise StampRefusedError("")
        window, ours = self._window, rebuilt.archive

        def generated(entry: Entry) -> bool:
            member = None if in_dist_info(entry.name) else self._index.same(entry.name, ours.zip.digest(entry.name))
            if member is None:
                return True
            # a file that the build wrote again, with the same bytes, has the build's time on both headers; the build is after the upload
            seconds = dos_seconds(entry.central.time)
            return entry.local.time == entry.central.time and seconds > window.last - UPLOAD_SLACK and not kept_time(seconds, member.mtime)

        found = plan(original.archive.zip, ours.zip, generated, window)
        if stamped_sha256(ours.view, found) != original.sha256:
            raise StampRefusedError("the archives differ in more than times")
        return found

    def unsourced(self, original: Tree, rebuilt: Tree) -> Iterator[FindingRow]:
        """Members of the original that neither the source nor the rebuilt archive has."""
        ours = {member.path for member in rebuilt.members}
        for member in original.members:
            if member.kind in (Kind.FOLDER, Kind.CONTAINER) or member.path in ours or self._index.same(member.path, member.sha256) is not None:
                continue
            yield FindingRow(Finding.UNSOURCED_MEMBERS, cut(member.path), "in the original, in neither source nor rebuilt")
