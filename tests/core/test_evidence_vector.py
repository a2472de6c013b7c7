"""Evidence that an earlier version made stays valid: the stored file is accepted by both verifiers and encodes to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reprove.core.digests import sha256
from reprove.core.evidence import parse_evidence
from reprove.core.trust import parse_trust
from reprove.core.verification import verify_evidence

FOLDER = Path(__file__).parent.parent / "vectors" / "evidence"
FINGERPRINT = "073e8b5b139792362875559f106806cd4f8d6e38d2d3a02991e64abc139f35d3"


def test_the_stored_evidence_is_still_accepted_and_encodes_to_itself() -> None:
    data = (FOLDER / "evidence.json").read_bytes()
    trust = parse_trust((FOLDER / "trust.json").read_bytes())
    assert parse_evidence(data).encode() == data
    assert trust.fingerprint == FINGERPRINT
    verified = verify_evidence(data, trust, subject_sha256=sha256((FOLDER / "demo-1.0-py3-none-any.whl").read_bytes()))
    assert [claim.logged.index for claim in verified.claims] == [6]
    assert verified.decision is not None


def test_the_single_file_accepts_it_too() -> None:
    script = FOLDER.parents[2] / "docs" / "verifier" / "reprove_verify.py"
    command = [sys.executable, str(script), "demo-1.0-py3-none-any.whl", "--evidence", "evidence.json", "--trust", "trust.json"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
