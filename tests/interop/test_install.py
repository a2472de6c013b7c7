"""``deploy/interop-install``: plain words where a tool cannot be installed, an error only where it must be; nothing names a registry."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.stock import HERE

SCRIPT = HERE.parent.parent / "deploy" / "interop-install"
NEEDED = ("bash", "dirname", "mkdir", "flock", "find", "sort", "xargs", "sha256sum", "cut", "cat", "sed", "head")


@pytest.mark.parametrize(("required", "code"), [("", 0), ("required", 4)])
def test_a_machine_without_go_and_node_is_told_what_is_needed(required: str, code: int, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "REPROVE_TOOLS": str(tmp_path / "tools"), "REPROVE_INTEROP": required}
    done = subprocess.run([tools / "bash", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert re.search(r"cosign +not installed: it is built with Go 1\.26 or newer, here is none\. Debian 12's package is too old", done.stderr)
    assert re.search(r"sigstore-js +not installed: it runs on Node 20 or newer, here is none", done.stderr)
    assert "their tests are skipped and say so" in done.stderr


def test_the_lock_file_names_no_place_to_download_from_and_pins_every_package() -> None:
    folder = HERE / "tools" / "sigstore-js"
    lock = (folder / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/')
    assert "omit-lockfile-registry-resolved=true" in (folder / ".npmrc").read_text()
