"""How long comparing takes, beside the machine's own limits and beside diffoscope on the same pairs in the same run.

    python -m tests.bench.compare_bench [--cache FOLDER] [--diffoscope PATH] [--only NAME …] [--tiny] [--json]

Packages come through pip and apt by name, once, into the cache folder. Each pair is made from one published artifact, both sides written by the
same packer, so that exactly the named thing differs. Times are CPU seconds (user and system) of a fresh process that has imported the comparer
(*in-process*, best of three) and of the whole command (*process*); memory is the greatest resident set of the command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RUNS = 3
ROOT = Path(__file__).parents[2]
WHEELS = {"django": "Django==5.2.8", "numpy": "numpy==2.1.3", "scipy": "scipy==1.11.4", "pyyaml": "PyYAML==6.0.2"}
DEB = "libllvm14"
DIFFOSCOPE_SECONDS = 1800


@dataclass(frozen=True)
class Pair:
    """Two files, and what may be asked of them: ``goals`` are (figure, seconds)."""

    name: str
    original: Path
    rebuilt: Path
    goals: dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("REPROVE_TEST_CACHE", Path.home() / ".cache" / "reprove-tests")) / "bench")
    parser.add_argument("--diffoscope", default=shutil.which("diffoscope"), help="compare with this diffoscope; without one, no ratio")
    parser.add_argument("--only", action="append", default=[], help="pairs to run")
    parser.add_argument("--tiny", action="store_true", help="small generated pairs only, nothing is downloaded")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    limits = machine_limits(8 if arguments.tiny else 64)
    if not arguments.json:
        print(f"machine: sha256 {limits['sha256']:.0f} MiB/s, inflate {limits['inflate']:.0f} MiB/s of text, load {os.getloadavg()[0]:.1f}")
        print(f"{'pair':<34} {'structural':>10} {'sound':>8} {'wall':>7} {'process':>8} {'peak':>8} {'verdict':<28} {'diffoscope':>18}")
    rows = []
    for pair in scaled_pairs(arguments.cache, (1,) if arguments.tiny else (1, 10, 100)) if arguments.tiny else pairs(arguments.cache):
        if arguments.only and pair.name not in arguments.only:
            continue
        row = measure(pair, arguments.diffoscope)
        rows.append(row)
        if not arguments.json:
            print(line(row), flush=True)
    if arguments.json:
        print(json.dumps({"limits": limits, "pairs": rows}, indent=1))
    return 0


def machine_limits(mebibytes: int) -> dict[str, float]:
    """MiB a second of hashing, and of inflating text to its size, on one core."""
    data = b"".join(b"line %d of a text that compresses as source code does\n" % number for number in range(20_000 * mebibytes))[
        : mebibytes * 1024**2
    ]
    packed = zlib.compress(data)
    return {"sha256": mebibytes / timed(lambda: hashlib.sha256(data).digest()), "inflate": mebibytes / timed(lambda: zlib.decompress(packed))}


def timed(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def pairs(cache: Path) -> Iterator[Pair]:
    """The pairs of the table, made once."""
    django = rewritten(cache, download(cache, "django"), "umask", mode=lambda mode: mode | 0o020)
    yield Pair("django, umask", *django, {"structural": 0.1, "sound": 0.3})
    yield Pair("numpy, one byte of the largest .so", *one_byte(cache, download(cache, "numpy")), {"structural": 0.15, "sound": 0.7})
    yield Pair("scipy, recompressed", *rewritten(cache, download(cache, "scipy"), "level9", level=9), {"wall": 1.0, "sound": 1.8})
    yield Pair("libllvm14.deb, times", *debs(cache), {"wall": 4.0})
    yield Pair("PyYAML, published and rebuilt", download(cache, "pyyaml"), rebuilt_pyyaml(cache), {})
    yield from scaled_pairs(cache, (1, 10, 100))


def download(cache: Path, name: str) -> Path:
    folder = cache / name
    if not list(folder.glob("*.whl")):
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", folder, WHEELS[name]], check=True
        )
    return next(folder.glob("*.whl"))


def rewritten(cache: Path, wheel: Path, what: str, *, level: int = 6, mode: Callable[[int], int] = int) -> tuple[Path, Path]:
    """The wheel by Python's zipfile at level 6, and again with another level or other modes."""
    return repack(cache, wheel, "plain"), repack(cache, wheel, what, level=level, mode=mode)


def repack(
    cache: Path, wheel: Path, what: str, *, level: int = 6, mode: Callable[[int], int] = int, change: Callable[[str, bytes], bytes] | None = None
) -> Path:
    target = cache / "made" / what / wheel.name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as out:
        for info in source.infolist():
            made = zipfile.ZipInfo(info.filename, info.date_time)
            made.external_attr = mode(info.external_attr >> 16) << 16 | info.external_attr & 0xFFFF
            made.compress_type = zipfile.ZIP_DEFLATED
            data = source.read(info)
            out.writestr(made, change(info.filename, data) if change else data, compresslevel=level)
    return draft.replace(target)


def one_byte(cache: Path, wheel: Path) -> tuple[Path, Path]:
    with zipfile.ZipFile(wheel) as archive:
        largest = max((info for info in archive.infolist() if ".so" in info.filename), key=lambda info: info.file_size)

    def change(name: str, data: bytes) -> bytes:
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if name == largest.filename else data

    return repack(cache, wheel, "plain"), repack(cache, wheel, "onebyte", change=change)


