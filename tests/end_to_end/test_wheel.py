"""The done-condition of the first release: an honest wheel is allowed; with one byte, file or mode changed it is denied, and the member is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.instance import REPOSITORY, Instance
from tests.sim.index import SimIndex
from tests.sim.packages import Project, wheel_bytes

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def decide(instance: Instance, sha256: str) -> dict[str, Any]:
    answer = instance.call("POST", "/v1/decisions", {"policy": "default", "artifacts": [{"sha256": sha256}]})
    assert answer.status in (201, 202), answer.body
    return answer.json  # type: ignore[no-any-return]


def rebuilt(instance: Instance, purl: str) -> dict[str, Any]:
    return instance.follow(instance.post(purl, force=True))


def verify(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``reprove verify`` as another machine runs it: no state folder, no settings, no network."""
    return subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "reprove.cli.main", "verify", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_unchanged_wheel_is_reproduced_and_allowed(instance: Instance, index: SimIndex, tmp_path: Path) -> None:
    project = Project("honest")
    result = rebuilt(instance, project.publish(index))
    assert (result["outcome"], result.get("level")) == ("reproduced", "bitwise"), result
    assert [row["predicateType"] for row in result["attestations"]] == ["https://slsa.dev/provenance/v1", "urn:reprove:predicate:comparison:v0.1"]
    decision = decide(instance, result["original"]["sha256"])
    assert decision["verdict"] == "allow", decision

    comparison = result["attestations"][1]["id"]
    evidence = instance.call("GET", f"/v1/attestations/{comparison}", headers={"Accept": "application/vnd.reprove.evidence+json"})
    assert evidence.status == 200
    (tmp_path / "evidence.json").write_bytes(evidence.body)
    (tmp_path / project.wheel_name).write_bytes(project.wheel())
    (tmp_path / "trust.json").write_bytes((instance.home / "trust.json").read_bytes())
    good = verify(project.wheel_name, "--evidence", "evidence.json", "--trust", "trust.json", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "VERIFIED" in good.stdout
    assert "reproduced, bitwise" in good.stdout
    alone = verify(project.wheel_name, "--evidence", "evidence.json", cwd=tmp_path)
    assert alone.returncode == 14
    assert "keys that you have not chosen" in alone.stdout + alone.stderr


def _one_byte(project: Project) -> bytes:
    return wheel_bytes(
        project.name, project.version, {f"{project.name}/{path}": data.replace(b"41", b"42") for path, data in sorted(project.files.items())}
    )


def _one_file(project: Project) -> bytes:
    files = {f"{project.name}/{path}": data for path, data in sorted(project.files.items())}
    return wheel_bytes(project.name, project.version, {**files, f"{project.name}/zz_hook.py": b"import os\n"})


def _one_mode(project: Project) -> bytes:
    files = {f"{project.name}/{path}": data for path, data in sorted(project.files.items())}
    return wheel_bytes(project.name, project.version, files, modes={f"{project.name}/net.py": 0o100755})


@pytest.mark.parametrize(
    ("name", "tamper", "member", "cause"),
    [
        ("onebyte", _one_byte, "onebyte/__init__.py", "payload"),
        ("onefile", _one_file, "onefile/zz_hook.py", "extra-member"),
        ("onemode", _one_mode, "onemode/net.py", "mode"),
    ],
)
def test_a_tampered_wheel_differs_is_denied_and_the_member_is_named(
    instance: Instance, index: SimIndex, name: str, tamper: Any, member: str, cause: str
) -> None:
    project = Project(name)
    result = rebuilt(instance, project.publish(index, wheel=tamper(project)))
    assert result["outcome"] == "differs", result
    assert result["cause"]["class"] == cause
    assert member in {row["path"] for row in result["differences"]}
    decision = decide(instance, result["original"]["sha256"])
    assert decision["verdict"] == "deny"
    assert decision["artifacts"][0]["reasons"]


def test_what_the_backend_asks_for_makes_the_next_candidate(instance: Instance, index: SimIndex) -> None:
    index.add("extradep", "extradep-2.0-py3-none-any.whl", wheel_bytes("extradep", "2.0", {"extradep.py": b""}), uploaded="2023-02-01T00:00:00Z")
    project = Project("asking", needs=["extradep"])
    result = rebuilt(instance, project.publish(index))
    assert (result["outcome"], result.get("level")) == ("reproduced", "bitwise"), result
    assert any("extradep-2.0" in row["uri"] for row in result["inputs"])


def test_a_failing_build_is_signed_and_logged_with_the_line_that_shows_it(instance: Instance, index: SimIndex) -> None:
    project = Project("failing", hook="raise SystemExit('the moon is in the wrong phase')")
    result = rebuilt(instance, project.publish(index))
    assert (result["outcome"], result["cause"]["class"]) == ("build-failed", "backend-failed"), result
    assert [row["predicateType"] for row in result["attestations"]] == ["urn:reprove:predicate:comparison:v0.1"]
    log = instance.call("GET", f"/v1/rebuilds/{result['id']}/log").body
    assert b"the moon is in the wrong phase" in log
    assert decide(instance, result["original"]["sha256"])["verdict"] == "deny"


def test_every_answer_about_a_digest_comes_with_its_place_in_the_log(instance: Instance, index: SimIndex) -> None:
    project = Project("known")
    digest = rebuilt(instance, project.publish(index))["original"]["sha256"]
    page = instance.call("GET", f"/v1/attestations?digest=sha256:{digest}").json
    assert {row["predicateType"] for row in page["items"]} >= {"urn:reprove:predicate:comparison:v0.1"}
    size = int(instance.call("GET", "/log/checkpoint").body.split(b"\n")[1])
    assert all(row["logIndex"] < size for row in page["items"])
    known = instance.call("GET", f"/v1/artifacts/sha256:{digest}").json
    assert known["outcomes"][0]["outcome"] == "reproduced"
    assert json.loads(instance.call("GET", "/trusted_root.json").body)["tlogs"]
