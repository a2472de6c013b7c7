"""Our attestations in the forms that stock verifiers read: Sigstore bundle v0.3 with a bare key, and a trusted root.

The shapes are the strictest reader's: no unknown member, 64-bit numbers as text, all 32 bytes of the log id, no promise and no
integrated time. The JSON is written by hand because protobuf bindings corrupt integers (DESIGN section 7).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import urlsplit

from reprove.core.bundles import BUNDLE_TYPE, TRUSTED_ROOT_TYPE, read_bundle, read_trusted_root, verify_bundle
from reprove.core.checkpoints import parse_checkpoint
from reprove.core.dsse import Envelope
from reprove.core.errors import ProblemError, Slug
from reprove.core.keys import PublicKey
from reprove.core.notes import VKey, parse_note

__all__ = ["BUNDLE_TYPE", "TRUSTED_ROOT_TYPE", "bundle", "read_bundle", "read_trusted_root", "trusted_root", "verify_bundle"]


def bundle(  # noqa: PLR0917  # the parts of a bundle, one by one
    envelope: Envelope,
    key: PublicKey,
    index: int,
    proof: Sequence[bytes],
    size: int,
    root: bytes,
    checkpoint_note: str,
    leaf: bytes,
    *,
    log_vkey: VKey,
) -> dict[str, object]:
    """Make the bundle's JSON value; ``size`` and ``root`` must be the checkpoint's, else ProblemError."""
    checkpoint = parse_checkpoint(parse_note(checkpoint_note).text)
    if (checkpoint.size, checkpoint.root, checkpoint.origin) != (size, root, log_vkey.name):
        raise ProblemError(Slug.INVALID_REQUEST, "size, root and log of a bundle are those of its checkpoint")
    entry = {
        "logIndex": str(index),
        "logId": {"keyId": _b64(log_vkey.log_id)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {
            "logIndex": str(index),
            "rootHash": _b64(root),
            "treeSize": str(size),
            "hashes": [_b64(one) for one in proof],
            "checkpoint": {"envelope": checkpoint_note},
        },
        "canonicalizedBody": _b64(leaf),
    }
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.fingerprint}, "tlogEntries": [entry]},
        "dsseEnvelope": envelope.as_json(),
    }


def trusted_root(log_vkey: VKey, base_url: str, start: str) -> dict[str, object]:
    """Make the trusted root of one log; ``start`` is RFC 3339 (readers demand one, and none of them looks at an end).

    ProblemError unless the host of ``base_url`` is the log's origin: the Go verifiers derive the checkpoint's key name from it.
    """
    if urlsplit(base_url).hostname != log_vkey.name or urlsplit(base_url).port is not None or urlsplit(base_url).path not in ("", "/"):
        raise ProblemError(Slug.INVALID_REQUEST, f"the log's base URL must be https://{log_vkey.name}, its origin, without port or path")
    return {
        "mediaType": TRUSTED_ROOT_TYPE,
        "tlogs": [
            {
                "baseUrl": base_url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": log_vkey.key.base64, "keyDetails": "PKIX_ED25519", "validFor": {"start": start}},
                "logId": {"keyId": _b64(log_vkey.log_id)},
            }
        ],
    }


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
