"""One frozen, validated object of settings, from a TOML file and the environment (INTERFACE section 1).

Each field says its unit, its default and its trust consequence in ``docs/settings.md``; a test compares the two. Unknown keys are refused.
The environment wins over the file: ``REPROVE_LEASE_SECONDS`` sets ``lease_seconds``.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from reprove.core.errors import OwnError

_IGNORED = frozenset(
    {
        *("REPROVE_CONFIG", "REPROVE_URL", "REPROVE_TOKEN", "REPROVE_TRUST", "REPROVE_FAIL_AT", "REPROVE_FAIL_IN"),
        *("REPROVE_WORKER_NAME", "REPROVE_TEST_CACHE", "REPROVE_TOOLS", "REPROVE_INTEROP"),
    }
)
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)?\Z")
_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?\Z")
_SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class SettingsError(OwnError):
    """A setting is unknown or out of range; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator can choose. Sizes are bytes, times are seconds; text forms such as ``4GiB`` and ``30m`` are read."""

    home: Path = Path("/var/lib/reprove")
    run_dir: Path | None = None
    deploy_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8710
    worker_port: int = 0
    witness_port: int = 0
    workers: int = 1
    arch: str = "amd64"
    operator: str = "https://reprove.invalid"
    origin: str = ""
    deployment: str = "single-host"
    separate_users: bool = True

    index_pypi_url: str = ""
    fetch_allow: tuple[str, ...] = ()

    limit_time: int = 1800
    limit_memory: int = 4 * 1024**3
    limit_disk: int = 4 * 1024**3
    limit_pids: int = 512
    limit_log: int = 64 * 1024**2

    heartbeat_seconds: int = 5
    lease_seconds: int = 15
    reconcile_seconds: int = 5
    retries: int = 2
    candidates: int = 4

    api_threads: int = 32
    max_body: int = 1024**2
    max_blob: int = 2 * 1024**3
    min_free: int = 5 * 1024**3
    requests_per_minute: int = 0
    public_reads: bool = True

    attester_key: str = ""
    attester_public: str = ""
    log_key: str = ""
    witness_key: str = ""
    worker_key: str = ""
    witnesses: tuple[str, ...] = ()
    witness_quorum: int = 1
    witness_timeout: int = 2
    log_batch: int = 1024
    log_linger_ms: int = 20

    log_level: str = "info"

    def __post_init__(self) -> None:
        if self.deployment not in ("single-host", "split"):
            raise SettingsError("deployment must be single-host or split")
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise SettingsError("lease_seconds must be at least twice heartbeat_seconds, or every late heartbeat loses a worker")
        for name in ("port", "worker_port", "witness_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise SettingsError(f"{name} must be 0 to 65535")
        if not re.fullmatch(r"[a-z0-9]{1,16}", self.arch):
            raise SettingsError("arch must be a Debian architecture name such as amd64")

    @property
    def worker_api_port(self) -> int:
        """The worker api's port: its own setting, else the public one plus one."""
        return self.worker_port or self.port + 1

    @property
    def witness_api_port(self) -> int:
        """The local witness's port: its own setting, else the public one plus two."""
        return self.witness_port or self.port + 2

    @property
    def sockets(self) -> Path:
        """Where sockets live: a short path, since a Unix socket's path has at most 107 bytes."""
        return self.run_dir or self.home / "run"


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:  # noqa: ANN401  # typed by the dataclass
    """Read ``$REPROVE_CONFIG`` (else ``$REPROVE_HOME/config.toml`` when it exists), then the environment, then ``overrides``.

    Raises SettingsError for an unknown key, a wrong type or an impossible value.
    """
    env = os.environ if environ is None else environ
    home = Path(overrides.get("home") or env.get("REPROVE_HOME", "/var/lib/reprove"))
    config = Path(env["REPROVE_CONFIG"]) if "REPROVE_CONFIG" in env else home / "config.toml"
    values: dict[str, Any] = {}
    if config.exists() or "REPROVE_CONFIG" in env:
        values.update(_from_toml(config))
    values.update(_from_environment(env))
    values.update({key: value for key, value in overrides.items() if value is not None})
    values["home"] = home
    known = {field.name: field for field in fields(Settings)}
    for key in values:
        if key not in known:
            raise SettingsError(f"unknown setting {key!r}{_nearest(key, known)}")
    return Settings(**{key: _convert(key, value, known[key]) for key, value in values.items()})


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix("REPROVE_").lower(): value
        for name, value in env.items()
        if name.startswith("REPROVE_") and name not in _IGNORED and name != "REPROVE_HOME"
    }


def _convert(key: str, value: Any, field: Any) -> Any:  # noqa: ANN401  # one converter for every field type
    kind = str(field.type)
    try:
        if kind == "bool":
            return value if isinstance(value, bool) else {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if kind == "int":
            return _number(key, value)
        if kind.startswith("Path"):
            return Path(value)
        if kind.startswith("tuple"):
            items = value if isinstance(value, list | tuple) else [part for part in str(value).split(",") if part.strip()]
            return tuple(str(item).strip() for item in items)
        return str(value)
    except (KeyError, ValueError, TypeError) as error:
        default = "" if field.default is MISSING else f" (default {field.default})"
        raise SettingsError(f"setting {key}: {value!r} is not a {kind}{default}") from error


def _number(key: str, value: Any) -> int:  # noqa: ANN401  # text or integer
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value)
    pattern, units = (_SIZE, _SIZES) if key.startswith(("limit_memory", "limit_disk", "limit_log", "max_", "min_")) else (_TIME, _TIMES)
    match = pattern.match(text)
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * units[match[2]]) if match[2] else int(match[1])


def _nearest(key: str, known: Mapping[str, object]) -> str:
    import difflib

    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
