#!/usr/bin/env python3
# ruff: noqa: ANN001, ANN002, ANN201, D101, D103, FURB161, FURB162, ICN001, N818, PTH123, T201, UP017  # one short script for Python 3.9, not a module of ours
"""Verify a file against Reprove evidence, offline, with nothing but Python 3.9+ and the package "cryptography".

    python3 reprove_verify.py FILE --evidence EVIDENCE --trust TRUST [--level LEVEL] [--any-outcome]

Written apart from the library so that the two check each other; one table of cases tests both. Exit codes: 0 verified, 2 usage,
4 unreadable input, 10 another file, 11 signature, 12 inclusion, 13 checkpoint or witness, 14 keys that you have not chosen, 15 malformed,
16 outcome or level below what was asked, 17 no evidence. What is believed comes from TRUST alone; keys inside the evidence are hints.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

SUBJECT, SIGNATURE, INCLUSION, CHECKPOINT, UNTRUSTED, MALFORMED, OUTCOME, NO_EVIDENCE = range(10, 18)
LEVELS = ["bitwise", "times-stamped", "canonical", "normalized", "semantic"]
OUTCOMES = {"reproduced", "differs", "ambiguous-archive", "build-failed", "input-unavailable", "not-attemptable", "limit-exceeded", "inconclusive"}
COMPARISON, DECISION = "urn:reprove:predicate:comparison:v0.1", "urn:reprove:predicate:decision:v0.1"
REPORT, RESOLUTION = "urn:reprove:predicate:report:v0.1", "urn:reprove:predicate:resolution:v0.1"
PROVENANCE, STATEMENT, PAYLOAD = "https://slsa.dev/provenance/v1", "https://in-toto.io/Statement/v1", "application/vnd.in-toto+json"
LIMIT = 64 * 1024 * 1024
LEAF = (
    '{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"%s"},'
    '"signature":{"content":"%s","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"%s"}}}}}}'
)


class Refused(Exception):
    """The evidence does not hold: an exit code and one sentence."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def need(condition: object, detail: str, code: int = MALFORMED) -> None:
    if not condition:
        raise Refused(code, detail)


# JSON (RFC 8785) and base64: one form only -------------------------------------------------------------------------------------------


def unique(pairs):
    need(len({key for key, _ in pairs}) == len(pairs), "a JSON object has a key twice")
    return dict(pairs)


def no_float(text):
    raise Refused(MALFORMED, f"a JSON number is not an integer: {text[:20]}")


def integer(text):
    need(len(text) <= 17 and abs(int(text)) < 2**53, "a JSON integer is beyond 2^53-1")
    return int(text)


def read_json(data: bytes, *, canonical: bool):
    need(len(data) <= LIMIT, "the input is too large")
    try:
        value = json.loads(data.decode(), object_pairs_hook=unique, parse_float=no_float, parse_constant=no_float, parse_int=integer)
        need(not canonical or encode(value).encode() == data, "JSON that is not in canonical form (RFC 8785)")
    except (ValueError, RecursionError):
        raise Refused(MALFORMED, "not JSON") from None
    return value


def encode(value) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode(key)}:{encode(value[key])}" for key in sorted(value, key=lambda key: key.encode("utf-16-be"))) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text, size: int = 0) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    need(data and b64(data) == text and size in (0, len(data)), "base64 that is not canonical, or of another length")
    return data


def members(value, required: str, optional: str = "") -> dict:
    have, must = set(value) if isinstance(value, dict) else set(), set(required.split())
    need(isinstance(value, dict) and must <= have <= must | set(optional.split()), f"an object has not exactly the members {required}")
    return value


def rows(value, most: int = 1024) -> list:
    need(isinstance(value, list) and len(value) <= most, "a list is missing or too long")
    return value


def text(value) -> str:
    need(isinstance(value, str) and value, "a text is missing")
    return value


# Keys --------------------------------------------------------------------------------------------------------------------------------


