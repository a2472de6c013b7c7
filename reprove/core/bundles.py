"""Sigstore bundles v0.3 read and verified by us: a bare P-256 key, a hashedrekord 0.0.2 entry, a log of a trusted root.

Stricter than stock readers where they disagree: ``rootHash`` must be the checkpoint's and the outer ``logIndex`` the proof's.
Certificates and RFC 3161 tokens are answered ``unsupported-material``.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from reprove.core import dsse, keys, leaf, merkle
from reprove.core.canonical import parse
from reprove.core.checkpoints import open_checkpoint
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, Slug, VerificationError, VerificationReason
from reprove.core.keys import PublicKey
from reprove.core.notes import ED25519, VKey

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRUSTED_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
MAX_BUNDLE_BYTES = 24 * 1024 * 1024
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as parsed; nothing verified. ``outer_index`` stands beside the proof and must equal ``index``."""

    envelope: Envelope
    log_id: bytes
    outer_index: int
    index: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str
    body: bytes


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The Ed25519 logs of a trusted root; its certificate and timestamp authorities are not read."""

    logs: tuple[VKey, ...]


def read_bundle(data: bytes | str) -> Bundle:
    """Read a bundle. Raises VerificationError: ``unsupported-material``, or ``malformed`` for every unknown or missing member."""
    try:
        return _bundle(parse(data, max_bytes=MAX_BUNDLE_BYTES, what="the bundle"))
    except ProblemError as error:
        raise VerificationError(VerificationReason.MALFORMED, error.problem.detail) from None


def read_trusted_root(data: bytes | str) -> TrustedRoot:
    """Read a trusted root; logs with other keys than Ed25519 are skipped. ProblemError when it is none."""
    document = parse(data, max_bytes=MAX_BUNDLE_BYTES, what="the trusted root")
    if not isinstance(document, dict) or document.get("mediaType") != TRUSTED_ROOT_TYPE or not isinstance(document.get("tlogs"), list):
        raise _malformed(f"is not a trusted root ({TRUSTED_ROOT_TYPE})")
    return TrustedRoot(tuple(vkey for vkey in map(_log, document["tlogs"]) if vkey is not None))


def verify_bundle(bundle: Bundle, root: TrustedRoot, key: PublicKey, *, subject_sha256: str | None = None) -> Envelope:
    """Check signature, entry, checkpoint and inclusion against the reader's key and logs, and return the verified envelope.

    With ``subject_sha256``, a subject of the statement must have that digest. Raises only VerificationError.
    """
    if not bundle.envelope.signed_by((key,)) or len(bundle.envelope.signatures) != 1:
        raise VerificationError(VerificationReason.SIGNATURE, "the envelope is not signed once, by the expected key")
    try:
        body = leaf.parse_leaf(bundle.body)
    except ProblemError as error:
        raise VerificationError(VerificationReason.MALFORMED, error.problem.detail) from None
    if not body.binds(bundle.envelope) or body.key != key:
        raise VerificationError(VerificationReason.INCLUSION, "the log entry is of another envelope or key")
    vkey = next((one for one in root.logs if one.log_id == bundle.log_id), None)
    if vkey is None:
        raise VerificationError(VerificationReason.UNTRUSTED_KEYS, "the bundle's log is not in the trusted root")
    checkpoint = open_checkpoint(bundle.checkpoint, vkey).checkpoint
    if (bundle.root, bundle.size) != (checkpoint.root, checkpoint.size) or bundle.outer_index != bundle.index:
        raise VerificationError(VerificationReason.INCLUSION, "rootHash, treeSize or logIndex is not that of checkpoint and proof")
    merkle.verify_inclusion(merkle.leaf_hash(bundle.body), bundle.index, bundle.size, bundle.hashes, bundle.root)
    if subject_sha256 is not None and subject_sha256 not in _subjects(bundle.envelope):
        raise VerificationError(VerificationReason.SUBJECT, "the statement is about another file")
    return bundle.envelope


def _bundle(document: object) -> Bundle:
    top = _object(document, "mediaType", "verificationMaterial", "dsseEnvelope")
    if top["mediaType"] != BUNDLE_TYPE:
        raise _malformed(f"is not of type {BUNDLE_TYPE}")
    material = top["verificationMaterial"]
    if isinstance(material, dict) and material.keys() & {"certificate", "x509CertificateChain", "timestampVerificationData"}:
        raise VerificationError(VerificationReason.UNSUPPORTED, "unsupported material: certificates and timestamp tokens are not read yet")
    members = _object(material, "publicKey", "tlogEntries")
    _text(_object(members["publicKey"], "hint")["hint"])
    if not isinstance(members["tlogEntries"], list) or len(members["tlogEntries"]) != 1:
        raise VerificationError(VerificationReason.INCLUSION, "the bundle has not exactly one log entry")
    entry = members["tlogEntries"][0]
    if isinstance(entry, dict) and "inclusionProof" not in entry:
        raise VerificationError(VerificationReason.INCLUSION, "the bundle has no inclusion proof")
    row = _object(entry, "logIndex", "logId", "kindVersion", "inclusionProof", "canonicalizedBody")
    if row["kindVersion"] != {"kind": "hashedrekord", "version": "0.0.2"}:
        raise VerificationError(VerificationReason.UNSUPPORTED, "unsupported material: the log entry is not hashedrekord 0.0.2")
    proof = _object(row["inclusionProof"], "logIndex", "rootHash", "treeSize", "hashes", "checkpoint")
    if not isinstance(proof["hashes"], list) or len(proof["hashes"]) > merkle.MAX_PROOF_HASHES:
        raise _malformed("has a proof that is not a list of at most 63 hashes")
    return Bundle(
        dsse.from_json(top["dsseEnvelope"]),
        _bytes(_object(row["logId"], "keyId")["keyId"]),
        _number(row["logIndex"]),
        _number(proof["logIndex"]),
        _number(proof["treeSize"]),
        _bytes(proof["rootHash"]),
        tuple(_bytes(one) for one in proof["hashes"]),
        _text(_object(proof["checkpoint"], "envelope")["envelope"]),
        _bytes(row["canonicalizedBody"]),
    )


def _log(row: object) -> VKey | None:
    """Turn a log of a trusted root into its verifier key: named by the host of ``baseUrl``, the id recomputed."""
    if not isinstance(row, dict) or not isinstance(row.get("publicKey"), dict) or row["publicKey"].get("keyDetails") != "PKIX_ED25519":
        return None
    key = keys.from_base64(_text(row["publicKey"].get("rawBytes")))
    host = _text(row.get("baseUrl")).partition("://")[2].partition("/")[0]
    vkey = VKey(host, ED25519, key)
    if not key.is_ed25519 or _object(row.get("logId"), "keyId")["keyId"] != base64.b64encode(vkey.log_id).decode():
        raise _malformed("names a log whose id does not fit its key and the host of its baseUrl")
    return vkey


def _subjects(envelope: Envelope) -> set[object]:
    try:
        statement = parse(envelope.payload, max_bytes=dsse.MAX_ENVELOPE_BYTES, what="the statement")
        return {row["digest"]["sha256"] for row in statement["subject"]}
    except (ProblemError, KeyError, TypeError):
        raise VerificationError(VerificationReason.MALFORMED, "the payload is not a statement whose subjects have sha256") from None


def _object(value: object, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise _malformed(f"has an object without exactly the members {', '.join(names)}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _malformed("lacks a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or int(value) > merkle.MAX_SIZE:
        raise _malformed("has a number that is not canonical decimal text below 2^63")
    return int(value)


def _bytes(value: object) -> bytes:
    text = _text(value)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("has invalid base64") from None
    if base64.b64encode(data).decode() != text:
        raise _malformed("has base64 that is not canonical")
    return data


def _malformed(what: str) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, f"the document {what}")
