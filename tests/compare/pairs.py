"""An original, a rebuilt wheel and their source on disk, compared as the driver does it."""

from __future__ import annotations

from pathlib import Path

from reprove.archive.sources import read_source
from reprove.compare.engine import compare_files
from reprove.compare.result import Comparison
from reprove.compare.stamping import Origin, stamp_window
from tests.archive.zips import UPLOADED, sdist


def judge(tmp_path: Path, original: bytes, rebuilt: bytes, source: bytes | None = None, *, uploaded: int = UPLOADED) -> Comparison:
    for name, data in (("original", original), ("rebuilt", rebuilt), ("source", source or sdist())):
        (tmp_path / name).write_bytes(data)
    read = read_source(tmp_path / "source")
    names = ("demo-1.0-py3-none-any.whl",) * 2
    return compare_files(tmp_path / "original", tmp_path / "rebuilt", names=names, origin=Origin(read, stamp_window(read, uploaded)))


def apply(rebuilt: bytes, result: Comparison) -> bytes:
    """What anybody does with the published stamps."""
    data = bytearray(rebuilt)
    for stamp in result.stamps:
        assert data[stamp.offset : stamp.offset + 4] == bytes.fromhex(stamp.old)
        data[stamp.offset : stamp.offset + 4] = bytes.fromhex(stamp.new)
    return bytes(data)