def key_of(spki: bytes, kind):
    try:
        key = serialization.load_der_public_key(spki)
        again = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(MALFORMED, "not a public key") from None
    need(isinstance(key, kind) and again == spki, "a public key of another kind")
    need(not isinstance(key, ec.EllipticCurvePublicKey) or isinstance(key.curve, ec.SECP256R1), "an ECDSA key that is not on P-256")
    return key


def signed(key, signature: bytes, message: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


class VKey:
    """A verifier key: ``name+hash+base64``, algorithm 1 (log) or 4 (witness)."""

    def __init__(self, line, algorithm: int) -> None:
        self.name, _, rest = text(line).partition("+")
        digest, _, material = rest.partition("+")
        raw = unb64(material, 33)
        identity = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        need(self.name and not re.search(r"[\s+]", self.name) and raw[0] == algorithm and digest == identity.hex(), "a bad verifier key")
        self.line, self.id, self.raw = line, (self.name, identity), raw[1:]
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(raw[1:])


def moment(value) -> int:
    need(isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", value), "a bad time in a trust file")
    try:
        return int(datetime.datetime.fromisoformat(value[:-1] + "+00:00").timestamp())
    except ValueError:
        raise Refused(MALFORMED, "a time that does not exist") from None


class Trust:
    """A trust file: what the reader believes, or (as hints) what the maker of the evidence means."""

    def __init__(self, value) -> None:
        top = members(value, "kind version logs witnesses operators")
        need(top["kind"] == "trust" and top["version"] == 1 and top["version"] is not True, "not a trust file of version 1")
        self.logs = [VKey(members(row, "origin vkey baseUrl")["vkey"], 1) for row in rows(top["logs"])]
        need([one.name for one in self.logs] == [row["origin"] for row in top["logs"]], "a log's origin is not its key's name")
        need(len({one.name for one in self.logs}) == len(self.logs), "two logs of one origin")
        for row in top["logs"]:
            text(row["baseUrl"])
        witnesses = members(top["witnesses"], "quorum vkeys")
        self.witnesses = [VKey(row, 4) for row in rows(witnesses["vkeys"])]
        self.quorum = witnesses["quorum"]
        raws = [one.raw for one in self.witnesses]
        need(len(set(raws)) == len(raws) and not set(raws) & {one.raw for one in self.logs}, "a witness key twice, or a log that is its own witness")
        need(type(self.quorum) is int and 0 <= self.quorum <= len(raws), "a quorum that cannot be met")
        self.attesters, self.enrolled, self.operators = {}, {}, []
        for row in rows(top["operators"]):
            members(row, "name attesters workers", "resolvers")
            self.operators.append(text(row["name"]))
            for role in ("attesters", "workers", "resolvers"):
                for one in rows(row.get(role, [])):
                    self._key(row["name"], role, one)
        need(len(set(self.operators)) == len(self.operators), "an operator twice")

    def _key(self, operator: str, role: str, row) -> None:
        members(row, "spki from", "until compromisedSince")
        spki = unb64(row["spki"])
        window = (moment(row["from"]), *(moment(row[name]) if name in row else None for name in ("until", "compromisedSince")))
        key = key_of(spki, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey))
        if role == "attesters":
            need(spki not in self.attesters, "one attester key twice")
            self.attesters[spki] = (operator, window)
        else:
            self.enrolled[hashlib.sha256(spki).hexdigest()] = (operator, key, window)


def in_window(window, logged_by, what: str) -> None:
    start, until, compromised = window
    if logged_by is None:
        ok = until is None and compromised is None
    else:
        ok = start <= logged_by and (until is None or logged_by <= until) and (compromised is None or logged_by < compromised)
    need(ok, f"consistent, but {what} does not count at the time it was logged", UNTRUSTED)


# Envelopes, checkpoints, proofs ------------------------------------------------------------------------------------------------------


class Envelope:
    def __init__(self, value) -> None:
        members(value, "payload payloadType signatures")
        need(value["payloadType"] == PAYLOAD, "another payload type")
        self.payload = unb64(value["payload"])
        need(1 <= len(rows(value["signatures"])) <= 16, "an envelope without signature, or with more than 16")
        for row in value["signatures"]:
            need(members(row, "sig", "keyid").get("keyid", "") == "", "a signature with a keyid")
        self.signatures = [unb64(row["sig"]) for row in value["signatures"]]
        self.pae = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(self.payload), self.payload)
        self.id = hashlib.sha256(self.pae).hexdigest()
        self.statement = members(read_json(self.payload, canonical=True), "_type subject predicateType predicate")
        need(self.statement["_type"] == STATEMENT and isinstance(self.statement["predicate"], dict), "not an in-toto statement")
        self.type, self.predicate, self.subjects = self.statement["predicateType"], self.statement["predicate"], []
        for row in rows(self.statement["subject"], 256):
            digest = members(members(row, "name digest")["digest"], "sha256", "sha512")
            self.subjects.append((text(row["name"]), text(digest["sha256"]), digest.get("sha512")))
        need(self.subjects, "a statement without subject")


