"""What our own functions make: stock verifiers accept it offline and reject each of the usual attacks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprove.core import merkle, sigstore, tiles
from reprove.core.checkpoints import parse_checkpoint
from reprove.core.evidence import LoggedEnvelope
from reprove.core.notes import parse_note
from reprove.core.statements.common import PredicateType
from reprove.signers import sign_statement
from tests.core.world import FILE, NAME, World
from tests.interop.stock import BUNDLE_TOOLS, demand, fsck, verify_bundle

pytestmark = pytest.mark.slow


class Material:
    """A world's files on disk, as an auditor would download them."""

    def __init__(self, folder: Path, filler: int = 300) -> None:
        self.folder = folder
        self.world = World(witnesses=("w1.example", "w2.example"))
        entries, _, _ = self.world.rebuild(filler=filler)
        self.provenance, self.comparison = entries
        self.file = folder / NAME
        self.file.write_bytes(FILE)
        self.key = folder / "attester.pem"
        self.key.write_text(self.world.key("attester").public_key.pem)
        self.root = folder / "trusted_root.json"
        self.root.write_text(json.dumps(sigstore.trusted_root(self.world.log_vkey, f"https://{self.world.origin}", "2026-01-01T00:00:00Z")))

    def bundle(self, entry: LoggedEnvelope, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
        head = parse_checkpoint(parse_note(entry.checkpoint).text)
        signer = self.world.key("attester").public_key
        document = sigstore.bundle(
            entry.envelope, signer, entry.index, entry.proof, head.size, head.root, entry.checkpoint, entry.leaf, log_vkey=self.world.log_vkey
        )
        change(document)
        path = self.folder / "bundle.json"
        path.write_text(json.dumps(document))
        return path

    def ask(self, tool: str, bundle: Path, **other: Any) -> Any:
        parts = {"root": self.root, "key": self.key, "file": self.file, "kind": str(PredicateType.COMPARISON), **other}
        return verify_bundle(tool, self.folder, bundle=bundle, **parts)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    return Material(tmp_path)


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
def test_comparison_and_provenance_are_accepted(tool: str, material: Material) -> None:
    demand(tool)
    for entry, kind in ((material.comparison, str(PredicateType.COMPARISON)), (material.provenance, "slsaprovenance1")):
        answer = material.ask(tool, material.bundle(entry), kind=kind)
        assert answer.accepted, answer.said


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
def test_the_only_entry_of_a_log_is_accepted(tool: str, tmp_path: Path) -> None:
    demand(tool)
    material = Material(tmp_path, filler=0)
    material.world.leaves.clear()
    alone = material.world.rebuild(attempted=False)[0][0]
    assert alone.proof == ()
    answer = material.ask(tool, material.bundle(alone))
    assert answer.accepted, answer.said


def tampered_payload(material: Material, document: dict[str, Any]) -> None:
    payload = material.comparison.envelope.payload.replace(b"bookworm", b"bullseye")
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


def signed_by_a_stranger(material: Material, document: dict[str, Any]) -> None:
    document["dsseEnvelope"] = sign_statement(World(seed="fake").key("attester"), material.comparison.envelope.payload).as_json()


def entry_of_the_other_statement(material: Material, document: dict[str, Any]) -> None:
    other = json.loads(material.bundle(material.provenance).read_text())
    document["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]


def proof_of_another_leaf(material: Material, document: dict[str, Any]) -> None:
    hashes = merkle.inclusion_path(material.world.reader, 2, len(material.world.leaves))
    document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"] = [base64.b64encode(one).decode() for one in hashes]


def checkpoint_of_a_fork(material: Material, document: dict[str, Any]) -> None:
    fork = World(seed="fake", witnesses=())
    fork.leaves = list(material.world.leaves)
    document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]["envelope"] = fork.note()


def no_entry(_: Material, document: dict[str, Any]) -> None:
    document["verificationMaterial"]["tlogEntries"] = []


ATTACKS = [tampered_payload, signed_by_a_stranger, entry_of_the_other_statement, proof_of_another_leaf, checkpoint_of_a_fork, no_entry]


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__.replace("_", "-"))
def test_attacks_are_rejected(tool: str, attack: Callable[[Material, dict[str, Any]], None], material: Material) -> None:
    demand(tool)
    answer = material.ask(tool, material.bundle(material.comparison, lambda document: attack(material, document)))
    assert not answer.accepted


@pytest.mark.parametrize("tool", BUNDLE_TOOLS)
def test_another_file_another_key_and_another_log_are_rejected(tool: str, material: Material, tmp_path: Path) -> None:
    demand(tool)
    bundle = material.bundle(material.comparison)
    file, key, root = tmp_path / "other.whl", tmp_path / "other.pem", tmp_path / "other.json"
    file.write_bytes(b"another file")
    fake = World(seed="fake")
    key.write_text(fake.key("attester").public_key.pem)
    root.write_text(json.dumps(sigstore.trusted_root(fake.log_vkey, f"https://{fake.origin}", "2026-01-01T00:00:00Z")))
    for other in ({"file": file}, {"key": key}, {"root": root}):
        assert not material.ask(tool, bundle, **other).accepted, other


@pytest.mark.parametrize("size", [1, 256, 257, 600])
def test_fsck_reads_a_log_that_our_functions_wrote(size: int, tmp_path: Path) -> None:
    demand("fsck")
    world = World()
    world.leaves = [b"entry %d" % number for number in range(size)]
    log = write_log(world, tmp_path / "log")
    answer = fsck(tmp_path, log, str(world.log_vkey))
    assert answer.accepted, answer.said
    tile = log / tiles.tile_path(0, 0, tiles.tile_width(0, 0, size))
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    assert not fsck(tmp_path, log, str(world.log_vkey)).accepted


def write_log(world: World, folder: Path) -> Path:
    """Write checkpoint, tiles and entry bundles as a static log serves them."""
    size = len(world.leaves)
    row = [merkle.leaf_hash(entry) for entry in world.leaves]
    level = 0
    while row:
        for n in range(-(-len(row) // 256)):
            put(folder / tiles.tile_path(level, n, tiles.tile_width(level, n, size)), b"".join(row[256 * n : 256 * n + 256]))
        row = [root_of(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
        level += 1
    for n in range(-(-size // 256)):
        entries = world.leaves[256 * n : 256 * n + 256]
        put(folder / tiles.entries_path(n, len(entries)), tiles.encode_bundle(entries))
    put(folder / "checkpoint", world.note().encode())
    return folder


def root_of(hashes: list[bytes]) -> bytes:
    tree = merkle.Compact()
    for one in hashes:
        tree.append(one)
    return tree.root()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