def debs(cache: Path) -> tuple[Path, Path]:
    """The package built twice by dpkg-deb from the same tree with other times."""
    sides = (cache / "made" / "one.deb", cache / "made" / "two.deb")
    if not all(side.exists() for side in sides):
        sides[0].parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", DEB], cwd=cache, check=True)
        tree = cache / "made" / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run(["dpkg-deb", "-R", next(cache.glob(f"{DEB}_*.deb")), tree], check=True)
        for side, stamp in zip(sides, ("2024-01-02 03:04:05Z", "2025-06-07 08:09:10Z"), strict=True):
            subprocess.run(["find", tree, "-exec", "touch", "-h", "-d", stamp, "{}", "+"], check=True)
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree, side], check=True, stdout=subprocess.DEVNULL)
    return sides


def rebuilt_pyyaml(cache: Path) -> Path:
    folder = cache / "pyyaml-rebuilt"
    if not list(folder.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "-w", folder]
        subprocess.run([*command, WHEELS["pyyaml"]], check=True)
    return next(folder.glob("*.whl"))


def scaled_pairs(cache: Path, sizes: tuple[int, ...]) -> Iterator[Pair]:
    """Generated wheels of so many MiB, recompressed: the cost has to be linear."""
    for size in sizes:
        plain = cache / "made" / f"generated-{size}" / "generated.zip"
        if not plain.exists():
            plain.parent.mkdir(parents=True, exist_ok=True)
            noise = "".join(hashlib.sha256(b"%d" % number).hexdigest() for number in range(size * 1024**2 // 64)).encode()
            with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for number in range(size * 8):
                    part = noise[number * len(noise) // (size * 8) : (number + 1) * len(noise) // (size * 8)]
                    archive.writestr(zipfile.ZipInfo(f"generated/part{number}.bin", (2024, 1, 2, 3, 4, 4)), part + part[: len(part) // 2])
        yield Pair(f"generated {size} MiB, recompressed", *rewritten(plain.parent, plain, "level1", level=1), {})


IN_PROCESS = """
import sys, time, json
from pathlib import Path
from reprove.compare.quick import differs
from reprove.compare.engine import compare_files
original, rebuilt, quick = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "zip"
best = {"structural": None, "sound": 1e9, "wall": 1e9}
for _ in range(int(sys.argv[4])):
    if quick:
        begun = time.process_time(); differs(original, rebuilt); took = time.process_time() - begun
        best["structural"] = min(best["structural"] or 1e9, took)
    cpu, wall = time.process_time(), time.monotonic()
    compare_files(original, rebuilt, names=(original.name, rebuilt.name))
    best["sound"] = min(best["sound"], time.process_time() - cpu); best["wall"] = min(best["wall"], time.monotonic() - wall)
print(json.dumps(best))
"""


def measure(pair: Pair, diffoscope: str | None) -> dict[str, object]:
    kind = "zip" if pair.original.suffix in (".whl", ".zip", ".jar") else "other"
    inside = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, pair.original, pair.rebuilt, kind, str(RUNS)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    row: dict[str, object] = {"pair": pair.name, "goals": pair.goals, **json.loads(inside.stdout)}
    ours = whole_process([sys.executable, "-m", "reprove.cli.main", "compare", str(pair.original), str(pair.rebuilt), "--timeout", "600"])
    shown = ours.output.splitlines()
    row |= {"process": ours.cpu, "peak": ours.peak, "lines": len(shown), "verdict": shown[0] if shown else f"exit {ours.code}"}
    if diffoscope:
        theirs = whole_process([diffoscope, "--text", "/dev/null", str(pair.original), str(pair.rebuilt)])
        row["diffoscope"] = {"process": theirs.cpu, "peak": theirs.peak, "ratio": theirs.cpu / ours.cpu}
    return row


@dataclass(frozen=True)
class Ran:
    code: int
    cpu: float
    peak: int
    output: str


def whole_process(command: list[str]) -> Ran:
    """Run a command and take its CPU seconds and greatest resident set, children included."""
    script = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "sys.stdout.buffer.write(b'%d %f %d\\n' % (done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024) + done.stdout)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=DIFFOSCOPE_SECONDS)
    head, _, output = done.stdout.partition("\n")
    code, cpu, peak = head.split()
    return Ran(int(code), float(cpu), int(peak), output)


def line(row: dict[str, object]) -> str:
    def shown(key: str) -> str:
        value = row.get(key)
        if not isinstance(value, float):
            return "-"
        goals = row["goals"]
        goal = goals.get(key) if isinstance(goals, dict) else None
        return f"{value * 1000:.0f}{'' if goal is None else '✓' if value <= goal else '✗'}"

    other = row.get("diffoscope")
    ratio = f"{other['process']:.1f} s, {other['ratio']:.0f} x" if isinstance(other, dict) else "-"
    peak = int(str(row["peak"])) / 1024**2
    parts = f"{shown('structural'):>10} {shown('sound'):>8} {shown('wall'):>7} {shown('process'):>8} {peak:>4.0f} MiB"
    return f"{row['pair']:<34} {parts} {str(row['verdict'])[:28]:<28} {ratio:>18}   {row['lines']} lines"


if __name__ == "__main__":
    sys.exit(main())