class Head:
    """A checkpoint of which every signature line is by a named key and verifies."""

    def __init__(self, note, logs: list, witnesses: list) -> None:
        need(not re.search(r"[\x00-\x09\x0b-\x1f]", text(note)) and len(note) <= 256 * 1024, "a checkpoint with control characters, or too large")
        body, blank, lines = note.rpartition("\n\n")
        need(blank and lines.endswith("\n") and lines.count("\n") <= 64, "a checkpoint without its blank line, or with more than 64 signatures")
        self.text = body + "\n"
        parts = self.text.split("\n")
        need(len(parts) == 4 and parts[0] and re.fullmatch(r"0|[1-9][0-9]{0,18}", parts[1]) and int(parts[1]) < 2**63, "a bad checkpoint")
        self.origin, self.size, self.root = parts[0], int(parts[1]), unb64(parts[2], 32)
        need(self.size or self.root == hashlib.sha256(b"").digest(), "an empty log with a root")
        known = {one.id: (one, None) for one in logs if one.name == self.origin}
        known.update({one.id: (one, "witness") for one in witnesses})
        self.signers, self.times, seen = set(), {}, set()
        for line in lines[:-1].split("\n"):
            fields = line.split(" ")
            need(len(fields) == 3 and fields[0] == "\u2014", "a bad signature line")
            blob = unb64(fields[2])
            identity = (fields[1], blob[:4])
            need(identity in known and identity not in seen, f"a checkpoint has a signature line by an unknown key ({fields[1]})")
            seen.add(identity)
            self._line(*known[identity], blob[4:])
        need(self.signers, "a checkpoint is not signed by its log", CHECKPOINT)

    def _line(self, vkey: VKey, role, blob: bytes) -> None:
        if role is None:
            need(signed(vkey.key, blob, self.text.encode()), f"a signature line of {vkey.name} does not verify", CHECKPOINT)
            self.signers.add(vkey.line)
            return
        time = int.from_bytes(blob[:8], "big")
        message = f"cosignature/v1\ntime {time}\n{self.text}".encode()
        ok = len(blob) == 72 and 0 < time <= 253402300799 and signed(vkey.key, blob[8:], message)
        need(ok, f"the cosignature of witness {vkey.name} does not verify", CHECKPOINT)
        self.times[vkey.raw] = min(time, self.times.get(vkey.raw, time))


