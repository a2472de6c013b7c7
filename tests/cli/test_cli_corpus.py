"""A corpus run: it sees three members of each row, loses nothing, and counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprove.cli.corpus import backend_of, read_corpus
from tests.cli.conftest import Fake, Ran, Reply, done

Run = Callable[..., Ran]
WHEELS = Path(__file__).parent.parent / "corpus" / "pypi-wheels.json"


def corpus(tmp_path: Path, count: int) -> Path:
    rows = [{"project": f"p{at}", "version": "1.0", "wheel": f"p{at}-1.0-py3-none-any.whl", "recipe_that_worked": "secret"} for at in range(count)]
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def service(fake: Fake) -> Fake:
    """Each purl is its own rebuild; every third differs."""

    def post(seen: Any) -> Reply:
        name = seen.body["purl"].split("/")[1].split("@")[0]
        identifier = f"rb-{name}"
        number = int(name[1:])
        events = [
            {"n": 1, "phase": "recipe", "status": "done", "detail": "flit_core==3.9.0 on Python 3.11", "seconds": 0.1},
            {"n": 2, "phase": "build", "status": "failed", "detail": "", "seconds": 1.0},
            {"n": 3, "phase": "build", "status": "done", "detail": "", "seconds": 2.0},
        ]
        times = {"created": "2026-11-24T12:00:00Z", "finished": "2026-11-24T12:00:05Z", "id": identifier}
        fake.scripts[f"GET /v1/rebuilds/{identifier}"] = Reply({"id": identifier, **done("differs" if number % 3 == 0 else "reproduced"), **times})
        fake.scripts[f"GET /v1/rebuilds/{identifier}/events"] = Reply({"items": events, "next": None})
        return Reply({"rebuild": identifier}, 202)

    fake.scripts["POST /v1/requests"] = post
    return fake


def test_the_corpus_of_68_pure_wheels_is_read() -> None:
    assert len(read_corpus(WHEELS)) == 68
    assert all(set(row) == {"project", "version", "wheel", "kind"} for row in json.loads(WHEELS.read_text()))


def test_each_wheel_gets_a_row_with_outcome_and_seconds_by_phase(service: Fake, run: Run, tmp_path: Path) -> None:
    path = corpus(tmp_path, 6)
    ran = run("corpus", "run", str(path), "--workers", "3")
    assert ran.code == 0
    rows = json.loads((tmp_path / "corpus.results.json").read_text())["wheels"]
    assert len(rows) == 6
    assert all(row["seconds"] == {"recipe": 0.1, "build": 3.0} for row in rows)
    assert {(row["backend"], row["total"]) for row in rows} == {("flit-core", 5.0)}
    assert sum(row.get("level") == "bitwise" for row in rows) == 4
    assert "flit-core" in ran.out
    assert "differs: payload" in ran.out
    assert {body["purl"] for body in service.posted("/v1/requests")} == {
        f"pkg:pypi/p{at}@1.0?file_name=p{at}-1.0-py3-none-any.whl" for at in range(6)
    }
    assert "secret" not in json.dumps([seen.body for seen in service.seen])


def test_a_run_goes_on_where_it_stopped(service: Fake, run: Run, tmp_path: Path) -> None:
    path = corpus(tmp_path, 4)
    out = tmp_path / "out.json"
    assert run("corpus", "run", str(path), "--out", str(out)).code == 0
    document = json.loads(out.read_text())
    document["wheels"] = document["wheels"][:2] + [{**document["wheels"][2], "state": "posted"}]
    posted = document["wheels"][2]["rebuild"]
    out.write_text(json.dumps(document))
    service.seen.clear()
    assert run("corpus", "run", str(path), "--out", str(out)).code == 2, "an existing file is not overwritten"
    assert run("corpus", "run", str(path), "--out", str(out), "--resume").code == 0
    assert len(service.posted("/v1/requests")) == 1, "the one that was posted is followed, not posted again"
    assert any(seen.path == f"/v1/rebuilds/{posted}" for seen in service.seen)
    assert len(json.loads(out.read_text())["wheels"]) == 4


def test_a_service_that_goes_away_fails_rows_and_not_the_run(service: Fake, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service.scripts["POST /v1/requests"] = Reply(b"nonsense")
    ran = run("corpus", "run", str(corpus(tmp_path, 2)), "--json")
    assert ran.code == 4
    assert [row["state"] for row in ran.json["wheels"]] == ["failed", "failed"]


BAD = [
    b"{}",
    b"[1]",
    b'[{"project": "a"}]',
    b'[{"project": "a", "version": "1", "wheel": "../x"}]',
    b"[",
    b'[{"project": "", "version": "1", "wheel": "x.whl"}]',
]


@pytest.mark.parametrize("data", BAD)
def test_a_bad_list_is_refused_before_anything_is_posted(service: Fake, run: Run, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "corpus.json"
    path.write_bytes(data)
    assert run("corpus", "run", str(path)).code == 2
    assert service.seen == []


PINS = [
    ("wheel==0.32.3, setuptools==40.6.2 on Python 3.9", "setuptools"),
    ("flit_core==3.9.0 on Python 3.11", "flit-core"),
    ("wheel==0.32.3 on Python 3.9", "wheel"),
    ("no pins on Python 3.11", "unknown"),
    ("", "unknown"),
]


@pytest.mark.parametrize(("recipe", "backend"), PINS)
def test_the_backend_is_read_off_the_pins(recipe: str, backend: str) -> None:
    assert backend_of(recipe) == backend
