"""A recording proxy that was taken over: it reads the network all day, and the worker that it answers may be root."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprove.core.digests import sha256
from reprove.settings import Settings
from workers.inputs import fetch, frames
from workers.inputs.fetch import ProxyUnavailableError, Session
from workers.inputs.store import InputStore
from workers.workspace import Workspace


def _row(path: Path, data: bytes, **changes: object) -> dict[str, object]:
    return {"name": "flit_core-3.9.0-py3-none-any.whl", "uri": "u", "sha256": sha256(data), "size": len(data), "path": str(path), **changes}


@pytest.mark.parametrize("name", ["../../../{0}/cron.d/job", "{0}/job", "a/b.whl", "..", "x\n.whl", "-rf", "é.whl", ""])
def test_a_name_that_leaves_the_attempts_folder_is_refused(store: InputStore, tmp_path: Path, name: str) -> None:
    """Without the check the next step writes the proxy's bytes wherever the name points."""
    data = b"* * * * * root id"
    given = tmp_path / "given"
    given.write_bytes(data)
    with pytest.raises(ProxyUnavailableError, match="no plain name"):
        fetch._take(_row(given, data, name=name.format(tmp_path)), store)


def test_the_workspace_does_write_where_a_name_points(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with Workspace(tmp_path / "work", "at-1") as space:
        space.folder("in-1", {"inputs/../../../../etc/job": b"owned"})
    assert (tmp_path / "etc" / "job").read_bytes() == b"owned"


@pytest.mark.parametrize("kind", ["link", "fifo", "device"])
def test_what_is_no_plain_file_is_not_opened(store: InputStore, tmp_path: Path, kind: str) -> None:
    data, path = b"secret", tmp_path / "given"
    if kind == "link":
        (tmp_path / "target").write_bytes(data)
        path.symlink_to(tmp_path / "target")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path = Path("/dev/zero")
    with pytest.raises(ProxyUnavailableError, match="cannot be taken over"):
        fetch._take(_row(path, data), store)
    assert not store.has(sha256(data))


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[Path]:
    """A folder of sockets with a short path."""
    folder = Path("/tmp") / f"reprove-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"  # a socket's path has 107 bytes
    (folder / "fetch").mkdir(parents=True)
    yield folder
    for each in sorted(folder.rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() and not each.is_symlink() else each.unlink()
    folder.rmdir()


@pytest.mark.parametrize("named", ["/", "/var/run/docker.sock", "{0}/proxy.sock", "{0}/fetch/link.sock", "{0}/fetch/../proxy.sock"])
def test_only_a_socket_of_the_proxys_own_folder_is_mounted(sockets: Path, tmp_path: Path, named: str) -> None:
    (sockets / "fetch" / "link.sock").symlink_to("/var/run/docker.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(sockets / "proxy.sock"))
    listener.listen(1)

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            frames.receive(connection)
            frames.send(connection, {"session": "s", "socket": named.format(sockets)})

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    settings = Settings(home=tmp_path, run_dir=sockets, index_pypi_url="https://index.invalid/simple/")
    with pytest.raises(ProxyUnavailableError), Session(settings, None):
        pass
    thread.join(5)
    listener.close()
