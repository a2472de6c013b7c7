"""Puts an environment into the engine, and checks that the engine has what the lock says, before every use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.environments.store import EnvironmentStore
from workers.environments.values import Environment, EnvironmentFaultError
from workers.sandbox.client import EngineAnswerError
from workers.sandbox.values import ImageRef

if TYPE_CHECKING:
    from workers.sandbox.engine import Engine


def ensure_loaded(engine: Engine, environment: Environment) -> ImageRef:
    """Give the engine's reference of the environment's image, loading the archive where the engine does not have it (about 2 s).

    The layers that the engine reports are compared with the record every time. Raises EnvironmentFaultError when they are others, SandboxError
    when the engine fails. Never a tag, a pull or an import: those name whatever somebody made them name.
    """
    reference = ImageRef(f"sha256:{environment.image_config_digest}")
    layers = _layers(engine, reference)
    if layers is None:
        loaded = _load(engine, environment)
        # engines with the containerd store name an image by another digest than its config's
        reference = loaded or reference
        layers = _layers(engine, reference)
    if layers != [f"sha256:{digest}" for digest in environment.diff_ids]:
        raise EnvironmentFaultError(f"the engine's image of {environment.name} has other layers than its lock: remove {reference} and try again")
    engine.holder_image = reference
    EnvironmentStore(environment.home).touch(environment)
    return reference


def _layers(engine: Engine, reference: ImageRef) -> list[str] | None:
    try:
        return list(engine.api.call("GET", f"/images/{reference}/json")["RootFS"]["Layers"])
    except EngineAnswerError as error:
        if error.status == 404:
            return None
        raise


def _load(engine: Engine, environment: Environment) -> ImageRef | None:
    """Load the archive; return the id that the engine says, None where it says nothing of the kind."""
    loaded: ImageRef | None = None
    try:
        with environment.archive.open("rb") as file:
            for message in engine.api.send("/images/load", file, environment.archive.stat().st_size, query={"quiet": "1"}):
                if "error" in message:
                    raise EnvironmentFaultError(f"the engine refused environment {environment.name}: {str(message['error'])[:300]}")
                words = str(message.get("stream", "")).split()
                if words[:3] == ["Loaded", "image", "ID:"]:
                    loaded = ImageRef(words[3])
    except ValueError:
        raise EnvironmentFaultError(f"the engine broke off while it loaded environment {environment.name}") from None
    except FileNotFoundError as error:
        raise EnvironmentFaultError(f"the archive of environment {environment.name} is gone: reprove env make {environment.name}") from error
    return loaded
