"""The only way a log or a witness comes into being: called by ``reprove init``, never by the processes themselves.

A process that made its own state when it finds none would fork the log whenever a disk is not mounted.
"""

from __future__ import annotations

from collections.abc import Sequence

from reprove.core import merkle, notes
from reprove.core.notes import VKey
from reprove.settings import Settings
from reprove.signers import Signer, open_signer
from service.log import store, witness_state
from service.log.errors import StateError
from service.log.sequencer import sign_head
from service.setup.folders import hand_over


def log_origin(settings: Settings, signer: Signer) -> str:
    """Name the log: the setting ``origin``, else 16 hex of its key's hash under ``reprove.invalid`` (DESIGN section 7)."""
    return settings.origin or f"{signer.public_key.fingerprint[:16]}.reprove.invalid"


def witness_name(settings: Settings, signer: Signer) -> str:
    """Find the name of this machine's witness: as the setting ``witnesses`` has its key, else made of the log's."""
    for text in settings.witnesses:
        vkey = notes.parse_vkey(text.partition(" ")[0])
        if vkey.key == signer.public_key:
            return vkey.name
    return f"witness.{settings.origin or signer.public_key.fingerprint[:16] + '.reprove.invalid'}"


def create_log(settings: Settings) -> str:
    """Make ``log.db`` and the folder ``log/`` for a new, empty log; returns its verifier key.

    One that exists with this key and was never used is left as it is (an interrupted ``init``); any other is a StateError.
    """
    signer = _ed25519(settings.log_key, "log_key")
    origin = log_origin(settings, signer)
    vkey = notes.format_vkey(origin, signer.public_key)
    path = settings.home / "log.db"
    folder = settings.home / "log"
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    if (folder / "checkpoint").exists() and not path.exists():
        raise StateError(f"{folder} holds a published log, but its log.db is gone; restore it, a new one would fork the log")
    head = sign_head(origin, 0, merkle.EMPTY_ROOT, signer)
    if path.exists():
        store.require_unused(path, vkey)
    else:
        store.create(path, meta={"origin": origin, "vkey": vkey}, head=head)
    hand_over(path.resolve(), "sequencer", settings)
    hand_over(folder, "sequencer", settings)
    return vkey


def create_witness(settings: Settings, logs: Sequence[str] = ()) -> str:
    """Make ``witness.db`` for a witness that cosigns ``logs`` (verifier keys; default: the log of this state folder); returns its verifier key.

    One that exists with this key and was never used is left as it is; any other is a StateError.
    """
    signer = _ed25519(settings.witness_key, "witness_key")
    name = witness_name(settings, signer)
    vkey = notes.format_vkey(name, signer.public_key, notes.COSIGNATURE)
    trusted = [notes.parse_vkey(text) for text in logs] or [_own_log(settings)]
    path = settings.home / "witness.db"
    if path.exists():
        witness_state.require_unused(path, vkey)
    else:
        witness_state.create(path, vkey, trusted)
    hand_over(path.resolve(), "witness", settings)
    return vkey


def _own_log(settings: Settings) -> VKey:
    signer = _ed25519(settings.log_key, "log_key")
    return VKey(log_origin(settings, signer), notes.ED25519, signer.public_key)


def _ed25519(uri: str, setting: str) -> Signer:
    if not uri:
        raise StateError(f"setting {setting} names no key")
    signer = open_signer(uri)
    if not signer.public_key.is_ed25519:
        raise StateError(f"setting {setting} names a key that is not Ed25519")
    return signer
