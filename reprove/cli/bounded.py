"""Run work on hostile files in a child process with a deadline and a memory limit, so that whatever it meets, the command ends in time."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable

from reprove.archive.limits import ArchiveError, LimitError
from reprove.problems import Json

MAX_ANSWER = 64 * 1024**2
_CHUNK = 1024**2
_FAULTS: dict[str, type[ArchiveError]] = {"limit": LimitError, "archive": ArchiveError}


def bounded(work: Callable[[], Json], *, seconds: float, memory: int) -> Json:
    """Return what ``work`` returns. ``memory`` is bytes of private memory; temporary files go to a folder that is removed either way.

    Raises :class:`LimitError` at the deadline, when memory ends, or when the child dies; :class:`ArchiveError` and ``OSError`` as ``work`` does.
    """
    with tempfile.TemporaryDirectory(prefix="reprove-") as folder:
        sys.stdout.flush()
        sys.stderr.flush()
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            _child(work, sender, folder, memory)
        os.close(sender)
        try:
            answer = _receive(receiver, time.monotonic() + seconds)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            os.close(receiver)
            _, status = os.waitpid(child, 0)
    if not answer:
        raise LimitError(f"comparing ended early ({_ending(status)}); it may use {memory // 1024**2} MiB of memory")
    return _unpack(json.loads(answer))


def _child(work: Callable[[], Json], sender: int, folder: str, memory: int) -> None:
    """Do the work and say what came of it; never returns, and never shows a traceback."""
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        tempfile.tempdir = folder
        answer: Json = {"result": work()}
    except LimitError as error:
        answer = {"fault": "limit", "detail": error.detail}
    except ArchiveError as error:
        answer = {"fault": "archive", "detail": error.detail}
    except OSError as error:
        answer = {"fault": "os", "number": error.errno or 0, "detail": error.strerror or str(error), "file": str(error.filename or "")}
    except MemoryError:
        os._exit(1)
    except Exception as error:  # noqa: BLE001  # a fault of ours must not look like a verdict, and a hostile file must not show a traceback
        answer = {"fault": "limit", "detail": f"a fault of the comparer: {type(error).__name__}: {error}"[:300]}
    try:
        data = json.dumps(answer).encode()
        while data:
            data = data[os.write(sender, data[:_CHUNK]) :]
    finally:
        os._exit(0)


def _receive(receiver: int, deadline: float) -> bytes:
    """What the child wrote until it closed. Raises :class:`LimitError` at the deadline."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([receiver], [], [], left)[0]:
            raise LimitError("comparing took longer than allowed; --timeout gives it more seconds")
        chunk = os.read(receiver, _CHUNK)
        if not chunk:
            return b"".join(parts)
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER:
            raise LimitError("the comparison is too large to show")


def _ending(status: int) -> str:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "out of memory"


def _unpack(answer: Json) -> Json:
    fault = answer.get("fault")
    if fault is None:
        result = answer["result"]
        assert isinstance(result, dict)
        return result
    if fault == "os":
        raise OSError(int(answer["number"]), str(answer["detail"]), str(answer["file"]))
    raise _FAULTS[str(fault)](str(answer["detail"]))
