"""``reprove init``: everything that an instance needs to exist before a process may start.

Each part is made once and never over an existing one, in an order in which a crash leaves a folder that a second run completes:
``config.toml`` gets its name last, and nothing starts without it.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reprove import settings as settings_module
from reprove import signers
from reprove.core import notes
from reprove.core.canonical import canonical
from reprove.core.errors import OwnError
from reprove.settings import Settings
from service.access import tokens
from service.accounts import account_of
from service.log import create_log, create_witness
from service.records.database import open_database
from service.records.prepare import prepare_database
from service.setup.defaults import DEFAULT_BINDINGS, DEFAULT_POLICY
from service.setup.folders import hand_over, make_folders, write_private, write_public
from service.setup.redis import write_redis

_DRAFT = "config.toml.new"
WORKER_TOKEN_DAYS = 365
CLIENT_TOKEN_DAYS = 365

KEYS = {
    "log": ("signs checkpoints of the log", True, "sequencer"),
    "attester": ("signs statements and decisions", False, "attester"),
    "witness": ("cosigns checkpoints (on this machine: not independent)", True, "witness"),
    "resolver": ("signs which bytes are the original and the source", False, "resolver"),
}
"""Key name to what it is for, whether it is Ed25519, and the process that holds it. Workers' keys are added by their number."""


@dataclass(frozen=True, slots=True)
class Created:
    """What ``reprove init`` tells: the first operator token is in no file that anybody else can read, and is shown once."""

    instance: str
    origin: str
    operator_token: str | None
    index_url: str
    fetch_allow: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What an operator decides at init; empty values are worked out."""

    index_url: str
    fetch_allow: tuple[str, ...]
    origin: str = ""
    operator: str = ""
    extra: tuple[tuple[str, object], ...] = ()


def exists(home: Path) -> bool:
    """Say whether ``home`` holds a finished instance."""
    return (home / "config.toml").exists() and (home / "instance").exists()


def create(settings: Settings, choices: Choices) -> Created:
    """Make the instance, or complete one whose making was interrupted. Raises OwnError when a finished one is there."""
    if exists(settings.home):
        raise OwnError(f"{settings.home} already holds instance {(settings.home / 'instance').read_text().strip()}; nothing was changed")
    make_folders(settings)
    instance = _instance_id(settings)
    _make_keys(settings)
    log_key = signers.open_signer(f"file:{settings.home}/secrets/log.key").public_key
    origin = choices.origin or settings.origin or f"{log_key.fingerprint[:16]}.reprove.invalid"
    operator = choices.operator or f"https://{origin}"
    witness_key = signers.open_signer(f"file:{settings.home}/secrets/witness.key").public_key
    witness = notes.format_vkey(f"witness.{origin}", witness_key, algorithm=0x04)
    log = notes.format_vkey(origin, log_key, algorithm=0x01)
    final = _write_configuration(settings, choices, origin=origin, operator=operator, witness=witness)
    _write_trust(final, log_vkey=log, witness_vkey=witness)
    write_public(final.home / "policies" / "default.yaml", DEFAULT_POLICY.encode())
    write_public(final.home / "policies" / "bindings.yaml", DEFAULT_BINDINGS.encode())
    write_redis(final)
    operator_token = _make_databases(final)
    # a crash before this line leaves an unfinished folder: the next init completes it with the same id and keys
    (settings.home / _DRAFT).rename(settings.home / "config.toml")
    return Created(instance, origin, operator_token, choices.index_url, choices.fetch_allow)


def _instance_id(settings: Settings) -> str:
    """The instance's id, kept from a first try that was interrupted."""
    path = settings.home / "instance"
    if not path.exists():
        write_public(path, f"{secrets.token_hex(8)}\n".encode())
    return path.read_text().strip()


def _make_keys(settings: Settings) -> None:
    keys = dict(KEYS) | {f"worker-{number + 1}": ("", False, f"worker-{number + 1}") for number in range(settings.workers)}
    for name, (_, is_ed25519, process) in keys.items():
        path = settings.home / "secrets" / f"{name}.key"
        if not path.exists():
            signers.generate(path, ed25519_key=is_ed25519)
        public = path.with_suffix(".pub")
        if not public.exists():
            write_public(public, signers.open_signer(f"file:{path}").public_key.pem.encode())
        hand_over(path, process if account_of(process).user else None, settings)


