"""Statements: every vector reads back to its bytes, the published schemas say what the code says, nothing half-right is read."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprove.core import dsse, keys
from reprove.core.canonical import canonical
from reprove.core.errors import ProblemError
from reprove.core.outcomes import Outcome
from reprove.core.statements import comparison, decision, report, resolution
from reprove.core.statements.common import PredicateType, Statement, decode

FORMATS = Path(__file__).parent.parent.parent / "docs" / "formats"
NAMES = sorted(path.name.removesuffix(".statement.json") for path in (FORMATS / "vectors").glob("*.statement.json"))
READERS: dict[PredicateType, Callable[[Statement], Any]] = {
    PredicateType.COMPARISON: comparison.read,
    PredicateType.REPORT: report.read,
    PredicateType.RESOLUTION: resolution.read,
    PredicateType.DECISION: decision.read,
}


def payload(name: str) -> bytes:
    return (FORMATS / "vectors" / f"{name}.statement.json").read_bytes()


def document(name: str) -> dict[str, Any]:
    return json.loads(payload(name))  # type: ignore[no-any-return]


def schema_of(value: dict[str, Any]) -> dict[str, Any] | None:
    parts = value["predicateType"].split(":")
    path = FORMATS / f"{parts[3]}.schema.json" if parts[0] == "urn" else None
    return json.loads(path.read_text()) if path else None


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("formats_generate", FORMATS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_schemas_and_vectors_are_what_the_code_makes(generator: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().out


def test_there_is_a_vector_for_every_outcome_of_a_comparison_that_ends_differently() -> None:
    outcomes = {document(name)["predicate"]["outcome"] for name in NAMES if name.startswith("comparison-")}
    assert {"reproduced", "differs", "build-failed", "input-unavailable", "inconclusive"} <= outcomes


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_reads_back_to_its_bytes_and_its_envelope_to_its_id(name: str) -> None:
    statement = decode(payload(name))
    assert statement.encode() == payload(name)
    if statement.predicate_type in READERS:
        READERS[statement.predicate_type](statement)
    envelope = dsse.decode((FORMATS / "vectors" / f"{name}.dsse.json").read_bytes())
    manifest = json.loads((FORMATS / "vectors" / "manifest.json").read_text())
    assert (envelope.payload, envelope.id) == (payload(name), manifest[name]["id"])
    assert envelope.signed_by([keys.from_pem((FORMATS / "vectors" / "test-key.pem").read_text())])


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_valid_by_the_published_schema(name: str) -> None:
    value = document(name)
    schema = schema_of(value)
    if schema is not None:
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(value)


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*here, index))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.copy(value)
    result[path[0]] = replaced(value[path[0]], path[1:], new)
    return result


OWN = [name for name in NAMES if not name.startswith("provenance-")]
ODD = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**53 - 1,
    "",
    "x",
    "A" * 64,
    "a" * 64,
    [],
    {},
    [1],
    {"sha256": "x"},
    "2026-02-30T00:00:00Z",
    "reproduced",
    "\u0000",
]


@given(st.sampled_from(OWN), st.data())
def test_code_and_schema_agree_on_every_mutation_of_one_member(name: str, data: st.DataObject) -> None:
    """Where the schema refuses, the code refuses. The code knows more: rules between members, dates that do not exist, whole purls."""
    value = document(name)
    path = data.draw(st.sampled_from([each for each in paths(value) if each]))
    mutated = replaced(value, path, data.draw(st.sampled_from(ODD)))
    schema = schema_of(value)
    assert schema is not None
    try:
        body = canonical(mutated)
    except ValueError:
        return
    try:
        decode(body)
        accepted = True
    except ProblemError:
        accepted = False
    if accepted:
        assert jsonschema.Draft202012Validator(schema).is_valid(mutated), (path, mutated)


@given(st.sampled_from(OWN), st.data())
def test_a_required_member_that_is_missing_is_refused(name: str, data: st.DataObject) -> None:
    value = document(name)
    schema = schema_of(value)
    assert schema is not None
    member = data.draw(st.sampled_from(schema["properties"]["predicate"]["required"]))
    del value["predicate"][member]
    with pytest.raises(ProblemError) as caught:
        decode(canonical(value))
    assert caught.value.problem.pointer == f"/predicate/{member}"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(list(PredicateType)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["_type", "subject", "predicate", "predicateType", "name", "digest", "sha256"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON_VALUES | st.binary(max_size=60))
def test_any_value_is_a_statement_or_a_problem(value: Any) -> None:
    data = value if isinstance(value, bytes) else canonical(value)
    try:
        decode(data)
    except ProblemError:
        return


@given(st.sampled_from(NAMES), st.data())
def test_a_flipped_byte_is_refused_or_reads_back_to_itself(name: str, data: st.DataObject) -> None:
    body = bytearray(payload(name))
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        statement = decode(bytes(body))
        READERS.get(statement.predicate_type, lambda _: None)(statement)
    except ProblemError:
        return
    assert statement.encode() == bytes(body)


ORIGINAL = json.loads((FORMATS / "vectors" / "comparison-reproduced-bitwise.statement.json").read_bytes())["predicate"]["original"]["sha256"]
WRONG = [
    ("not canonical", lambda value: json.dumps(value, indent=1).encode()),
    ("another statement type", lambda value: canonical({**value, "_type": "https://in-toto.io/Statement/v0.1"})),
    ("an unknown predicate type", lambda value: canonical({**value, "predicateType": "urn:reprove:predicate:comparison:v9"})),
    ("an unknown top member", lambda value: canonical({**value, "extra": 1})),
    ("no subject", lambda value: canonical({**value, "subject": []})),
    ("too many subjects", lambda value: canonical({**value, "subject": value["subject"] * 257})),
    ("a subject with a uri", lambda value: canonical({**value, "subject": [{**value["subject"][0], "uri": "x"}]})),
    ("a subject without sha256", lambda value: canonical({**value, "subject": [{"name": "x", "digest": {"sha512": "a" * 128}}]})),
    ("a subject with another digest", lambda value: canonical({**value, "subject": [{"name": "x", "digest": {"sha256": "a" * 64, "md5": "x"}}]})),
    ("a subject with upper-case hex", lambda value: canonical({**value, "subject": [{"name": "x", "digest": {"sha256": "A" * 64}}]})),
    ("a subject without a name", lambda value: canonical({**value, "subject": [{"name": "", "digest": {"sha256": "a" * 64}}]})),
    ("a subject whose name has a newline", lambda value: canonical({**value, "subject": [{"name": "a\nb", "digest": {"sha256": "a" * 64}}]})),
]


@pytest.mark.parametrize(("_name", "change"), WRONG, ids=[name for name, _ in WRONG])
def test_a_wrong_statement_is_refused(_name: str, change: Callable[[dict[str, Any]], bytes]) -> None:
    with pytest.raises(ProblemError):
        decode(change(document("comparison-differs")))


CAUSE = {"id": "umask", "certainty": "proved", "fix": "umask 022", "detail": "0664, 0644", "count": 3}
PASS = {"id": "wheel-generator", "version": "1"}
CROSS = [
    ("normalized without a pass", "report-normalized", ("passes",), []),
    ("semantic without a pass", "comparison-reproduced-normalized", ("passes",), []),
    ("a pass at canonical", "report-canonical", ("passes",), [PASS]),
    ("a pass at times-stamped", "report-times-stamped", ("passes",), [PASS]),
    ("a pass at bitwise", "comparison-reproduced-bitwise", ("passes",), [PASS]),
    ("a pass with differs", "comparison-differs", ("passes",), [PASS]),
    ("no passes where none belong", "comparison-reproduced-bitwise", ("passes",), []),
    ("a pass named twice", "report-normalized", ("passes",), [PASS, {**PASS, "version": "2"}]),
    ("a pass of version 0", "report-normalized", ("passes",), [{**PASS, "version": "0"}]),
    ("a pass whose version is a number", "report-normalized", ("passes",), [{**PASS, "version": 1}]),
    ("a pass of a version in words", "report-normalized", ("passes",), [{**PASS, "version": "one"}]),
    ("a pass without a version", "report-normalized", ("passes",), [{"id": "wheel-generator"}]),
    ("a pass named like a terminal command", "report-normalized", ("passes",), [{**PASS, "id": "\u001b[2Jnone"}]),
    ("a pass without a name", "report-normalized", ("passes",), [{**PASS, "id": ""}]),
    ("a pass whose name is a novel", "report-normalized", ("passes",), [{**PASS, "id": "a" * 81}]),
    ("stamps at canonical", "report-canonical", ("stamps",), [{"member": "x", "offset": 1, "old": "00000000", "new": "00000001"}]),
    ("stamps at normalized", "report-normalized", ("stamps",), [{"member": "x", "offset": 1, "old": "00000000", "new": "00000001"}]),
    ("canonical of the same bytes", "comparison-reproduced-canonical", ("rebuilt", "sha256"), ORIGINAL),
    ("normalized of the same bytes", "comparison-reproduced-normalized", ("rebuilt", "sha256"), ORIGINAL),
    ("times-stamped of the same bytes", "comparison-reproduced-times-stamped", ("rebuilt", "sha256"), ORIGINAL),
    ("canonical of an ambiguous archive", "report-canonical", ("findings",), [{"code": "ambiguous-archive"}]),
    ("canonical of a false manifest", "comparison-reproduced-canonical", ("findings",), [{"code": "false-manifest"}]),
    ("normalized of a false manifest", "report-normalized", ("findings",), [{"code": "false-manifest"}]),
    ("a reason against stamps that were applied", "report-times-stamped", ("unstamped",), "RECORD: outside the window"),
    ("a reason against stamps at bitwise", "comparison-reproduced-bitwise", ("unstamped",), "RECORD: outside the window"),
    ("a reason against stamps with differs", "comparison-differs", ("unstamped",), "RECORD: outside the window"),
    ("causes at bitwise", "report-bitwise", ("causes",), [CAUSE]),
    ("causes of a build that failed", "report-build-failed", ("causes",), [CAUSE]),
    ("more causes than anybody reads", "report-differs", ("causes",), [CAUSE] * 21),
    ("causes of the same bytes", "comparison-reproduced-bitwise", ("causes",), [CAUSE]),
    ("causes of bytes that nobody made", "comparison-input-unavailable", ("causes",), [CAUSE]),
    ("more causes than anybody reads, signed", "comparison-reproduced-canonical", ("causes",), [CAUSE] * 21),
    ("a cause of unknown certainty", "report-differs", ("causes",), [{**CAUSE, "certainty": "sure"}]),
    ("a cause named like a terminal command", "report-differs", ("causes",), [{**CAUSE, "id": "\u001b[2J"}]),
    ("a cause that explains less than nothing", "report-differs", ("causes",), [{**CAUSE, "count": -1}]),
    ("a level with differs", "comparison-differs", ("level",), "bitwise"),
    ("a cause of another outcome", "comparison-differs", ("cause", "class"), "backend-failed"),
    ("a cause class that does not exist", "comparison-differs", ("cause", "class"), "cosmic-ray"),
    ("bitwise with another rebuilt digest", "comparison-reproduced-bitwise", ("rebuilt", "sha256"), "b" * 64),
    ("reproduced without a level", "comparison-reproduced-bitwise", ("level",), "nothing"),
    ("stamps that overlap", "report-times-stamped", ("stamps", 1, "offset"), 912),
    ("a stamp of three bytes", "report-times-stamped", ("stamps", 1, "new"), "010203"),
    ("no stamps", "report-times-stamped", ("stamps",), []),
    ("finished before started", "report-bitwise", ("finished",), "2020-01-01T00:00:00Z"),
    ("a date that does not exist", "report-bitwise", ("finished",), "2026-13-01T00:00:00Z"),
    ("a float among sandbox facts", "report-bitwise", ("sandbox", "pids"), 0.5),
    ("a boolean as a size", "report-bitwise", ("original", "size"), True),
    ("a negative size", "report-bitwise", ("original", "size"), -1),
    ("an unknown finding", "report-differs", ("findings", 0, "code"), "looks-fine"),
    ("a purl without its file", "comparison-differs", ("original", "purl"), "pkg:pypi/demo@1.0"),
    ("a resolution that settles differs", "resolution-input-unavailable", ("outcome",), "differs"),
    ("allow over a denied artifact", "decision-deny", ("verdict",), "allow"),
    ("deny over allowed artifacts", "decision-allow", ("verdict",), "deny"),
    ("a signed pending", "decision-deny", ("verdict",), "pending"),
]


@pytest.mark.parametrize(("_name", "vector", "path", "new"), CROSS, ids=[row[0] for row in CROSS])
def test_members_that_contradict_each_other_are_refused(_name: str, vector: str, path: tuple[Any, ...], new: Any) -> None:
    value = document(vector)
    if len(path) == 1:
        value["predicate"] = {**value["predicate"], path[0]: new}
    else:
        value = replaced(value, ("predicate", *path), new)
    with pytest.raises(ProblemError):
        decode(canonical(value))


ACCEPTED = [
    ("twenty causes", "report-differs", ("causes",), [CAUSE] * 20),
    ("causes at canonical", "report-canonical", ("causes",), [CAUSE]),
    ("a cause with nothing but its name", "report-normalized", ("causes",), [{"id": "umask", "certainty": "likely"}]),
    ("a reason against stamps at normalized", "report-normalized", ("unstamped",), "RECORD: outside the window"),
    ("two passes", "report-normalized", ("passes",), [PASS, {"id": "elf-build-id", "version": "3"}]),
    ("canonical of a yanked file", "comparison-reproduced-canonical", ("findings",), [{"code": "yanked"}]),
    ("bitwise of a false manifest", "comparison-reproduced-bitwise", ("findings",), [{"code": "false-manifest"}]),
    ("times-stamped of a false manifest", "comparison-reproduced-times-stamped", ("findings",), [{"code": "false-manifest"}]),
    ("semantic with passes", "comparison-reproduced-normalized", ("level",), "semantic"),
]


@pytest.mark.parametrize(("_name", "vector", "path", "new"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_what_belongs_together_is_read(_name: str, vector: str, path: tuple[Any, ...], new: Any) -> None:
    value = document(vector)
    value["predicate"] = {**value["predicate"], path[0]: new}
    READERS[decode(canonical(value)).predicate_type](decode(canonical(value)))
    jsonschema.Draft202012Validator(schema_of(value) or {}).validate(value)


@pytest.mark.parametrize("row", [row for row in CROSS if row[2] == ("passes",)], ids=lambda row: row[0])
def test_the_schema_knows_where_passes_belong_but_for_their_names_being_distinct(row: tuple[str, str, tuple[Any, ...], Any]) -> None:
    name, vector, path, new = row
    value = document(vector)
    value["predicate"] = {**value["predicate"], path[0]: new}
    assert jsonschema.Draft202012Validator(schema_of(value) or {}).is_valid(value) == (name == "a pass named twice")


def test_more_than_two_stamps_of_a_member_and_more_than_three_values_are_refused() -> None:
    value = document("report-times-stamped")
    stamp = value["predicate"]["stamps"][0]
    value["predicate"]["stamps"] = [{**stamp, "offset": 10 * number} for number in range(3)]
    with pytest.raises(ProblemError, match="more than two"):
        decode(canonical(value))
    value["predicate"]["stamps"] = [{**stamp, "member": str(number), "offset": 10 * number, "new": f"0000000{number}"} for number in range(4)]
    with pytest.raises(ProblemError, match="more than three"):
        decode(canonical(value))


@pytest.mark.parametrize("name", ["comparison-differs", "report-differs", "resolution", "decision-allow"])
def test_the_subject_is_what_the_predicate_is_about(name: str) -> None:
    value = document(name)
    value["subject"][0]["digest"]["sha256"] = "c" * 64
    statement = decode(canonical(value))
    with pytest.raises(ProblemError, match="subject"):
        READERS[statement.predicate_type](statement)


def test_a_reader_refuses_another_predicate() -> None:
    with pytest.raises(ProblemError, match="not a"):
        report.read(decode(payload("comparison-differs")))


def test_unknown_members_are_ignored_and_never_become_a_claim() -> None:
    value = document("comparison-differs")
    value["predicate"]["comment"] = "trust me"
    read = comparison.read(decode(canonical(value)))
    assert read == comparison.read(decode(payload("comparison-differs")))
    assert read.outcome is Outcome.DIFFERS


def test_a_comparison_says_who_claims_what() -> None:
    """The table of docs/formats/comparison.md, by vector."""
    bitwise = document("comparison-reproduced-bitwise")["predicate"]["claimedBy"]
    assert (bitwise["outcome"], bitwise["level"], bitwise["rebuilt"], bitwise["recipe"], bitwise["source"]) == (
        "attester",
        "attester",
        "attester",
        "worker",
        "resolver",
    )
    assert document("comparison-differs")["predicate"]["claimedBy"]["outcome"] == "worker"
    masked = document("comparison-reproduced-normalized")["predicate"]["claimedBy"]
    assert [masked[name] for name in ("outcome", "level", "passes", "causes", "differences", "rebuilt")] == ["worker"] * 5 + ["attester"]
    assert document("comparison-reproduced-canonical")["predicate"]["claimedBy"]["level"] == "worker"
    assert document("comparison-reproduced-times-stamped")["predicate"]["claimedBy"]["level"] == "attester"
    assert document("comparison-input-unavailable")["predicate"]["claimedBy"]["outcome"] == "resolver"
    assert document("comparison-inconclusive")["predicate"]["claimedBy"]["outcome"] == "attester"
