"""Resolve build requirements with the mounted fetch tool, inside the fetch container (contract of drivers: workers/drivers/README.md).

Standard library only, Python 3.9 to 3.13. Reads ``/in/request.json`` (``{"requirements": [...], "overrides": [...], "original": sha256,
"original_size": bytes or null}``), whose lines the worker has parsed and written again; reaches nothing but the session's socket. Writes
``/out/result.json``: ``{"locked": [[name, version]...], "copies": ["wheel!/member"...]}`` or ``{"failed": text}``. Only wheels are read, so no
package's code runs here; the closed list of inputs is the proxy's record, not this result. ``copies`` are members of locked wheels, or of zips in
them, that are the original byte for byte.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import re
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

from forward import Forwarder

UV = "/opt/uv/uv"
SOCKET = "/run/index.sock"
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)\s*\Z")
SECONDS = 300
DEPTH = 2
MAX_MEMBER = 256 * 1024 * 1024


def main(argv: list[str]) -> int:
    """Run the tool once."""
    inner = Path(argv[1] if len(argv) > 1 else "/in")
    outer = Path(argv[2] if len(argv) > 2 else "/out")
    work = Path(argv[3] if len(argv) > 3 else "/tmp")  # noqa: S108  # a tmpfs of this container alone
    request = json.loads((inner / "request.json").read_text(encoding="utf-8"))
    forwarder = Forwarder(os.environ.get("REPROVE_SESSION_SOCKET", SOCKET))
    try:
        result = resolve(request, forwarder.port, work)
        if "locked" in result:
            result["copies"] = copies(result["locked"], request, forwarder.port)
    except (OSError, ValueError, KeyError, http.client.HTTPException, subprocess.SubprocessError) as error:
        result = {"failed": f"{type(error).__name__}: {error}"}
    (outer / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def resolve(request: dict[str, Any], port: int, work: Path) -> dict[str, Any]:
    """Ask the tool for one version of everything that is needed."""
    wanted, overrides = work / "wanted.in", work / "overrides.in"
    wanted.write_text("".join(line + "\n" for line in request["requirements"]), encoding="utf-8")
    overrides.write_text("".join(line + "\n" for line in request["overrides"]), encoding="utf-8")
    command = [
        os.environ.get("REPROVE_UV", UV),
        "pip",
        "compile",
        str(wanted),
        "--override",
        str(overrides),
        "--python",
        sys.executable,
        "--default-index",
        "http://127.0.0.1:%d/simple/" % port,
        "--only-binary",
        ":all:",
        "--no-config",
        "--no-cache",
        "--no-python-downloads",
        "--no-header",
        "--no-annotate",
        "--no-progress",
        "--color",
        "never",
    ]
    # Nothing of what surrounds us: no second index, no find-links, no proxy, no credentials.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(work), "LC_ALL": "C.UTF-8", "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "300"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        message = done.stderr.decode("utf-8", "replace").strip()
        return {"failed": message[-4000:] or "exit code %d" % done.returncode}
    locked = []
    for row in text.splitlines():
        line = row.strip()
        if not line or line.startswith("#"):
            continue
        match = PIN.match(line)
        if match is None:
            raise ValueError("the fetch tool wrote a line that is no pin: %r" % line[:200])
        locked.append([match[1], match[2]])
    return {"locked": locked}


def copies(locked: list[list[str]], request: dict[str, Any], port: int) -> list[str]:
    """Look for the original inside the locked wheels: a build that has it need not build it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    wanted = {(canonical(name), version) for name, version in locked}
    found = []
    for row in json.loads(ask(connection, "/given")):
        if (row["project"], row["version"]) in wanted:
            found += members(ask(connection, row["path"]), row["name"], request["original"], request.get("original_size"), DEPTH)
    connection.close()
    return sorted(found)[:20]


def ask(connection: http.client.HTTPConnection, path: str) -> bytes:
    """Read one answer of the session."""
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise ValueError("the session answered %d" % response.status)
    return body


def members(data: bytes, name: str, digest: str, size: int | None, depth: int) -> list[str]:
    """Name the members of a zip, and of zips in it, that have this digest."""
    found = []
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        for info in archive.infolist():
            nested = depth > 0 and info.filename.lower().endswith((".whl", ".zip", ".egg", ".jar", ".pyz"))
            if info.file_size > MAX_MEMBER or not (nested or size is None or info.file_size == size):
                continue
            content = archive.read(info)
            path = "%s!/%s" % (name, info.filename)
            if hashlib.sha256(content).hexdigest() == digest:
                found.append(path[:500])
            elif nested:
                found += members(content, path, digest, size, depth - 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        # What no zip reader opens, the build's installer does not open either.
        pass
    return found


def canonical(name: str) -> str:
    """Write a project's name as the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
