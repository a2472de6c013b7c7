"""Large submissions are admitted in helper processes: verifying P-256 costs more than everything else about an entry, and holds Python's lock.

A helper is a plain child on two pipes (``python -m service.log.admission_helper``): frames as on the socket, the attester's key first. It ends
when the sequencer does, because its input ends; it holds no lock, no key and no file of the log. One that dies is replaced by admission in the
sequencer itself, so that nothing rests on helpers but speed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import structlog

from reprove.core import keys
from reprove.core.errors import Problem, ProblemError, Slug
from reprove.core.keys import PublicKey
from service.log.admission import Admitted, admit, parse_request

LARGE_FRAME = 64 * 1024
"""Bytes from which a helper saves more than the way there costs; about 30 envelopes."""

_MAX_HELPERS = 4
_LENGTH = struct.Struct(">I")
_log = structlog.get_logger()


class Admission:
    """Admission as the server uses it: in this process, or by helpers for large frames, first come first served."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key
        count = min(_MAX_HELPERS, os.cpu_count() or 1)
        # Idle helpers; one per thread of the pool, None in place of one that was lost. Filled at the first use.
        self._idle: queue.SimpleQueue[_Helper | None] = queue.SimpleQueue()
        self._start = threading.Lock()
        self._missing = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="admit")

    def is_large(self, frame: bytes) -> bool:
        """Say whether a frame is better admitted by :meth:`admit_frame`."""
        return len(frame) >= LARGE_FRAME

    def admit_request(self, request: dict[str, Any]) -> list[Admitted]:
        """Admit the envelopes of a parsed ``add`` request, in this thread."""
        return admit(request.get("envelopes"), self._key)

    def admit_frame(self, frame: bytes) -> list[Admitted]:
        """Admit an ``add`` request as received; ProblemError as :func:`admit`."""
        return self._pool.submit(self._admit, frame).result()

    def close(self) -> None:
        """End the helpers."""
        self._pool.shutdown()
        with contextlib.suppress(queue.Empty):
            while True:
                helper = self._idle.get_nowait()
                if helper is not None:
                    helper.close()

    def start(self) -> None:
        """Start the helpers that are missing; otherwise done at the first use, since most logs never need one."""
        with self._start:
            while self._missing:
                self._missing -= 1
                try:
                    self._idle.put(_Helper(self._key))
                except OSError as error:
                    _log.warning("no admission helper; large submissions are admitted more slowly", detail=str(error))
                    self._idle.put(None)

    def _admit(self, frame: bytes) -> list[Admitted]:
        self.start()
        helper = self._idle.get()
        if helper is not None:
            try:
                answer = helper.ask(frame)
            except OSError as error:
                _log.warning("an admission helper ended; large submissions are admitted more slowly", detail=str(error))
                helper.close()
                helper = None
        self._idle.put(helper)
        return _admit_frame(frame, self._key) if helper is None else _unpack(answer)


class _Helper:
    """One child process; used by one thread at a time."""

    def __init__(self, key: PublicKey) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service.log.admission_helper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=True
        )
        with contextlib.suppress(OSError):
            _write(self._input, key.spki)

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def ask(self, frame: bytes) -> bytes:
        """Send a frame, return the packed answer; OSError when the child is gone."""
        assert self._process.stdout is not None
        _write(self._input, frame)
        answer = _read(self._process.stdout)
        if answer is None:
            raise BrokenPipeError("the helper closed its pipe")
        return answer

    def close(self) -> None:
        """End the child and reap it."""
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._input.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()


def _admit_frame(frame: bytes, key: PublicKey) -> list[Admitted]:
    request = parse_request(frame)
    if request.get("op") != "add":
        raise ProblemError(Slug.TOO_LARGE, "only add takes a request of this size")
    return admit(request.get("envelopes"), key)


def _pack(entries: list[Admitted]) -> bytes:
    parts = [b"\x01"]
    for entry in entries:
        parts += (entry.id, _LENGTH.pack(len(entry.leaf)), entry.leaf)
    return b"".join(parts)


def _pack_problem(problem: Problem) -> bytes:
    return b"\x00" + json.dumps([problem.slug, problem.detail, problem.pointer, problem.line, problem.column]).encode()


def _unpack(answer: bytes) -> list[Admitted]:
    if answer[:1] == b"\x00":
        slug, detail, pointer, line, column = json.loads(answer[1:])
        raise ProblemError(Slug(slug), detail, pointer=pointer, line=line, column=column)
    entries, at = [], 1
    while at < len(answer):
        (length,) = _LENGTH.unpack_from(answer, at + 32)
        entries.append(Admitted(answer[at : at + 32], answer[at + 36 : at + 36 + length]))
        at += 36 + length
    return entries


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    prefix = stream.read(4)
    if len(prefix) < 4:
        return None
    (length,) = _LENGTH.unpack(prefix)
    data = stream.read(length)
    return data if len(data) == length else None


def main() -> int:
    """Admit frames from standard input until it ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    spki = _read(source)
    if spki is None:
        return 0
    key = keys.from_spki(spki)
    while (frame := _read(source)) is not None:
        try:
            answer = _pack(_admit_frame(frame, key))
        except ProblemError as error:
            answer = _pack_problem(error.problem)
        _write(sink, answer)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        sys.exit(main())
