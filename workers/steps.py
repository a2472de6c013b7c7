"""The container steps of a rebuild as functions: what goes in, what may come out, and how an ending becomes a cause.

Whatever parses the artifact or the source runs in these containers; here only size-capped JSON and named blobs are read (DESIGN section 5.4).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reprove.core.canonical import parse
from reprove.core.errors import OwnError, ProblemError
from reprove.core.outcomes import Outcome
from reprove.core.statements.parts import Cause
from workers.sandbox import (
    PYTHONPATH,
    Collected,
    Engine,
    ImageRef,
    Labels,
    Limits,
    Mount,
    OutputRefusedError,
    Step,
    StepResult,
    collect,
    driver_mount,
    tool_mounts,
)

MAX_RESULT = 8 * 1024**2
"""Bytes of a driver's result.json."""
_PARSER_LIMITS = {"time_s": 120.0, "memory": 1024**3, "disk": 512 * 1024**2, "pids": 64, "log": 1024**2}
"""What inference and comparison may use; a hostile archive that needs more is answered with a limit, not with a hung worker."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a candidate ended short of bytes to compare: an outcome that is not ``reproduced``, with its cause."""

    outcome: Outcome
    cause: Cause


@dataclass(frozen=True, slots=True)
class Output:
    """What a step left: its result document and the collected files by name, and how the step ran."""

    document: Mapping[str, object]
    files: Mapping[str, Collected]
    step: StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every step of one attempt shares."""

    engine: Engine
    labels: Labels
    outputs: Path
    max_output: int
    cancel: threading.Event
    on_log: Callable[[bytes], None]


def run_parser(bench: Bench, image: ImageRef, driver: str, inputs: Mapping[str, Path], *, blobs: tuple[str, ...] = ()) -> Output | Ending:
    """Run ``infer`` or ``compare`` over ``inputs`` (name below ``/in`` to file); ``blobs`` names the files it may leave besides its result."""
    limits = Limits(**_PARSER_LIMITS, cpus=1)  # type: ignore[arg-type]  # one mapping for all fields
    mounts = (*tool_mounts(), *(Mount(path, f"/in/{name}") for name, path in inputs.items()))
    env = {"PYTHONPATH": PYTHONPATH}
    return _run(bench, image, ("python3", "-B", f"/opt/drivers/{driver}.py"), mounts, limits, env, allow=("result.json", *blobs), keep_log=False)


def run_build(bench: Bench, image: ImageRef, inputs: Path, limits: Limits, *, output: str) -> Output | Ending:
    """Run the build driver over the folder ``inputs`` (recipe.json, source, inputs/); at most one wheel named ``output`` comes out."""
    mounts = (driver_mount(), Mount(inputs, "/in"))
    argv = ("python3", "-B", "/opt/drivers/build.py")
    return _run(bench, image, argv, mounts, limits, {}, allow=("result.json", f"dist/{output}"), keep_log=True)


def _run(
    bench: Bench,
    image: ImageRef,
    argv: tuple[str, ...],
    mounts: tuple[Mount, ...],
    limits: Limits,
    env: Mapping[str, str],
    *,
    allow: tuple[str, ...],
    keep_log: bool,
) -> Output | Ending:
    said: list[bytes] = []
    with bench.engine.output_volume(limits.disk, labels=bench.labels) as volume:
        step = Step(
            image=image,
            argv=argv,
            limits=limits,
            labels=bench.labels,
            mounts=mounts,
            env=env,
            output=volume,
            on_log=bench.on_log if keep_log else said.append,
            cancel=bench.cancel,
        )
        result = bench.engine.run(step)
        if result.limit is not None:
            return Ending(Outcome.LIMIT_EXCEEDED, Cause(result.limit, f"the {argv[-1].rsplit('/', 1)[-1]} step met its {result.limit} limit"))
        try:
            # the container is dead: nothing rewrites what is read now
            found = {
                item.name: item
                for item in collect(volume, allow=allow, max_bytes=min(limits.disk, bench.max_output), destination=bench.outputs, engine=bench.engine)
            }
        except OutputRefusedError as error:
            if error.too_large:
                return Ending(Outcome.LIMIT_EXCEEDED, Cause("output", str(error)))
            return Ending(Outcome.BUILD_FAILED, Cause("output-refused", str(error)))
    if "result.json" not in found and not keep_log and not result.cancelled:
        # our own reader died over this input: nothing is known of the artifact, and the operator has to hear why
        raise OwnError(f"{argv[-1].rsplit('/', 1)[-1]} ended with exit code {result.exit_code}: {b''.join(said)[-600:].decode('utf-8', 'replace')!r}")
    if "result.json" not in found:
        return Ending(Outcome.BUILD_FAILED, Cause("backend-failed", f"ended with exit code {result.exit_code} and left no result"))
    file = found.pop("result.json")
    if file.size > MAX_RESULT:
        # it may be as large as the step's disk: it never enters this process's memory
        return Ending(Outcome.BUILD_FAILED, Cause("output-refused", f"result.json has {file.size} bytes, more than {MAX_RESULT}"))
    try:
        document = parse(file.path.read_bytes(), max_bytes=MAX_RESULT, what="the step's result")
    except ProblemError as error:
        return Ending(Outcome.BUILD_FAILED, Cause("output-refused", f"result.json: {error}"))
    if not isinstance(document, dict):
        return Ending(Outcome.BUILD_FAILED, Cause("output-refused", "result.json is not an object"))
    return Output(document, found, result)


def text_of(document: Mapping[str, object], key: str, *, limit: int = 400) -> str:
    """A text member of a driver's document, cut and made one printable line; anything else is empty."""
    value = document.get(key)
    return line(value, limit=limit) if isinstance(value, str) else ""


def line(text: str, *, limit: int = 400) -> str:
    """Text that a build may have written, cut and made one printable line."""
    return "".join(character if character.isprintable() else " " for character in text[:limit])