def included(leaf: bytes, index: int, head: Head, proof: list) -> None:
    need(0 <= index < head.size, "the index is not in the tree", INCLUSION)
    value = hashlib.sha256(b"\0" + leaf).digest()
    inner = (index ^ (head.size - 1)).bit_length()
    need(len(proof) == inner + bin(index >> inner).count("1"), "the inclusion proof has another length", INCLUSION)
    for level, other in enumerate(proof):
        left = level >= inner or index >> level & 1
        value = hashlib.sha256(b"\1" + (other + value if left else value + other)).digest()
    need(value == head.root, f"the proof of leaf {index} does not lead to the checkpoint's root", INCLUSION)


class Entry:
    def __init__(self, value, logs: list, witnesses: list) -> None:
        members(value, "envelope leaf index proof checkpoint", "before")
        self.envelope, self.leaf, self.index = Envelope(value["envelope"]), unb64(value["leaf"]), value["index"]
        need(type(self.index) is int and self.index >= 0, "a bad index")
        pattern = re.escape(LEAF).replace("%s", "([A-Za-z0-9+/=]{1,512})").encode()
        match = re.fullmatch(pattern, self.leaf)
        need(match, "not a hashedrekord 0.0.2 leaf")
        digest, signature, self.spki = (unb64(part.decode()) for part in match.groups())
        key = key_of(self.spki, ec.EllipticCurvePublicKey)
        ok = any(signed(key, one, self.envelope.pae) for one in self.envelope.signatures)
        need(ok, f"the signature of entry {self.index} does not verify", SIGNATURE)
        same = digest.hex() == self.envelope.id and self.envelope.signatures == [signature]
        need(same, f"the leaf of entry {self.index} is of another envelope", INCLUSION)
        self.head = Head(value["checkpoint"], logs, witnesses)
        included(self.leaf, self.index, self.head, [unb64(one, 32) for one in rows(value["proof"], 63)])
        self.before = Head(value["before"], logs, witnesses) if "before" in value else None
        ok = self.before is None or (self.before.origin == self.head.origin and self.before.size <= self.index)
        need(ok, "an earlier checkpoint covers the entry or is of another log", CHECKPOINT)

    def times(self, trust: Trust):
        """Bounds by a quorum of trusted witnesses: (not before, not after)."""
        after = sorted(self.head.times[one.raw] for one in trust.witnesses if one.raw in self.head.times)
        need(len(after) >= trust.quorum, f"{len(after)} of the {trust.quorum} witnesses that you ask for cosigned", CHECKPOINT)
        earlier = self.before.times if self.before else {}
        before = sorted((earlier[one.raw] for one in trust.witnesses if one.raw in earlier), reverse=True)
        rank = max(trust.quorum, 1) - 1
        last = after[rank] if rank < len(after) else None
        first = before[rank] if rank < len(before) else None
        return (first if first is not None and last is not None and first <= last else None), last


# What the statements say -------------------------------------------------------------------------------------------------------------


