"""Takes what a dead build left in its output volume: listed names, regular files, counted bytes, and nothing that points anywhere.

Call :func:`collect` only after :meth:`Engine.run` has returned: the build is dead then, so what is hashed is what is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from reprove.core.digests import Sha256
from reprove.core.errors import BuilderError
from workers.sandbox.values import SandboxError

if TYPE_CHECKING:
    from workers.sandbox.engine import Engine
    from workers.sandbox.volumes import OutputVolume

MAX_ENTRIES = 20_000
MAX_DEPTH = 8
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]{0,254}\Z")
_CHUNK = 1024 * 1024
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class OutputRefusedError(BuilderError):
    """The build left something that is not taken: cause ``output-refused``, or the limit ``output`` where ``too_large``."""

    def __init__(self, name: str, why: str, *, too_large: bool = False) -> None:
        self.name = printable(name)
        self.too_large = too_large
        super().__init__(f"output {self.name}: {why}")


@dataclass(frozen=True, slots=True)
class Collected:
    """One file that was taken: its path inside the volume, its digest and size, and where it now is."""

    name: str
    sha256: Sha256
    size: int
    path: Path


def collect(
    volume: OutputVolume, *, allow: Sequence[str], max_bytes: int, destination: Path, engine: Engine | None = None, max_entries: int = MAX_ENTRIES
) -> list[Collected]:
    """Copy every file of the volume to ``destination/<sha256>``, each read once, hashed while it is copied; sorted by name.

    ``allow`` are patterns of whole relative paths, where ``*`` matches within one name: ``("result.json", "dist/*.whl")``. ``max_bytes`` bounds
    the sum. Raises OutputRefusedError for anything else that is there: other names, links, devices, fifos, sockets, files with more than one
    name, files with holes, set-id bits, too many entries. Half a collection is never returned; files already copied stay, unnamed by anybody.
    """
    patterns = [_pattern(text) for text in allow]
    destination.mkdir(parents=True, exist_ok=True)
    taken: list[Collected] = []
    budget = _Budget(max_bytes, max_entries)
    if volume.kind == "tmpfs":
        descriptor = os.open(volume.path, _OPEN_DIR)
        try:
            for name, parent, leaf in _walk(descriptor, "", 0, budget):
                _check_kind(name, os.stat(leaf, dir_fd=parent, follow_symlinks=False).st_mode)
                _check_name(name, patterns)
                taken.append(_take_file(name, parent, leaf, budget, destination))
        finally:
            os.close(descriptor)
    else:
        if engine is None:
            raise SandboxError("collecting from an engine volume needs the engine")
        taken.extend(_take_stream(engine, volume, patterns, budget, destination))
    return sorted(taken, key=lambda row: row.name)


def printable(name: str) -> str:
    """A name as it may be shown: everything but plain ASCII escaped, at most 200 characters."""
    return ascii(name)[1:-1][:200]


@dataclass(slots=True)
class _Budget:
    left: int
    entries: int

    def entry(self, name: str) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise OutputRefusedError(name, "there are too many files", too_large=True)

    def spend(self, name: str, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise OutputRefusedError(name, "the output is larger than allowed", too_large=True)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text)) + r"\Z")


def _check_name(name: str, patterns: Sequence[re.Pattern[str]]) -> None:
    if not all(_NAME.match(part) for part in name.split("/")):
        raise OutputRefusedError(name, "the name has characters that are not taken")
    if not any(pattern.match(name) for pattern in patterns):
        raise OutputRefusedError(name, "nothing by this name was asked for")


def _walk(descriptor: int, prefix: str, depth: int, budget: _Budget) -> Iterator[tuple[str, int, str]]:
    """Yield (path, folder descriptor, last name) of everything that is not a folder; folders are entered by descriptor, never by path."""
    if depth > MAX_DEPTH:
        raise OutputRefusedError(prefix, f"folders are nested deeper than {MAX_DEPTH}")
    with os.scandir(descriptor) as entries:
        names = []
        for entry in entries:  # counted while read: a folder with a million names never becomes a list
            budget.entry(entry.name)
            names.append(entry.name)
    for leaf in sorted(names):
        name = f"{prefix}{leaf}"
        if not stat.S_ISDIR(os.stat(leaf, dir_fd=descriptor, follow_symlinks=False).st_mode):
            yield name, descriptor, leaf
            continue
        child = os.open(leaf, _OPEN_DIR, dir_fd=descriptor)
        try:
            yield from _walk(child, f"{name}/", depth + 1, budget)
        finally:
            os.close(child)


def _take_file(name: str, parent: int, leaf: str, budget: _Budget, destination: Path) -> Collected:
    """Open one file, judge what was opened (not what the folder said), copy and hash it."""
    try:
        descriptor = os.open(leaf, _OPEN_FILE, dir_fd=parent)
    except OSError as error:
        raise OutputRefusedError(name, f"it cannot be opened ({error.strerror})") from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        state = os.fstat(descriptor)
        _check_kind(name, state.st_mode)
        if state.st_nlink != 1:
            raise OutputRefusedError(name, f"it has {state.st_nlink} names (a hard link)")
        if state.st_mode & (stat.S_ISUID | stat.S_ISGID):
            raise OutputRefusedError(name, "it has a set-id bit")
        # the size before a byte is read: a 100 GB file of holes costs its maker nothing and us an hour
        budget.spend(name, state.st_size)
        if state.st_blocks * 512 < state.st_size:
            raise OutputRefusedError(name, "it has holes (a sparse file)")
        return _copy(name, cast("BinaryIO", file), state.st_size, destination)


def _copy(name: str, source: BinaryIO, size: int, destination: Path) -> Collected:
    digest = hashlib.sha256()
    temporary = destination / f".{secrets.token_hex(8)}"
    copied = 0
    try:
        with temporary.open("xb") as target:
            while chunk := source.read(min(_CHUNK, size - copied + 1)):
                copied += len(chunk)
                if copied > size:
                    raise OutputRefusedError(name, "it grew while it was read")
                digest.update(chunk)
                target.write(chunk)
        if copied != size:
            raise OutputRefusedError(name, "it shrank while it was read")
        final = destination / digest.hexdigest()
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    return Collected(name, Sha256(digest.hexdigest()), size, final)


def _take_stream(
    engine: Engine, volume: OutputVolume, patterns: Sequence[re.Pattern[str]], budget: _Budget, destination: Path
) -> Iterator[Collected]:
    """The same rules on the tar that the engine makes of an engine volume; holes cannot be seen there, the byte cap bounds them."""
    chunks = engine.api.receive(f"/containers/{volume.holder}/archive", query={"path": "/out/."})
    try:
        with tarfile.open(mode="r|", fileobj=cast("BinaryIO", _Chunks(chunks))) as archive:
            for member in archive:
                name = member.name.removeprefix("./").rstrip("/")
                budget.entry(name)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise OutputRefusedError(name, "it is a link or a special file")
                if member.mode & (stat.S_ISUID | stat.S_ISGID):
                    raise OutputRefusedError(name, "it has a set-id bit")
                _check_name(name, patterns)
                budget.spend(name, member.size)
                source = archive.extractfile(member)
                if source is None:
                    raise OutputRefusedError(name, "it has no content")
                yield _copy(name, cast("BinaryIO", source), member.size, destination)
    except tarfile.TarError as error:
        raise SandboxError(f"reading an output volume: {error}") from error


class _Chunks:
    """A readable file over the engine's chunks, for tarfile's streaming mode."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def _check_kind(name: str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a fifo",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder",
    }.get(stat.S_IFMT(mode), "something odd")
    raise OutputRefusedError(name, f"it is {kind}, not a file")
