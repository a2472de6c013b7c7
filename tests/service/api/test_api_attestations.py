"""What is known, to whom it is shown, and that nothing is shown that is not proven (G3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from reprove.core.bundles import read_bundle, read_trusted_root, verify_bundle
from reprove.core.digests import sha256
from reprove.core.outcomes import Certainty, Level, Outcome
from reprove.core.statements.parts import CauseHint, Pass
from reprove.core.tlog_proof import parse_proof, verify_proof
from reprove.core.verification import verify_evidence
from service.api import shapes
from tests.core import world
from tests.service.api.conftest import Service

DIGEST = sha256(world.FILE)
EVIDENCE = "application/vnd.reprove.evidence+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_an_attestation_is_served_in_each_of_its_forms_and_verifies(service: Service) -> None:
    _, entries = service.rebuilt()
    envelope = entries[-1].envelope
    path = f"/v1/attestations/{envelope.id}"
    assert service.get(path).data == envelope.payload
    assert service.get(path, headers={"Accept": "application/vnd.dsse+json"}).data == envelope.encode()
    evidence = service.get(path, headers={"Accept": EVIDENCE})
    assert evidence.content_type == EVIDENCE
    assert verify_evidence(evidence.data, service.world.trust(), subject_sha256=DIGEST).claim.value.outcome is Outcome.REPRODUCED
    root = read_trusted_root(service.get("/trusted_root.json").data)
    bundle = read_bundle(service.get(path, headers={"Accept": BUNDLE}).data)
    assert verify_bundle(bundle, root, service.world.key("attester").public_key, subject_sha256=DIGEST) == envelope
    proof = parse_proof(service.get(f"/log/proof?attestation={envelope.id}").text)
    verify_proof(proof, entries[-1].leaf, service.world.log_vkey, [service.world.witness_vkey("w1.example")], 1)


def test_an_immutable_answer_has_a_tag_of_its_form_and_is_not_sent_twice(service: Service) -> None:
    _, entries = service.rebuilt()
    path = f"/v1/attestations/{entries[-1].envelope.id}"
    tags = set()
    for accept in ("application/json", "application/vnd.dsse+json", BUNDLE, EVIDENCE):
        first = service.get(path, headers={"Accept": accept})
        assert first.headers["Vary"] == "Accept"
        again = service.get(path, headers={"Accept": accept, "If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        tags.add(first.headers["ETag"])
    assert len(tags) == 4


def test_a_form_that_is_not_offered_is_answered_406(service: Service) -> None:
    _, entries = service.rebuilt()
    answer = service.get(f"/v1/attestations/{entries[0].envelope.id}", headers={"Accept": "image/png"})
    assert (answer.status_code, answer.content_type) == (406, "application/problem+json")


SEARCHES = [
    (f"digest=sha256:{DIGEST}", 2),
    (f"digest=sha256:{sha256(b'other bytes')}", 0),
    ("purl=pkg:pypi/demo@1.0", 1),
    ("purl=pkg:pypi/Demo", 1),
    ("purl=pkg:pypi/dem", 0),
    ("purl=pkg:pypi/demo@1", 0),
    (f"purl=pkg:pypi/demo@1.0?file_name={world.NAME}", 1),
    ("outcome=reproduced", 1),
    ("outcome=differs", 0),
    ("level=bitwise", 1),
    ("operator=https://rebuilds.example", 1),
    ("since=2100-01-01T00:00:00Z", 0),
    ("until=2100-01-01T00:00:00Z", 2),
]


@pytest.mark.parametrize(("query", "count"), SEARCHES, ids=[query for query, _ in SEARCHES])
def test_a_search_finds_by(service: Service, query: str, count: int) -> None:
    service.rebuilt()
    found = service.get(f"/v1/attestations?{query}")
    assert found.status_code == 200, found.text
    assert len(found.json["items"]) == count
    assert found.json["complete_to"] == 2


def test_pages_hold_everything_once_also_while_the_log_grows(service: Service) -> None:
    for _ in range(5):
        service.rebuilt()
    seen: list[int] = []
    cursor, sizes = None, set()
    while True:
        page = service.get("/v1/attestations?limit=3" + (f"&after={cursor}" if cursor else "")).json
        seen += [item["logIndex"] for item in page["items"]]
        sizes.add(page["complete_to"])
        service.rebuilt()
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == list(range(9, -1, -1))
    assert sizes == {10}


def test_complete_to_stops_at_a_gap(service: Service) -> None:
    service.rebuilt()
    service.world.add(service.world.decision())
    service.rebuilt()
    assert service.get("/v1/attestations").json["complete_to"] == 2
    assert len(service.get("/v1/attestations").json["items"]) == 4


def test_an_artifact_shows_what_speaks_against_it_first(service: Service) -> None:
    service.rebuilt()
    service.rebuilt(outcome=Outcome.DIFFERS)
    service.rebuilt(stamped=True)
    known = service.get(f"/v1/artifacts/sha256:{DIGEST}").json
    assert [(item["outcome"], item.get("level")) for item in known["outcomes"]] == [
        ("differs", None),
        ("reproduced", "times-stamped"),
        ("reproduced", "bitwise"),
    ]
    assert known["names"] == [world.NAME]


LOWER: dict[str, Any] = {
    "lower": Level.NORMALIZED,
    "passes": (Pass("wheel-generator", "1"), Pass("wheel-record", "2")),  # type: ignore[arg-type]
    "causes": (CauseHint("build-backend", Certainty.LIKELY, "pin flit_core==3.9.0", "Generator: flit 3.9.0", 2),),  # type: ignore[arg-type]
}
SIGNED = [{"id": "wheel-generator", "version": "1"}, {"id": "wheel-record", "version": "2"}]


def test_a_rebuild_shows_the_passes_and_causes_that_were_signed_and_none_out_of_sql(service: Service) -> None:
    rebuild, _ = service.rebuilt(**LOWER)
    with service.database.write() as conn:
        forged = json.dumps([{"id": "nothing-to-see", "certainty": "proved"}])
        conn.exec_driver_sql("UPDATE rebuild SET causes = ?, level = 'bitwise'", (forged,))
    shown = service.get(f"/v1/rebuilds/{rebuild}").json
    assert (shown["outcome"], shown["level"], shown["passes"]) == ("reproduced", "normalized", SIGNED)
    cause = {"id": "build-backend", "certainty": "likely", "fix": "pin flit_core==3.9.0", "detail": "Generator: flit 3.9.0", "count": 2}
    assert shown["causes"] == [cause]
    jsonschema.validate(shown, dict(shapes.REBUILD))


@pytest.mark.parametrize(("options", "level"), [({}, "bitwise"), ({"stamped": True}, "times-stamped"), ({"lower": Level.CANONICAL}, "canonical")])
def test_no_passes_stand_where_none_were_needed(service: Service, options: dict[str, Any], level: str) -> None:
    rebuild, _ = service.rebuilt(**options)
    shown = service.get(f"/v1/rebuilds/{rebuild}").json
    assert (shown["level"], shown["causes"], "passes" in shown, "unstamped" in shown) == (level, [], False, False)
    assert all("passes" not in item for item in service.get("/v1/attestations").json["items"])


def test_a_search_by_level_finds_it_with_its_passes(service: Service) -> None:
    service.rebuilt(**LOWER)
    service.rebuilt(lower=Level.CANONICAL)
    (item,) = service.get("/v1/attestations?level=normalized").json["items"]
    assert (item["level"], item["passes"]) == ("normalized", SIGNED)
    jsonschema.validate(item, dict(shapes.ATTESTATION))
    known = service.get(f"/v1/artifacts/sha256:{DIGEST}").json["outcomes"]
    assert [(one["level"], one.get("passes")) for one in known] == [("normalized", SIGNED), ("canonical", None)]


def test_an_artifact_that_nobody_asked_about_has_empty_lists(service: Service) -> None:
    assert service.get(f"/v1/artifacts/sha256:{'0' * 64}").json == {
        "sha256": "0" * 64,
        "names": [],
        "outcomes": [],
        "decisions": [],
        "complete_to": 0,
    }


def _unsigned(conn: Any, identifier: str) -> None:
    row = json.loads(conn.exec_driver_sql("SELECT envelope FROM statement WHERE id = ?", (identifier,)).scalar())
    row["signatures"][0]["sig"] = "AAAA"
    conn.exec_driver_sql("UPDATE statement SET envelope = ? WHERE id = ?", (json.dumps(row).encode(), identifier))


def _stranger(conn: Any, identifier: str) -> None:
    other = world.World(seed="fake")
    entry = other.rebuild(outcome=Outcome.DIFFERS)[0][-1]
    conn.exec_driver_sql("UPDATE statement SET envelope = ? WHERE id = ?", (entry.envelope.encode(), identifier))
    conn.exec_driver_sql("UPDATE entry SET leaf = ?, checkpoint = ? WHERE statement_id = ?", (entry.leaf, entry.checkpoint, identifier))


def _moved(conn: Any, identifier: str) -> None:
    conn.exec_driver_sql("UPDATE entry SET log_index = 7 WHERE statement_id = ?", (identifier,))


def _no_entry(conn: Any, identifier: str) -> None:
    conn.exec_driver_sql("DELETE FROM entry WHERE statement_id = ?", (identifier,))


@pytest.mark.parametrize("forge", [_unsigned, _stranger, _moved, _no_entry])
def test_a_row_that_nobody_signed_or_that_is_not_in_the_log_is_never_shown(service: Service, forge: Callable[[Any, str], None]) -> None:
    rebuild, entries = service.rebuilt()
    identifier = entries[-1].envelope.id
    assert service.get(f"/v1/rebuilds/{rebuild}").json["outcome"] == "reproduced"
    with service.database.write() as conn:
        forge(conn, identifier)
    assert service.get(f"/v1/attestations/{identifier}").status_code == 404
    assert identifier not in {item["id"] for item in service.get("/v1/attestations").json["items"]}
    assert service.get(f"/v1/artifacts/sha256:{DIGEST}").json["outcomes"] == []
    shown = service.get(f"/v1/rebuilds/{rebuild}").json
    assert "outcome" not in shown
    assert shown["waiting"]["reason"] == "proof"
    assert service.get(f"/log/proof?attestation={identifier}").status_code == 404
    assert service.get("/log/tile/envelopes/000.p/2").status_code == 404


def test_without_the_check_a_forged_outcome_would_be_shown(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuild, entries = service.rebuilt()
    with service.database.write() as conn:
        _stranger(conn, entries[-1].envelope.id)
    monkeypatch.setattr("service.api.proven.Prover._verify", lambda *_: None)
    assert service.get(f"/v1/rebuilds/{rebuild}").json["outcome"] == "differs"


def test_what_is_shown_is_what_was_signed_and_not_what_a_row_says(service: Service) -> None:
    rebuild, _ = service.rebuilt(outcome=Outcome.DIFFERS)
    with service.database.write() as conn:
        conn.exec_driver_sql("UPDATE statement SET outcome = 'reproduced', level = 'bitwise'")
        conn.exec_driver_sql("UPDATE rebuild SET outcome = 'reproduced', level = 'bitwise', cause_class = NULL")
    shown = service.get(f"/v1/rebuilds/{rebuild}").json
    assert (shown["outcome"], shown.get("level"), shown["cause"]["class"]) == ("differs", None, "payload")
    assert [item["outcome"] for item in service.get("/v1/attestations?outcome=reproduced").json["items"]] == ["differs"]


def test_envelope_bundles_hold_a_line_for_each_leaf_and_withhold_private_ones(service: Service) -> None:
    _, entries = service.rebuilt()
    with service.database.write() as conn:
        conn.exec_driver_sql("UPDATE statement SET visibility = 'private' WHERE id = ?", (entries[0].envelope.id,))
    answer = service.get("/log/tile/envelopes/000.p/2")
    lines = answer.data.splitlines()
    assert json.loads(lines[0]) == {"id": entries[0].envelope.id, "withheld": True}
    assert lines[1] == entries[1].envelope.encode()
    assert service.get(f"/v1/attestations/{entries[0].envelope.id}").status_code == 404
    assert service.get("/log/tile/envelopes/000.p/3").status_code == 404
    assert service.get("/log/tile/envelopes/000").status_code == 404


def test_keys_are_listed_and_served_by_their_digest(service: Service) -> None:
    for role, expected in (("log", 1), ("attester", 1), ("witness", 1), ("worker", 1), ("resolver", 1)):
        items = service.get(f"/keys/{role}").json["items"]
        assert len(items) == expected
        assert service.get(items[0]["href"]).text.startswith("-----BEGIN PUBLIC KEY-----")
    assert service.get("/keys/courier").status_code == 404
    assert service.get(f"/keys/log/{'0' * 64}.pem").status_code == 404


def test_the_trust_file_is_served_as_it_lies_there_with_its_fingerprint(service: Service) -> None:
    answer = service.get("/trust.json")
    assert answer.data == (service.settings.home / "trust.json").read_bytes()
    assert answer.headers["Reprove-Fingerprint"] == f"sha256:{service.world.trust().fingerprint}"


HOSTILE_PATHS = [
    "../../secrets/log.key",
    "..%2f..%2fsecrets/log.key",
    "0/../../../instance",
    "0/x001/067.p/0",
    "0/00",
    "64/000",
    "entries/../000",
    "//etc/passwd",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_no_path_leaves_the_log(service: Service, path: str) -> None:
    answer = service.get(f"/log/tile/{path}")
    assert answer.status_code == 404
    assert answer.json["type"] == "urn:reprove:problem:not-found"


def test_tiles_and_checkpoint_are_the_files_of_the_sequencer(service: Service) -> None:
    folder = service.settings.home / "log"
    (folder / "checkpoint").unlink()
    assert service.get("/log/checkpoint").status_code == 503
    assert service.get("/readyz").json["detail"] == "the log has published no checkpoint yet"
    (folder / "checkpoint").write_text(service.world.note(0))
    assert service.get("/readyz").status_code == 200
    (folder / "tile" / "0").mkdir(parents=True)
    (folder / "tile" / "0" / "000.p").mkdir()
    (folder / "tile" / "0" / "000.p" / "1").write_bytes(b"h" * 32)
    assert service.get("/log/checkpoint").text == service.world.note(0)
    tile = service.get("/log/tile/0/000.p/1")
    assert tile.data == b"h" * 32
    assert "immutable" in tile.headers["Cache-Control"]