def _write_configuration(settings: Settings, choices: Choices, *, origin: str, operator: str, witness: str) -> Settings:
    secrets_folder = settings.home / "secrets"
    values: dict[str, object] = {
        "origin": origin,
        "operator": operator,
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "separate_users": settings.separate_users,
        "run_dir": str(settings.sockets),
        "index_pypi_url": choices.index_url,
        "fetch_allow": list(choices.fetch_allow),
        "attester_key": f"file:{secrets_folder}/attester.key",
        "attester_public": f"{secrets_folder}/attester.pub",
        "log_key": f"file:{secrets_folder}/log.key",
        "witness_key": f"file:{secrets_folder}/witness.key",
        "witnesses": [f"{witness} http://127.0.0.1:{settings.witness_api_port}"],
    }
    if settings.deploy_dir is not None:
        values["deploy_dir"] = str(settings.deploy_dir)
    values |= dict(choices.extra)
    lines = ["# Written by `reprove init`; every setting is explained in docs/settings.md. The environment (REPROVE_…) wins over this file."]
    lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    write_public(settings.home / _DRAFT, ("\n".join(lines) + "\n").encode())
    return settings_module.load({"REPROVE_HOME": str(settings.home), "REPROVE_CONFIG": str(settings.home / _DRAFT)})


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _write_trust(settings: Settings, *, log_vkey: str, witness_vkey: str) -> None:
    folder = settings.home / "secrets"
    now = dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    attester = signers.open_signer(settings.attester_key).public_key
    workers = {path.stem: signers.open_signer(f"file:{path}").public_key for path in sorted(folder.glob("worker-*.key"))}
    resolver = signers.open_signer(f"file:{folder}/resolver.key").public_key
    trust = {
        "kind": "trust",
        "version": 1,
        "logs": [{"origin": settings.origin, "vkey": log_vkey, "baseUrl": f"https://{settings.origin}"}],
        "witnesses": {"quorum": settings.witness_quorum, "vkeys": [witness_vkey]},
        "operators": [
            {
                "name": settings.operator,
                "attesters": [{"spki": attester.base64, "from": now}],
                "workers": [{"spki": key.base64, "from": now} for key in workers.values()],
                "resolvers": [{"spki": resolver.base64, "from": now}],
            }
        ],
    }
    write_public(settings.home / "trust.json", canonical(trust))
    enrolled = {
        "kind": "enrolled",
        "version": 1,
        "keys": [
            *({"name": name, "role": "work", "spki": key.base64, "from": now} for name, key in workers.items()),
            {"name": "resolver", "role": "resolve", "spki": resolver.base64, "from": now},
        ],
    }
    write_public(settings.home / "enrolled.json", canonical(enrolled))


def _make_databases(settings: Settings) -> str | None:
    """Databases, then tokens: a token exists once it is in the database, so a file without its row is written again."""
    create_log(settings)
    create_witness(settings)
    for name, process in (("sequencer", "sequencer"), ("witness", "witness"), ("log", "sequencer")):
        for path in (settings.home / name, *(settings.home / name).rglob("*")):
            hand_over(path, process, settings)
    prepare_database(settings)
    records = open_database(settings)
    names = {**{f"worker-{number + 1}": ("work",) for number in range(settings.workers)}, "resolver": ("resolve",)}
    for name, roles in names.items():
        path = settings.home / "secrets" / f"{name}.token"
        if not path.exists():
            token = tokens.create(records, name=name, kind="process", roles=roles, days=WORKER_TOKEN_DAYS)
            write_private(path, token, None if name.startswith("worker") else name, settings)
    client = settings.home / "secrets" / "client.token"
    if not client.exists():
        write_private(
            client, tokens.create(records, name="client", kind="person", roles=("submit", "read", "decide"), days=CLIENT_TOKEN_DAYS), None, settings
        )
    admin = settings.home / "secrets" / "admin.token"
    if admin.exists():
        return None
    token = tokens.create(records, name="operator", kind="person", roles=("submit", "read", "decide", "operate"), days=CLIENT_TOKEN_DAYS)
    write_private(admin, token, None, settings)
    return token


def index_host(url: str) -> str:
    """The ``host:port`` entry that lets the index's own host have any address."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
