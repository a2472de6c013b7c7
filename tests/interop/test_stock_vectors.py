"""The harness itself: stock verifiers accept the vectors that they accepted before and reject what was tampered with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.interop.stock import BUNDLE_TOOLS, EXPECTED, REQUIRED, VECTORS, Answer, demand, fsck, missing, verify_bundle

pytestmark = pytest.mark.slow
COMPARISON = "https://reprove.example/attestation/rebuild-comparison/v0.1"
FILE = VECTORS / "demo-1.0-py3-none-any.whl"
TAMPERED = sorted(one.name for one in (VECTORS / "tampered").glob("key.*.json"))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_tool_that_must_run_in_ci_is_installed_as_pinned(name: str) -> None:
    why = missing(name)
    if why is not None and not REQUIRED:
        pytest.skip(why)
    assert why is None


def test_the_tools_that_tests_use_are_the_ones_that_are_listed() -> None:
    assert {*BUNDLE_TOOLS, "fsck"} == set(EXPECTED)


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
@pytest.mark.parametrize(("bundle", "kind"), [("comp.key.sigstore.json", COMPARISON), ("prov.key.sigstore.json", "slsaprovenance1")])
def test_good_bundles_are_accepted(tool: str, bundle: str, kind: str, tmp_path: Path) -> None:
    demand(tool)
    answer = ask(tool, tmp_path, bundle=bundle, kind=kind)
    assert answer.accepted, answer.said


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
@pytest.mark.parametrize("bundle", TAMPERED)
def test_tampered_bundles_are_rejected_but_for_the_field_that_stock_readers_ignore(tool: str, bundle: str, tmp_path: Path) -> None:
    demand(tool)
    answer = ask(tool, tmp_path, bundle=f"tampered/{bundle}")
    assert answer.accepted == (bundle == "key.roothash.json"), answer.said


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
@pytest.mark.parametrize("change", ["other-log", "other-key", "other-file"])
def test_a_good_bundle_is_rejected_under_other_trust_or_for_another_file(tool: str, change: str, tmp_path: Path) -> None:
    demand(tool)
    other = tmp_path / FILE.name
    other.write_bytes(b"another file")
    answer = ask(
        tool,
        tmp_path,
        root="trusted_root.otherlog.json" if change == "other-log" else "trusted_root.json",
        key="other.pub" if change == "other-key" else "signer.pub",
        file=other if change == "other-file" else FILE,
    )
    assert not answer.accepted


def test_fsck_reads_the_log_of_the_vectors_and_notices_a_changed_tile(tmp_path: Path) -> None:
    demand("fsck")
    vkey = (VECTORS / "log.vkey").read_text().strip()
    log = tmp_path / "log"
    shutil.copytree(VECTORS / "log", log)
    good = fsck(tmp_path, log, vkey)
    assert good.accepted, good.said
    bundle = log / "tile" / "entries" / "001.p" / "44"
    bundle.write_bytes(bundle.read_bytes()[:-1] + b"X")
    assert not fsck(tmp_path, log, vkey).accepted


def ask(
    tool: str,
    home: Path,
    *,
    bundle: str = "comp.key.sigstore.json",
    root: str = "trusted_root.json",
    key: str = "signer.pub",
    file: Path = FILE,
    kind: str = COMPARISON,
) -> Answer:
    return verify_bundle(tool, home, bundle=VECTORS / bundle, root=VECTORS / root, key=VECTORS / key, file=file, kind=kind)
