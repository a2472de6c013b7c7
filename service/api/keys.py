"""``/trust.json``, ``/trusted_root.json`` and ``/keys``: the keys of this instance. Served here they are hints; a fingerprint makes them trust."""

from __future__ import annotations

from flask import Response

from reprove.core import keys
from reprove.core.bundles import TRUSTED_ROOT_TYPE
from reprove.core.canonical import canonical
from reprove.core.digests import sha256
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.sigstore import trusted_root
from reprove.core.times import format_time
from service.api import shapes
from service.api.context import Api
from service.api.operation import JSON, Answer, Call, immutable, json_response, operation
from service.records.principals import Role

PEM = "application/x-pem-file"
ROLES = ("log", "attester", "witness", "worker", "resolver")
_CHANGING = {"Cache-Control": "no-cache"}


@operation(
    "GET",
    "/trust.json",
    role=Role.READ,
    answers={200: Answer("The trust file, a hint: compare its fingerprint with the operator's.", schema=shapes.ANY_OBJECT)},
)
def get_trust(call: Call) -> Response:
    """Read the trust file that this instance would have you believe."""
    data = call.api.files.trust_bytes()
    return Response(data, content_type=JSON, headers={**_CHANGING, "Reprove-Fingerprint": f"sha256:{call.api.trust().fingerprint}"})


@operation("GET", "/trusted_root.json", role=Role.READ, answers={200: Answer("The log as a Sigstore trusted root.", schema=shapes.ANY_OBJECT)})
def get_trusted_root(call: Call) -> Response:
    """Read the log's key in the form that stock Sigstore verifiers take."""
    trust = call.api.trust()
    starts = [one.valid_from for operator in trust.operators for one in operator.attesters]
    log = trust.logs[0]
    document = trusted_root(log.vkey, f"https://{log.origin}", format_time(min(starts, default=0)))
    assert document["mediaType"] == TRUSTED_ROOT_TYPE
    return Response(canonical(document), content_type=JSON, headers=_CHANGING)


@operation(
    "GET",
    "/keys/<role>",
    role=Role.READ,
    answers={200: Answer("The public keys of a role: log, attester, witness, worker, resolver.", schema=shapes.page(shapes.ANY_OBJECT))},
)
def list_keys(call: Call, *, role: str) -> Response:
    """List the public keys of a role."""
    items = [{"sha256": key.fingerprint, "name": name, "href": f"/keys/{role}/{key.fingerprint}.pem"} for name, key in _keys(call.api, role)]
    return json_response({"items": items, "next": None}, headers=_CHANGING)


@operation(
    "GET",
    "/keys/<role>/<name>",
    role=Role.READ,
    answers={200: Answer("The key as PEM.", media=(PEM,)), 304: Answer("The caller has it already.", media=())},
)
def get_key(call: Call, *, role: str, name: str) -> Response:
    """Read one public key, by the SHA-256 of its SPKI."""
    for _, key in _keys(call.api, role):
        if name == f"{key.fingerprint}.pem":
            return immutable(key.pem.encode(), PEM, sha256(key.spki)[:32])
    raise ProblemError(Slug.NOT_FOUND, f"no {role} key of that name; /keys/{role} lists them")


def _keys(api: Api, role: str) -> list[tuple[str, PublicKey]]:
    if role not in ROLES:
        raise ProblemError(Slug.NOT_FOUND, f"roles with keys: {', '.join(ROLES)}")
    if role in ("worker", "resolver"):
        wanted = "work" if role == "worker" else "resolve"
        return [(str(row.get("name")), keys.from_base64(str(row.get("spki")))) for row in api.files.enrolled() if row.get("role") == wanted]
    trust = api.trust()
    if role == "log":
        return [(log.origin, log.vkey.key) for log in trust.logs]
    if role == "witness":
        return [(vkey.name, vkey.key) for vkey in trust.witnesses]
    return [(operator.name, one.key) for operator in trust.operators for one in operator.attesters]
