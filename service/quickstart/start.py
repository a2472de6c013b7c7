"""From an empty folder to a running instance: init once, start what does not run, wait until every part answers."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from pathlib import Path

from reprove import indexes
from reprove import settings as settings_module
from reprove.core.canonical import parse
from reprove.core.digests import sha256
from reprove.core.errors import OwnError
from reprove.settings import Settings
from service.launch import process_names
from service.quickstart import supervise
from service.quickstart.screen import Screen
from service.setup import folders, instance

_READY_SECONDS = 60


def bring_up(settings: Settings, screen: Screen) -> Settings:
    """Make the instance if there is none, start its processes if they do not run, return its own settings."""
    if not instance.exists(settings.home):
        _init(settings, screen)
    wanted = settings.port
    settings = settings_module.load(home=settings.home)
    if wanted != settings.port and "REPROVE_PORT" not in os.environ:
        settings = _move_port(settings, wanted)
    folders.make_folders(settings)
    _start(settings, screen)
    return settings


def url_of(settings: Settings) -> str:
    """The public address."""
    return f"http://{settings.host}:{settings.port}"


def facts(settings: Settings) -> dict[str, object]:
    """The first members of ``quickstart.json``."""
    return {"url": url_of(settings), "token_file": str(settings.home / "secrets" / "client.token"), "trust_file": str(settings.home / "trust.json")}


def _init(settings: Settings, screen: Screen) -> None:
    with screen.step("index") as step:
        index = indexes.configured(os.environ)
        for warning in index.warnings:
            screen.line(f"  warning: {warning}")
        allow = settings.fetch_allow or indexes.probe(index.url)
        step.note = f'"pypi" is {index.url} (from {index.source}; canonical here)'
    with screen.step("keys") as step:
        short = settings.run_dir or Path("/run") / f"reprove-{sha256(str(settings.home).encode())[:8]}"
        own = settings_module.load(home=settings.home, port=settings.port, run_dir=short)
        instance.create(own, instance.Choices(index_url=settings.index_pypi_url or index.url, fetch_allow=tuple(allow)))
        step.note = f"log, attester, witness, resolver, worker    made in {settings.home / 'secrets'}"
    fingerprint = sha256((settings.home / "trust.json").read_bytes())
    screen.fact("trust file", f"{settings.home / 'trust.json'}    sha256:{fingerprint}")


def _move_port(settings: Settings, port: int) -> Settings:
    """Put another public port into the configuration; a running instance is restarted on it."""
    if supervise.running(settings):
        supervise.stop(settings)
    path = settings.home / "config.toml"
    old_witness = f"http://127.0.0.1:{settings.witness_api_port}"
    text = path.read_text().replace(f"port = {settings.port}\n", f"port = {port}\n", 1)
    moved = settings_module.load({}, home=settings.home, port=port)
    text = text.replace(old_witness, f"http://127.0.0.1:{moved.witness_api_port}")
    folders.write_public(path, text.encode())
    return settings_module.load(home=settings.home)


def _start(settings: Settings, screen: Screen) -> None:
    stamp_file = settings.home / "run" / "started.stamp"
    stamp = _stamp()
    if supervise.running(settings):
        if stamp_file.exists() and stamp_file.read_text() == stamp:
            _wait_ready(settings, screen)
            return
        with screen.step("processes") as step:
            supervise.stop(settings)
            step.note = "restarted, since the code has changed"
    _refuse_taken_port(settings)
    with screen.step("processes") as step:
        supervise.start(settings)
        _wait_ready(settings, screen)
        stamp_file.write_text(stamp)
        step.note = " ".join(process_names(settings))


def _stamp() -> str:
    import sys

    file = Path(sys.prefix) / "stamp"
    return file.read_text().strip() if file.exists() else ""


def _refuse_taken_port(settings: Settings) -> None:
    for port in (settings.port, settings.worker_api_port, settings.witness_api_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise OwnError(f"Port {port} is taken by somebody else; choose another with --port N (N, N+1 and N+2 are used).") from None


def _wait_ready(settings: Settings, screen: Screen) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    missing = "api"
    while time.monotonic() < deadline:
        missing = _not_ready(settings)
        if not missing:
            return
        screen.bar("processes", 1 - (deadline - time.monotonic()) / _READY_SECONDS, f"waiting for {missing}")
        time.sleep(0.1)
    culprit = next((row.name for row in supervise.status(settings) if row.state != "running"), "api")
    log = settings.home / "run" / f"{culprit}.log"
    raise OwnError(f"Not ready after {_READY_SECONDS} s: {missing}. Last words of {culprit} ({log}):\n{supervise.tail(settings, culprit)}")


def _not_ready(settings: Settings) -> str:
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(65536)
        if answer.status == 200:
            return ""
        document = parse(body, max_bytes=65536)
        return str(document.get("detail", "the service")) if isinstance(document, dict) else "the service"
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        return "the api"
    finally:
        connection.close()