def digest_of(value, *path):
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def contents(evidence: dict, entries: list, reports: list, resolutions: list, decision, sha512: str):
    comparisons = [one for one in entries if one.envelope.type == COMPARISON]
    need(comparisons, "the evidence holds no comparison", NO_EVIDENCE)
    name, sha256 = evidence["subject"]["name"], evidence["subject"]["sha256"]
    for one in comparisons:
        said = one.envelope.predicate
        subjects = one.envelope.subjects
        need(len(subjects) == 1 and digest_of(said, "original", "sha256") == subjects[0][1], "a comparison's subject is not its original")
        need(subjects[0][1] == sha256 and subjects[0][2] in (None, sha512), "a comparison is about another file", SUBJECT)
        need(said.get("outcome") in OUTCOMES and (said["outcome"] == "reproduced") == (said.get("level") in LEVELS), "an impossible outcome or level")
        if said["outcome"] == "reproduced":
            need(isinstance(digest_of(said, "rebuilt", "sha256"), str), "a level without rebuilt bytes")
            need((said["level"] == "bitwise") == (said["rebuilt"]["sha256"] == sha256), f"{said['level']}, but the digests say otherwise")
        check_passes(said)
    need(name in [one.envelope.subjects[0][0] for one in comparisons], f"no comparison is about a file called {name}", SUBJECT)
    named = {one.envelope.predicate["provenance"]: one for one in comparisons if "provenance" in one.envelope.predicate}
    found = [one for one in entries if one.envelope.type == PROVENANCE]
    need(len(found) + len(comparisons) == len(entries), "an entry is neither comparison nor provenance")
    need({one.envelope.id for one in found} == set(named), "a provenance is missing, or one that nobody names is inside")
    for one in found:
        rebuilt = digest_of(named[one.envelope.id].envelope.predicate, "rebuilt", "sha256")
        need([row[1] for row in one.envelope.subjects] == [rebuilt], "a provenance is about other bytes")
    for kind, envelopes, wanted in (("report", reports, REPORT), ("resolution", resolutions, RESOLUTION)):
        for one in envelopes:
            owner = next((row.envelope.predicate for row in comparisons if row.envelope.predicate.get(kind) == one.id), None)
            need(owner is not None and one.type == wanted, f"a {kind} is inside that no comparison names")
            same = [("original", "sha256")]
            if kind == "resolution":
                same.append(("source", "sha256"))
            elif owner["outcome"] != "inconclusive":
                same += [("outcome",), ("level",), ("passes",), ("rebuilt", "sha256")]
            need(all(digest_of(owner, *path) == digest_of(one.predicate, *path) for path in same), f"a comparison contradicts its {kind}")
            worker = (
                kind == "resolution" or "worker" not in owner or digest_of(owner, "worker", "sha256") == digest_of(one.predicate, "worker", "sha256")
            )
            need(worker, "a report is by another worker than its comparison says")
    if decision is not None:
        listed = decision.envelope.predicate.get("artifacts")
        need(decision.envelope.type == DECISION and isinstance(listed, list), "not a decision over artifacts")
        digests = [digest_of(row, "sha256") for row in listed]
        need(digests == [row[1] for row in decision.envelope.subjects], "a decision's subjects are not its artifacts")
        need(sha256 in digests, "the decision is not about this file", SUBJECT)
    return comparisons


