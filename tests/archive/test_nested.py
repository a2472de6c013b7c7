"""A copy of the original is found wherever a source keeps it, within a budget; damage hides nothing that comes before it."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Self

import pytest

from reprove.archive import nested
from reprove.archive.limits import LimitError, Limits
from reprove.archive.nested import find
from reprove.core.digests import sha256
from tests.archive.zips import Part, sdist, wheel, zip_bytes

ORIGINAL = wheel()
PLACES = {
    "plain": (sdist({"vendor/x.bin": ORIGINAL}), "demo-1.0/vendor/x.bin"),
    "in a zip": (sdist({"v.dat": zip_bytes([Part("inner/o.whl", ORIGINAL, method=0)])}), "demo-1.0/v.dat!/inner/o.whl"),
    "in a tar in a tar": (sdist({"t": gzip.decompress(sdist({"o": ORIGINAL}))}), "demo-1.0/t!/demo-1.0/o"),
    "in a compressed tar in a zip": (zip_bytes([Part("d/t.tgz", sdist({"o": ORIGINAL}))]), "d/t.tgz!/demo-1.0/o"),
    "gzipped alone": (sdist({"o.gz": gzip.compress(ORIGINAL)}), "demo-1.0/o.gz!/content"),
    "bzipped alone": (sdist({"o": bz2.compress(ORIGINAL)}), "demo-1.0/o!/content"),
    "xz alone": (sdist({"o": lzma.compress(ORIGINAL)}), "demo-1.0/o!/content"),
    "in an archive that lint refuses": (sdist({"o": zip_bytes([Part("a", ORIGINAL), Part("a", b"")], suffix=b"x")}), "demo-1.0/o!/a"),
}


def search(tmp_path: Path, data: bytes) -> list[str]:
    (tmp_path / "source").write_bytes(data)
    return list(find(tmp_path / "source", sha256(ORIGINAL)))


@pytest.mark.parametrize("place", PLACES)
def test_a_copy_is_found(tmp_path: Path, place: str) -> None:
    data, path = PLACES[place]
    assert search(tmp_path, data) == [path]


@pytest.mark.parametrize("data", [b"", b"hello", sdist(), wheel(), sdist({"o": ORIGINAL[:-1]}), sdist()[:80], b"PK\x03\x04", gzip.compress(b"text")])
def test_what_holds_no_copy_gives_nothing(tmp_path: Path, data: bytes) -> None:
    assert search(tmp_path, data) == []


def test_damage_after_the_copy_does_not_hide_it(tmp_path: Path) -> None:
    plain = gzip.decompress(sdist({"o": ORIGINAL, "p": b"x" * 2000}))
    assert search(tmp_path, plain[:-11000] if len(plain) > 12000 else plain[:-1000]) == ["demo-1.0/o"]


def test_nesting_ends_at_a_depth(tmp_path: Path) -> None:
    data = ORIGINAL
    for _ in range(nested.DEPTH + 1):
        data = zip_bytes([Part("n", data, method=0)])
    assert search(tmp_path, data) == []


def test_a_full_disk_is_a_limit_and_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _chunk: bytes) -> int:
            raise OSError(28, "No space left on device")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_exc: object) -> None:
            return None

    monkeypatch.setattr(nested.tempfile, "TemporaryFile", Full)
    with pytest.raises(LimitError, match="No space left"):
        search(tmp_path, PLACES["in a zip"][0])


def test_a_search_that_costs_too_much_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "_BUDGET", Limits(total=100_000, entries=50))
    with pytest.raises(LimitError):
        search(tmp_path, sdist({"zeros": bytes(200_000)}))
    with pytest.raises(LimitError):
        search(tmp_path, sdist({str(n): b"" for n in range(60)}))
