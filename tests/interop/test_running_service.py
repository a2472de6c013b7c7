"""What a running service publishes over HTTP, judged offline by stock verifiers and by the single-file verifier."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reprove.core.bundles import BUNDLE_TYPE
from tests.instance import REPOSITORY, Instance
from tests.interop.stock import BUNDLE_TOOLS, demand, fsck, offline, verify_bundle
from tests.sim.index import SimIndex
from tests.sim.packages import Project

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@dataclass(frozen=True)
class Published:
    """An auditor's downloads: bundles by kind, the wheel, keys and trust."""

    folder: Path
    wheel: Path
    bundles: dict[str, Path]

    def ask(self, tool: str, kind: str, **other: Path) -> Any:
        parts = {"bundle": self.bundles[kind], "root": self.folder / "trusted_root.json", "key": self.folder / "attester.pem", "file": self.wheel}
        return verify_bundle(tool, self.folder, kind=kind, **{**parts, **other})


@pytest.fixture(scope="module")
def published(instance: Instance, index: SimIndex, tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("auditor")
    project = Project("interop")
    rebuild = instance.follow(instance.post(project.publish(index), force=True))
    assert (rebuild["outcome"], rebuild["level"]) == ("reproduced", "bitwise"), rebuild
    bundles = {}
    for row in rebuild["attestations"]:
        kind = "slsaprovenance1" if "slsa" in row["predicateType"] else row["predicateType"]
        bundles[kind] = folder / f"{row['id']}.sigstore.json"
        bundles[kind].write_bytes(get(instance, f"/v1/attestations/{row['id']}", BUNDLE_TYPE))
    comparison = rebuild["attestations"][-1]["id"]
    (folder / "evidence.json").write_bytes(get(instance, f"/v1/attestations/{comparison}", "application/vnd.reprove.evidence+json"))
    (folder / "trusted_root.json").write_bytes(get(instance, "/trusted_root.json"))
    trust = instance.home / "trust.json"
    shutil.copy(trust, folder / "trust.json")
    spki = base64.b64decode(json.loads(trust.read_bytes())["operators"][0]["attesters"][0]["spki"])
    (folder / "attester.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(spki).decode()}-----END PUBLIC KEY-----\n")
    (folder / project.wheel_name).write_bytes(project.wheel())
    return Published(folder, folder / project.wheel_name, bundles)


def get(instance: Instance, path: str, accept: str = "*/*") -> bytes:
    answer = instance.call("GET", path, token=None, headers={"Accept": accept})
    assert answer.status == 200, (path, answer.status, answer.body)
    return answer.body


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
def test_the_services_bundles_are_accepted(tool: str, published: Published) -> None:
    demand(tool)
    assert set(published.bundles) == {"slsaprovenance1", "urn:reprove:predicate:comparison:v0.1"}
    for kind in published.bundles:
        answer = published.ask(tool, kind)
        assert answer.accepted, answer.said


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
def test_a_tampered_payload_a_bad_proof_another_file_and_another_key_are_rejected(tool: str, published: Published, tmp_path: Path) -> None:
    demand(tool)
    kind = "urn:reprove:predicate:comparison:v0.1"
    document = json.loads(published.bundles[kind].read_bytes())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b"bitwise", b"bytwise")
    changed = {**document, "dsseEnvelope": {**document["dsseEnvelope"], "payload": base64.b64encode(payload).decode()}}
    (tmp_path / "payload.json").write_text(json.dumps(changed))
    proof = document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"] = [base64.b64encode(bytes(32)).decode() for _ in proof["hashes"]] or [base64.b64encode(bytes(32)).decode()]
    (tmp_path / "proof.json").write_text(json.dumps(document))
    (tmp_path / "other.whl").write_bytes(b"another file")
    shutil.copy(REPOSITORY / "tests" / "vectors" / "stock-verified" / "signer.pub", tmp_path / "other.pem")
    shutil.copy(REPOSITORY / "tests" / "vectors" / "stock-verified" / "trusted_root.json", tmp_path / "root.json")
    attacks = {"bundle": "payload.json", "file": "other.whl", "key": "other.pem", "root": "root.json"}
    for part, name in [*attacks.items(), ("bundle", "proof.json")]:
        assert not published.ask(tool, kind, **{part: tmp_path / name}).accepted, name


def test_tesseras_fsck_reads_the_services_log(instance: Instance, published: Published, tmp_path: Path) -> None:
    demand("fsck")
    vkey = json.loads((published.folder / "trust.json").read_bytes())["logs"][0]["vkey"]
    log = tmp_path / "log"
    shutil.copytree(instance.home / "log", log)
    answer = fsck(tmp_path, log, vkey)
    assert answer.accepted, answer.said
    entries = next(path for path in (log / "tile" / "entries").rglob("*") if path.is_file())
    entries.chmod(0o644)
    entries.write_bytes(entries.read_bytes()[:-1] + b"X")
    assert not fsck(tmp_path, log, vkey).accepted


def test_the_single_file_verifier_accepts_the_services_evidence_and_nothing_else(published: Published) -> None:
    script = REPOSITORY / "docs" / "verifier" / "reprove_verify.py"
    command = [sys.executable, str(script), str(published.wheel), "--evidence", "evidence.json"]
    good = offline([*command, "--trust", "trust.json"], published.folder)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("VERIFIED   reproduced, bitwise\n")
    assert offline(command, published.folder).returncode == 14
