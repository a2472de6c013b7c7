"""Fetch what one candidate needs: our own tool in a hardened container, whose only way out is one proxy session (DESIGN section 5.5).

The closed list of inputs is what the session gave out for what was locked. The container runs no code of any package: wheels only.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprove.core.canonical import canonical, parse
from reprove.core.digests import Sha256, parse_sha256
from reprove.core.errors import ProblemError, UpstreamError
from reprove.core.outcomes import Finding, Outcome
from reprove.core.purls import parse_purl
from reprove.core.statements.parts import Cause, FindingRow
from reprove.settings import Settings
from workers.client import LeaseLostError
from workers.inputs import frames, requirements
from workers.inputs.requirements import RequirementRefusedError, Wanted
from workers.inputs.store import InputStore
from workers.sandbox import Engine, ImageRef, Labels, Limits, Mount, SandboxError, Step, StepResult, collect, driver_mount, uv_mount

LIMITS = Limits(time_s=320, memory=1024**3, disk=256 * 1024**2, pids=128, log=1024**2)
MAX_RESULT = 1024**2
CONTROL_SECONDS = 60.0
_INPUT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}\Z")
_CONTROL_CHARACTERS = re.compile(r"[^\x20-\x7e]+")


class ProxyUnavailableError(UpstreamError):
    """The recording proxy does not answer, or refuses to open a session."""


class IndexUnavailableError(UpstreamError):
    """The index, or where its files are, does not answer at the moment: no verdict, the attempt may be tried again."""


@dataclass(frozen=True, slots=True)
class FetchedInput:
    """One file of the closed list; ``uri`` is where the index has it, ``size`` in bytes, ``path`` in the worker's own store."""

    name: str
    uri: str
    sha256: Sha256
    size: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    """What was fetched, or why it could not be (``cause`` with its ``outcome``).

    ``inputs`` are the locked files, by name; ``consulted`` were looked at while resolving and are not given to the build; ``pages`` are the
    index pages by project, digest and time of the look-up.
    """

    inputs: tuple[FetchedInput, ...] = ()
    locked: tuple[tuple[str, str], ...] = ()
    consulted: tuple[FetchedInput, ...] = ()
    pages: tuple[Mapping[str, object], ...] = ()
    refused: tuple[str, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    outcome: Outcome | None = None
    cause: Cause | None = None
    cut: str = ""

    def describe(self) -> str:
        """Say it in one line, as the progress display shows it."""
        if self.cause is not None:
            return f"{self.cause.class_}: {self.cause.detail}"
        size = sum(one.size for one in self.inputs)
        text = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
        return f"{len(self.inputs)} input{'' if len(self.inputs) == 1 else 's'}, {text}, as of {self.cut[:10]}"


@dataclass(frozen=True, slots=True)
class _Record:
    """A closed session's record."""

    files: tuple[Mapping[str, Any], ...]
    pages: tuple[Mapping[str, Any], ...]
    faults: tuple[Mapping[str, Any], ...]
    refused: tuple[str, ...]


def fetch(
    *,
    engine: Engine,
    image: ImageRef,
    settings: Settings,
    requirements: Sequence[str],
    cut: str,
    labels: Labels,
    cancel: threading.Event,
    store: InputStore,
    subject: str,
    original: Sha256,
    original_size: int | None = None,
) -> FetchResult:
    """Lock and fetch ``requirements`` as of ``cut`` (RFC 3339). ``subject`` is the rebuilt file's purl, ``original`` its digest.

    Raises SandboxError for the engine's faults, UpstreamError for the proxy's and the index's passing ones, LeaseLostError when ``cancel`` is set.
    """
    if not requirements:
        return FetchResult(cut=cut)
    try:
        wanted = _read(requirements)
    except RequirementRefusedError as error:
        return FetchResult(outcome=Outcome.INPUT_UNAVAILABLE, cause=Cause("input-needs-build", str(error)), cut=cut)
    request = {"requirements": list(wanted.lines), "overrides": list(wanted.overrides), "original": original, "original_size": original_size}
    with Session(settings, cut) as session:
        result, step = _run(engine, image, session.socket, request, labels, cancel)
        record = session.close()
    if cancel.is_set():
        raise LeaseLostError("cancelled")
    if step.limit is not None:
        return FetchResult(outcome=Outcome.LIMIT_EXCEEDED, cause=Cause(step.limit, f"the fetch step met its {step.limit} limit"), cut=cut)
    if "locked" not in result:
        return FetchResult(
            outcome=Outcome.INPUT_UNAVAILABLE, cause=_cause(result, record, wanted, cut), pages=record.pages, refused=record.refused, cut=cut
        )
    return _accept(result, record, store, cut=cut, subject=subject, original=original)


class Session:
    """A proxy session as a context manager; leaving it ends the session whatever happened."""

    def __init__(self, settings: Settings, cut: str | None) -> None:
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.settimeout(CONTROL_SECONDS)
        self._path = settings.sockets / "proxy.sock"
        self._request = {"op": "open", "index": settings.index_pypi_url, "cut": cut}
        self._name = ""
        self.socket = Path()

    def __enter__(self) -> Self:
        try:
            self._control.connect(str(self._path))
            answer = self._ask(self._request)
            self._name, self.socket = str(answer["session"]), self._own_socket(Path(str(answer["socket"])))
        except (OSError, KeyError) as error:
            self._control.close()
            raise ProxyUnavailableError(f"the recording proxy does not answer on {self._path}: {type(error).__name__}") from error
        except ProxyUnavailableError:
            self._control.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()

    def _own_socket(self, path: Path) -> Path:
        """What is mounted into the container is a socket in the proxy's own folder, whatever path the other account names."""
        if path.parent != self._path.parent / "fetch" or not stat.S_ISSOCK(path.lstat().st_mode):
            raise ProxyUnavailableError("the recording proxy named something else than a socket of its own")
        return path

    def close(self) -> _Record:
        """End the session and return its record: from now on it gives nothing out."""
        try:
            answer = self._ask({"op": "close", "session": self._name})
            return _Record(tuple(answer["files"]), tuple(answer["pages"]), tuple(answer["faults"]), tuple(str(one) for one in answer["refused"]))
        except (OSError, KeyError, TypeError) as error:
            raise ProxyUnavailableError(f"the recording proxy went away: {type(error).__name__}") from error

    def _ask(self, request: Mapping[str, object]) -> Mapping[str, Any]:
        frames.send(self._control, request)
        answer = frames.receive(self._control)
        if not isinstance(answer, dict):
            raise ProxyUnavailableError("the recording proxy closed the connection")
        if "error" in answer:
            raise ProxyUnavailableError(f"the recording proxy refused: {answer['error']}")
        return answer


def _read(texts: Sequence[str]) -> Wanted:
    return requirements.read(texts)


def _run(
    engine: Engine, image: ImageRef, path: Path, request: Mapping[str, object], labels: Labels, cancel: threading.Event
) -> tuple[Mapping[str, Any], StepResult]:
    with _folder() as inner, _folder() as found, engine.output_volume(8 * 1024**2, labels=labels) as volume:
        (inner / "request.json").write_bytes(canonical(request))
        (inner / "request.json").chmod(0o644)
        step = Step(
            image=image,
            argv=("python3", "-B", "/opt/drivers/fetch.py"),
            mounts=mounts(inner, path),
            limits=LIMITS,
            labels=labels,
            output=volume,
            cancel=cancel,
        )
        ended = engine.run(step)
        # The container is dead: nothing rewrites what is read now.
        files = {one.name: one for one in collect(volume, allow=("result.json",), max_bytes=MAX_RESULT, destination=found, engine=engine)}
        if "result.json" not in files:
            if ended.limit is not None or cancel.is_set():
                return {}, ended
            raise SandboxError(f"the fetch step ended with exit code {ended.exit_code} and left no result")
        document = parse(files["result.json"].path.read_bytes(), max_bytes=MAX_RESULT, what="the fetch step's result")
        if not isinstance(document, dict):
            raise SandboxError("the fetch step's result is no object")
        return document, ended


def mounts(inner: Path, session: Path) -> tuple[Mount, ...]:
    """Return all that a fetch container sees of the host: our drivers, the tool, the request, the session's socket."""
    return (driver_mount(), uv_mount(), Mount(inner, "/in"), Mount(session, "/run/index.sock"))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="reprove-fetch-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _accept(result: Mapping[str, Any], record: _Record, store: InputStore, *, cut: str, subject: str, original: Sha256) -> FetchResult:
    """Match what was locked with what the session gave out, take the bytes over, and look for the artifact itself among them."""
    try:
        locked = tuple((canonicalize_name(str(name)), str(Version(str(version)))) for name, version in result["locked"])
        copies = [str(one) for one in result.get("copies", [])]
    except (TypeError, ValueError, InvalidVersion):
        raise SandboxError("the fetch step's result has another shape than agreed") from None
    rows = {(str(row["project"]), str(row["version"])): row for row in record.files}
    missing = [f"{name}=={version}" for name, version in locked if (name, version) not in rows]
    if missing:
        raise SandboxError(f"the fetch tool locked {missing[0]}, of which the session gave out no file")
    chosen = [rows[key] for key in locked]
    inputs = tuple(sorted((_take(row, store) for row in chosen), key=lambda one: one.name))
    names = {one.name for one in inputs}
    return FetchResult(
        inputs=inputs,
        locked=tuple(sorted(locked)),
        consulted=tuple(_take(row, store) for row in record.files if row["name"] not in names),
        pages=record.pages,
        refused=record.refused,
        findings=tuple(_echoes(inputs, locked, copies, subject, original)),
        cut=cut,
    )


def _take(row: Mapping[str, Any], store: InputStore) -> FetchedInput:
    """Take a file over into the worker's own store, checked: the proxy is another account, and its files stay its own."""
    name, digest, size = str(row["name"]), parse_sha256(row["sha256"]), int(row["size"])
    if not _INPUT_NAME.match(name):
        # It becomes a path below the attempt's folder, which root writes.
        raise ProxyUnavailableError(f"the proxy's file {name[:80]!r} has no plain name")
    stored = store.find(digest)
    if stored is None:
        try:
            with open(str(row["path"]), "rb", opener=_regular) as source:
                stored = store.put_stream(iter(lambda: source.read(1 << 20), b""), max_bytes=size, sha256=digest)
        except (OSError, ProblemError) as error:
            raise ProxyUnavailableError(f"the proxy's file {name} cannot be taken over: {error}") from error
    return FetchedInput(name, str(row["uri"]), digest, stored.size, stored.path)


def _regular(path: str, flags: int) -> int:
    """Open a plain file of the proxy's; a link or a pipe could hold this process, which may be root, or point it elsewhere."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a plain file")
    return descriptor


def _echoes(
    inputs: Sequence[FetchedInput], locked: Sequence[tuple[str, str]], copies: Sequence[str], subject: str, original: Sha256
) -> Iterator[FindingRow]:
    """Say where the artifact itself is among what the build may read (DESIGN section 6: echo builds)."""
    purl = parse_purl(subject)
    for one in inputs:
        if one.sha256 == original:
            yield FindingRow(Finding.ORIGINAL_AMONG_INPUTS, one.name, "this input is the original")
    for name, version in locked:
        if name == purl.name and version == purl.version:
            yield FindingRow(Finding.ORIGINAL_AMONG_INPUTS, f"{name}=={version}", "the build needs the artifact's own name and version")
    for path in copies[:20]:
        yield FindingRow(Finding.ORIGINAL_AMONG_INPUTS, _clean(path, 500), "this member of an input is the original")


def _cause(result: Mapping[str, Any], record: _Record, wanted: Wanted, cut: str) -> Cause:
    """Say why nothing could be locked. Raises IndexUnavailableError when the reason may pass."""
    for fault in record.faults:
        if fault.get("transient") or fault.get("kind") == "garbage":
            raise IndexUnavailableError(f"{fault.get('what')}: {fault.get('detail')}")
    for fault in record.faults:
        kind = fault.get("kind")
        return Cause(str(kind) if kind in ("digest-mismatch", "truncated") else "gone", _clean(f"{fault.get('what')} could not be had ({kind})", 400))
    by_project = {str(page["project"]): page for page in record.pages}
    for project, page in by_project.items():
        if not page["wheels"] and page["untimed"] and not page["sdist_only"]:
            return Cause("no-upload-times", f"the index does not say when files of {project} were uploaded")
    for project, page in by_project.items():
        if not page["wheels"] and page["sdist_only"]:
            return Cause("input-needs-build", f"{project} has no wheel as of {cut[:10]}, only source archives")
    for pin in wanted.pins:
        name, _, version = pin.partition("==")
        page = by_project.get(name.partition("[")[0], {})
        if version in page.get("sdist_only", ()):
            return Cause("input-needs-build", f"{pin} has no wheel as of {cut[:10]}, only a source archive")
    return Cause("gone", f"no wheels as of {cut[:10]} satisfy the build requirements: {_clean(str(result.get('failed', '')), 600)}")


def _clean(text: str, limit: int) -> str:
    return _CONTROL_CHARACTERS.sub(" ", text).strip()[:limit]