def check_passes(said: dict) -> None:
    """Passes stand exactly with the levels that rest on them; what lies of itself or means two things is never equal by so little."""
    passes, level = said.get("passes"), said.get("level")
    need(("passes" in said) == (level in LEVELS[3:]), "passes belong to levels normalized and semantic and to no other")
    if "passes" in said:
        need(isinstance(passes, list) and passes, "a level that rests on no pass")
        names = [digest_of(row, "id") for row in passes]
        need(all(isinstance(name, str) and len(name) <= 80 and re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", name) for name in names), "an odd pass")
        versions = [digest_of(row, "version") for row in passes]
        counted = all(isinstance(one, str) and re.fullmatch("[1-9][0-9]{0,8}", one) for one in versions)
        need(len(set(names)) == len(names) and counted, "a pass twice, or of no version")
    ruled_out = {"ambiguous-archive", "false-manifest"} if level in LEVELS[2:] else set()
    need(not any(digest_of(row, "code") in ruled_out for row in said.get("findings", [])), f"a finding that rules out level {level}")


def judge(opinions: list, level: str):
    """Opinions are (order, operator, id, predicate); the newest that is reproduced at the level wins unless somebody dissents."""
    gone = {(operator, digest_of(said, "supersedes", "id")) for _, operator, _, said in opinions}
    live = sorted((one for one in opinions if (one[1], one[2]) not in gone), key=lambda one: one[0])
    for order, operator, _, said in live:
        if said["outcome"] in ("differs", "ambiguous-archive"):
            recipe = digest_of(said, "recipe", "digest")
            later = [one[3] for one in live if one[0] > order and one[1] == operator and one[3]["outcome"] == "reproduced"]
            replaced = any(digest_of(one, "recipe", "digest") != recipe for one in later)
            need(replaced, f"{operator} says {said['outcome']}", OUTCOME)
    enough = [one for one in live if one[3].get("level") in LEVELS[: LEVELS.index(level) + 1]]
    need(enough, f"not reproduced at {level}: {', '.join(one[3].get('level') or one[3]['outcome'] for one in live)}", OUTCOME)
    return enough[-1]


def verify(evidence_bytes: bytes, trust, sha256: str, sha512: str, level: str, *, any_outcome: bool) -> list:
    evidence = members(read_json(evidence_bytes, canonical=True), "kind version subject entries hints", "reports resolutions decision")
    need(evidence["kind"] == "evidence" and evidence["version"] == 1 and evidence["version"] is not True, "not evidence of version 1")
    subject = members(evidence["subject"], "name sha256")
    need(isinstance(subject["sha256"], str) and re.fullmatch(r"[0-9a-f]{64}", subject["sha256"]) and text(subject["name"]), "a bad subject")
    hints = Trust(members(evidence["hints"], "trust")["trust"])
    need(subject["sha256"] == sha256, f"the evidence is about {subject['name']} sha256:{subject['sha256']}, the file has sha256:{sha256}", SUBJECT)
    need(rows(evidence["entries"], 256), "the evidence holds no entry", NO_EVIDENCE)
    logs = {one.line: one for one in (*(trust.logs if trust else ()), *hints.logs)}
    witnesses = {one.line: one for one in (*(trust.witnesses if trust else ()), *hints.witnesses)}
    keys = (list(logs.values()), list(witnesses.values()))
    blobs = {name: [Envelope(row) for row in rows(evidence.get(name, []), 256)] for name in ("reports", "resolutions")}
    for name, found in blobs.items():
        ids = [one.id for one in found]
        need(ids == sorted(set(ids)) and (ids or name not in evidence), f"{name} are not in the order of their ids")
    entries = [Entry(row, *keys) for row in evidence["entries"]]
    order = [(one.index, one.leaf) for one in entries]
    need(order == sorted(set(order)), "entries are not in the order of their index")
    decision = Entry(evidence["decision"], *keys) if "decision" in evidence else None
    everything = [*entries, *([decision] if decision else [])]
    one_history(everything)
    comparisons = contents(evidence, entries, blobs["reports"], blobs["resolutions"], decision, sha512)
    check_blobs(blobs, {**hints.enrolled, **(trust.enrolled if trust else {})})
    if trust is None or not all(chosen(one, trust) for one in everything):
        detail = f"log {entries[0].head.origin}, operator {', '.join(hints.operators)}"
        raise Refused(UNTRUSTED, f"consistent, but by keys that you have not chosen: {detail}")
    opinions, report = [], []
    for one, (first, last) in [(one, one.times(trust)) for one in everything]:
        operator, window = trust.attesters[one.spki]
        in_window(window, last, f"the attester's key of {operator}")
        enrolled = trust.enrolled.get(digest_of(one.envelope.predicate, "worker", "sha256"))
        if one in comparisons and enrolled is not None and enrolled[0] == operator:
            in_window(enrolled[2], last, "its worker's key")
        if one in comparisons:
            opinions.append(((last or 0, one.index), operator, one.envelope.id, one.envelope.predicate))
        report.append((one, operator, first, last))
    try:
        best = judge(opinions, level)
    except Refused:
        if not any_outcome:
            raise
        best = max(opinions, key=lambda one: one[0])
    return summary(best, report, decision, sha256, trust)


def chosen(entry: Entry, trust: Trust) -> bool:
    """Whether log, earlier checkpoint and attester are the reader's, and the attester speaks in its own operator's name."""
    logs, said = {one.line for one in trust.logs}, entry.envelope.predicate
    speaker = digest_of(said, "runDetails", "builder", "id") if entry.envelope.type == PROVENANCE else said.get("operator")
    ours = bool(entry.head.signers & logs) and (entry.before is None or bool(entry.before.signers & logs))
    return ours and trust.attesters.get(entry.spki, (None, None))[0] == speaker


def one_history(everything: list) -> None:
    seen = {}
    for one in everything:
        facts = [("size", head.size, head.root) for head in (one.head, one.before) if head] + [("index", one.index, one.leaf)]
        for kind, number, value in facts:
            need(seen.setdefault((one.head.origin, kind, number), value) == value, "a log shows two histories", CHECKPOINT)


def check_blobs(blobs: dict, enrolled: dict) -> None:
    for name, role in (("reports", "worker"), ("resolutions", "resolver")):
        for one in blobs[name]:
            known = enrolled.get(digest_of(one.predicate, role, "sha256"))
            ok = known is None or (len(one.signatures) == 1 and signed(known[1], one.signatures[0], one.pae))
            need(ok, f"a signature among the {name} does not verify", SIGNATURE)


def summary(best, report: list, decision, sha256: str, trust: Trust) -> list:
    said = best[3]
    passes = ", ".join(f"{row['id']} {row['version']}" for row in said.get("passes", []))
    lines = [f"VERIFIED   {said['outcome']}{', ' + said['level'] if 'level' in said else ''}{' by ' + passes if passes else ''}"]
    lines.append(f"  file     {next(one.envelope.subjects[0][0] for one, *_ in report if one.envelope.id == best[2])} sha256:{sha256}")
    lines.append(f"  who      operator {best[1]}, deployment {said.get('deployment')}")
    for one, _, first, last in report:
        if one.envelope.id == best[2]:
            lines.append(
                f"  when     logged between {moment_text(first)} and {moment_text(last)}, index {one.index} of {one.head.origin} size {one.head.size}"
            )
    findings = [str(digest_of(row, "code")) for row in said.get("findings", [])]
    if findings:
        lines.append(f"  findings {', '.join(findings)}")
    if decision is not None:
        verdict = next(row["verdict"] for row in decision.envelope.predicate["artifacts"] if row["sha256"] == sha256)
        lines.append(f"  decision {verdict} by policy {digest_of(decision.envelope.predicate, 'policy', 'name')}")
    lines.append(f"  checked  file digest, {len(report)} signatures with inclusion and checkpoint, quorum of {trust.quorum} witness(es)")
    word = f"; that original and rebuilt are equal at level {said['level']}, which is a worker's word" if said.get("level") in LEVELS[2:] else ""
    return [*lines, f"  not checked  that the source is benign; that anybody else agrees{word}"]


def moment_text(seconds) -> str:
    return "?" if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def safe(line) -> str:
    """Escape whatever could rewrite a terminal: names come from strangers."""
    return str(line).encode("unicode_escape").decode()


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description="Verify a file against Reprove evidence, offline.")
    parser.add_argument("file")
    parser.add_argument("--evidence", required=True)
    parser.add_argument("--trust")
    parser.add_argument("--level", choices=LEVELS, default="times-stamped")
    parser.add_argument("--any-outcome", action="store_true")
    options = parser.parse_args(arguments)
    digests = hashlib.sha256(), hashlib.sha512()
    try:
        with open(options.file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                for one in digests:
                    one.update(block)
        with open(options.evidence, "rb") as stream:
            evidence = stream.read(LIMIT + 1)
        trust = None
        if options.trust:
            with open(options.trust, "rb") as stream:
                trust = Trust(read_json(stream.read(1 << 20), canonical=False))
    except (OSError, Refused) as error:
        print(f"{getattr(error, 'filename', None) or options.trust}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return 4
    try:
        lines = verify(evidence, trust, digests[0].hexdigest(), digests[1].hexdigest(), options.level, any_outcome=options.any_outcome)
    except Refused as error:
        print(f"NOT VERIFIED   {safe(error)}", file=sys.stderr)
        return error.code
    print("\n".join(map(safe, lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
