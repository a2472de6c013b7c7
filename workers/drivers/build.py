"""Build one wheel from one sdist, inside the build container (contract of drivers: workers/drivers/README.md).

Standard library only, Python 3.9 to 3.13, no network. Reads ``/in/recipe.json``, ``/in/source`` and the wheels in ``/in/inputs/``; writes
``/out/dist/<one wheel>`` and, last, ``/out/result.json``: ``{"built": name}``, ``{"needs": [requirement...]}`` or
``{"failed": {"class", "detail"}}``. Standard output and error are the build log. Whatever the package's code does to these files is its own
claim: the worker collects them after the container is dead, and the comparison decides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, List, Tuple

Json = Dict[str, Any]
Folders = List[Tuple[Path, float]]

HOOK = "--reprove-hook"
MAX_MEMBERS = 200_000
COUNTERS_SECONDS = 0.4
"""How long a failed build stays: the host reads the count of refused forks every quarter of a second, and it is gone with the container."""
FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
SETUP_SHIM = (
    "import io, os, sys, setuptools; sys.argv[0] = __file__ = os.path.abspath('setup.py'); sys.path.insert(0, os.getcwd()); "
    "code = io.open(__file__, encoding='utf-8').read().replace('\\r\\n', '\\n'); exec(compile(code, __file__, 'exec'))"
)
LEGACY = "setuptools.build_meta:__legacy__"


class FailedError(Exception):
    """The candidate ends here, with a cause class of INTERFACE section 5."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


def main(argv: list[str]) -> int:
    """Run one candidate; always ends with a result file, also when the package's own code misbehaves. 1 when it failed, else 0.

    The host asks the exit status only whether a full disk or a refused fork mattered.
    """
    if argv[1:2] == [HOOK]:
        return run_hook(argv[2], argv[3])
    inner = Path(argv[1] if len(argv) > 1 else "/in")
    outer = Path(argv[2] if len(argv) > 2 else "/out")
    work = Path(argv[3] if len(argv) > 3 else "/build")
    try:
        result = build(inner, outer, work)
    except FailedError as error:
        result = {"failed": {"class": error.cause, "detail": error.detail[:2000]}}
    except FAULTS as error:
        result = {"failed": {"class": "backend-failed", "detail": f"{type(error).__name__}: {error}"[:2000]}}
    print("reprove:", json.dumps(result), flush=True)
    write_last(outer / "result.json", result)
    if "failed" not in result:
        return 0
    time.sleep(COUNTERS_SECONDS)
    return 1


def build(inner: Path, outer: Path, work: Path) -> Json:
    """Unpack, install, ask, build, hand over."""
    recipe = json.loads((inner / "recipe.json").read_text(encoding="utf-8"))
    (work / "src").mkdir(parents=True)
    umask = int(recipe.get("umask", "022"), 8)
    os.environ["TZ"] = str(recipe.get("source_tz") or "UTC")
    time.tzset()
    tree = unpack(inner / "source", work / "src", 0 if recipe.get("source_modes") == "kept" else umask)
    python = make_environment(work / "env", sorted((inner / "inputs").glob("*.whl")))
    env = environment(recipe, work)
    os.umask(umask)
    spec = build_system(tree, recipe)
    say(f"entry {spec['entry']}, backend {spec['backend']}, python {sys.version.split()[0]}, umask {umask:03o}")
    needs = ask_requirements(python, env, spec, tree, work=work, recipe=recipe)
    if needs:
        return {"needs": needs}
    dist = work / "dist"
    dist.mkdir()
    if spec["entry"] == "setup.py":
        code = subprocess.run([python, "-c", SETUP_SHIM, "bdist_wheel", "--dist-dir", str(dist)], cwd=tree, env=env, check=False).returncode
        if code:
            raise FailedError("backend-failed", f"setup.py bdist_wheel ended with exit code {code}")
    else:
        hook(python, env, {**spec, "hook": "build_wheel", "dist": str(dist)}, tree, work=work)
    return hand_over(dist, outer / "dist", recipe.get("output"))


def say(text: str) -> None:
    """One line of ours in the build log."""
    print("reprove:", text, flush=True)


def write_last(path: Path, value: Json) -> None:
    """Replace ``path`` in one step: a reader sees a whole result or none."""
    draft = path.with_name("." + path.name)
    draft.write_text(json.dumps(value), encoding="utf-8")
    draft.replace(path)


# The source tree


def unpack(source: Path, target: Path, mask: int) -> Path:
    """Unpack the sdist below ``target`` with its modification times; returns its single top folder.

    ``mask`` is taken off every mode. A member or link that leaves the tree, a device, or a name twice refuses the source whole.
    """
    with source.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    folders = []
    if zipped:
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                unpack_zip_member(archive, info, target, mask, folders)
    else:
        with tarfile.open(source, "r:*") as archive:
            for count, info in enumerate(archive):
                if count >= MAX_MEMBERS:
                    raise FailedError("unsafe-source", "the source has too many members")
                unpack_tar_member(archive, info, target, mask, folders)
    for path, mtime in reversed(folders):  # after their content, which touches them
        os.utime(path, (mtime, mtime))
    tops = [item for item in target.iterdir() if item.name != "pax_global_header"]
    if len(tops) != 1 or not tops[0].is_dir():
        raise FailedError("source-layout", f"the source has {len(tops)} top members instead of one folder")
    return tops[0]


def place(target: Path, name: str) -> Path:
    """Where a member goes. Refuses names that leave ``target`` and parents that are not plain folders of ours."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise FailedError("unsafe-source", f"{name[:200]!r} leaves the source")
    path = target
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise FailedError("unsafe-source", f"{name[:200]!r} is below a link or file")
        path.mkdir(mode=0o755, exist_ok=True)
    path = path / parts[-1]
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        path.unlink()  # the last one of a name wins, as in tar
    return path


def unpack_tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, target: Path, mask: int, folders: Folders) -> None:
    """One member of a tar; see :func:`unpack`."""
    if info.isdir() and info.name.strip("./") == "":
        return
    path = place(target, info.name)
    mode = info.mode & 0o777 & ~mask
    if info.isdir():
        path.mkdir(exist_ok=True)
        path.chmod(mode | 0o700)
        folders.append((path, info.mtime))
    elif info.issym():
        root = target / info.name.strip("/").lstrip("./").split("/")[0]
        landing = os.path.normpath(path.parent / info.linkname)
        if info.linkname.startswith("/") or not (landing == str(root) or landing.startswith(f"{root}/")):
            raise FailedError("unsafe-source", f"{info.name[:200]!r} is a link that leaves the source")
        path.symlink_to(info.linkname)
    elif info.islnk():
        origin = place_of_link(target, info)
        shutil.copy2(origin, path)
    elif info.isreg():
        with archive.extractfile(info) as stream, path.open("wb") as out:
            shutil.copyfileobj(stream, out, 1024 * 1024)
        path.chmod(mode)
        os.utime(path, (info.mtime, info.mtime))
    else:
        raise FailedError("unsafe-source", f"{info.name[:200]!r} is a device or of an unknown kind")


def place_of_link(target: Path, info: tarfile.TarInfo) -> Path:
    """The earlier member that a hard link names."""
    parts = [part for part in info.linkname.split("/") if part not in ("", ".")]
    origin = target.joinpath(*parts)
    if info.linkname.startswith("/") or ".." in parts or not stat.S_ISREG(os.lstat(origin).st_mode):
        raise FailedError("unsafe-source", f"{info.name[:200]!r} is a hard link that leaves the source")
    return origin


def unpack_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, mask: int, folders: Folders) -> None:
    """One member of a zip; see :func:`unpack`. Its times have no zone; the recipe names the one they were written in."""
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise FailedError("unsafe-source", f"{info.filename[:200]!r} is a link or device")
    path = place(target, info.filename)
    mtime = zip_time(info)
    if info.is_dir():
        path.mkdir(exist_ok=True)
        folders.append((path, mtime))
        return
    with archive.open(info) as stream, path.open("wb") as out:
        shutil.copyfileobj(stream, out, 1024 * 1024)
    path.chmod((mode & 0o777 or 0o644) & ~mask)
    os.utime(path, (mtime, mtime))


def zip_time(info: zipfile.ZipInfo) -> float:
    """Seconds since 1970 of a zip member, in the zone that :func:`build` set."""
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 315532800


# The build environment


def make_environment(root: Path, wheels: list[Path]) -> str:
    """Make a virtual environment of this interpreter from exactly ``wheels``; returns its python.

    Written by hand, since Debian's ``venv`` wants packages that an environment need not have: ``pyvenv.cfg`` is all that ``site`` looks at.
    """
    base = Path(os.path.realpath(sys.executable))
    site = root / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    scripts = root / "bin"
    site.mkdir(parents=True)
    scripts.mkdir()
    (root / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n", encoding="utf-8")
    for name in ("python", "python3", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
        (scripts / name).symlink_to(base)
    for wheel in wheels:
        say(f"install {wheel.name}")
        install_wheel(wheel, site, scripts, root)
    return str(scripts / "python3")


def install_wheel(wheel: Path, site: Path, scripts: Path, root: Path) -> None:
    """Unpack one wheel (PEP 427): its data folder by scheme, scripts and entry points included."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            parts = [part for part in info.filename.split("/") if part]
            if ".." in parts or info.filename.startswith("/"):
                raise FailedError("backend-missing", f"{wheel.name} has a member that leaves it")
            path = site.joinpath(*parts)
            if parts[0].endswith(".data") and len(parts) > 2:
                path = {"purelib": site, "platlib": site, "scripts": scripts, "headers": root / "include"}.get(parts[1], root).joinpath(*parts[2:])
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as stream, path.open("wb") as out:
                shutil.copyfileobj(stream, out)
            if path.parent == scripts:
                fix_script(path, scripts)
            if parts[0].endswith(".dist-info") and parts[1:] == ["entry_points.txt"]:
                write_entry_points(path.read_text(encoding="utf-8"), scripts)


def fix_script(path: Path, scripts: Path) -> None:
    """Give a script of a wheel its interpreter."""
    data = path.read_bytes()
    if data.startswith(b"#!python"):
        path.write_bytes(b"#!" + str(scripts / "python3").encode() + data[len(b"#!python") :])
    path.chmod(0o755)


def write_entry_points(text: str, scripts: Path) -> None:
    """Console scripts that a backend may call by name."""
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[] ")
        found = re.match(r"([\w.-]+)\s*=\s*([\w.]+):([\w.]+)\s*(?:\[.*\])?\s*\Z", line)
        if section == "console_scripts" and found:
            name, module, attribute = found.groups()
            path = scripts / name
            path.write_text(
                f"#!{scripts}/python3\nimport sys\nfrom {module} import {attribute.split('.')[0]}\nsys.exit({attribute}())\n", encoding="utf-8"
            )
            path.chmod(0o755)


def environment(recipe: Json, work: Path) -> dict[str, str]:
    """The environment variables of a build, from nothing."""
    home = work / "home"
    (work / "tmp").mkdir()
    home.mkdir()
    env = {
        "PATH": f"{work / 'env' / 'bin'}:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(work / "tmp"),
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "TZ": str(recipe.get("tz") or "UTC"),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **{str(key): str(value) for key, value in (recipe.get("env") or {}).items()},
    }
    if recipe.get("source_date_epoch") is not None:
        env["SOURCE_DATE_EPOCH"] = str(recipe["source_date_epoch"])
    if recipe.get("universal"):
        # every distutils and setuptools reads this file, while their spelling of --build-option changed three times
        (home / ".pydistutils.cfg").write_text("[bdist_wheel]\nuniversal = 1\n", encoding="utf-8")
    return env


# The build system


def build_system(tree: Path, recipe: Json) -> Json:
    """What builds this tree: the recipe says how it is entered and which backend, read from ``pyproject.toml`` when the recipe was made."""
    entry = recipe.get("entry", "pep517")
    if entry == "setup.py" and not (tree / "setup.py").is_file():
        raise FailedError("source-layout", "the recipe enters by setup.py and the source has none")
    paths = [] if recipe.get("ignore_backend_path") else list(recipe.get("backend_path") or [])
    for path in paths:
        landing = os.path.normpath(tree / path)
        if landing != str(tree) and not landing.startswith(f"{tree}/"):
            raise FailedError("unsafe-source", "backend-path leaves the source")
    return {"entry": entry, "backend": recipe.get("backend") or LEGACY, "paths": [str(tree / path) for path in paths]}


def ask_requirements(python: str, env: dict[str, str], spec: Json, tree: Path, *, work: Path, recipe: Json) -> list[str]:
    """What the backend asks for beyond what is installed. Asked in a copy of the tree where entering by setup.py would not have asked."""
    where = tree
    if spec["entry"] == "setup.py":
        where = work / "ask" / tree.name
        where.parent.mkdir()
        shutil.copytree(tree, where, symlinks=True)
    answer = hook(python, env, {**spec, "hook": "get_requires_for_build_wheel"}, where, work=work)
    if where is not tree:
        shutil.rmtree(where.parent, ignore_errors=True)
    listed = {normal(item) for item in recipe.get("requirements") or []}
    installed = {normal(path.name.split("-")[0]) for path in (work / "env").glob("lib/python*/site-packages/*.dist-info")}
    needs = []
    for item in answer.get("value") or []:
        if not isinstance(item, str) or re.search(r"\bextra\s*==", item.partition(";")[2]):
            continue  # flit lists the project's own extras; none of them is on in a build (PEP 508)
        if normal(item) not in installed | listed and item not in needs:
            needs.append(item[:500])
    return needs[:50]


def normal(requirement: str) -> str:
    """The normal name (PEP 503) at the start of a requirement."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", found.group(1)).strip("-").lower() if found else requirement


def hook(python: str, env: dict[str, str], spec: Json, tree: Path, *, work: Path) -> Json:
    """Run one hook of PEP 517 in its own process; a crash of the backend is an answer, not ours."""
    ask, answer = work / "hook.json", work / "answer.json"
    ask.write_text(json.dumps(spec), encoding="utf-8")
    if answer.exists():
        answer.unlink()
    code = subprocess.run([python, str(Path(__file__).resolve()), HOOK, str(ask), str(answer)], cwd=tree, env=env, check=False).returncode
    try:
        value = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise FailedError("backend-failed", f"{spec['hook']} ended with exit code {code} and no answer") from None
    if not isinstance(value, dict):
        raise FailedError("backend-failed", f"{spec['hook']} gave an answer of unknown form")
    if "error" in value:
        raise FailedError(str(value.get("class", "backend-failed")), f"{spec['hook']}: {value['error']}")
    return value


def run_hook(ask: str, answer: str) -> int:
    """The child side of :func:`hook`: import the backend, call it, write the answer."""
    import importlib
    import traceback

    spec = json.loads(Path(ask).read_text(encoding="utf-8"))
    sys.path[0:1] = spec["paths"]  # instead of the folder of drivers
    result = {}
    try:
        module, _, attribute = spec["backend"].partition(":")
        backend = importlib.import_module(module)
        for part in attribute.split(".") if attribute else []:
            backend = getattr(backend, part)
    except Exception as error:  # noqa: BLE001  # any failure to import is the backend's
        traceback.print_exc()
        result = {"class": "backend-missing", "error": f"{type(error).__name__}: {error}"[:1000]}
    else:
        try:
            if spec["hook"] == "build_wheel":
                result["value"] = backend.build_wheel(spec["dist"], {}, None)
            else:
                asked = getattr(backend, spec["hook"], None)
                result["value"] = [str(item) for item in asked({})] if asked else []
        except (Exception, SystemExit) as error:  # noqa: BLE001  # any failure of package code is the backend's
            traceback.print_exc()
            result = {"class": "backend-failed", "error": f"{type(error).__name__}: {error}"[:1000]}
    Path(answer).write_text(json.dumps(result), encoding="utf-8")
    return 0


def hand_over(dist: Path, target: Path, expected: object) -> Json:
    """Copy the one wheel out, under the name that the original has."""
    found = sorted(item for item in dist.iterdir() if item.name.endswith(".whl"))
    if len(found) != 1:
        raise FailedError("output-missing", f"the build made {len(found)} wheels: {', '.join(item.name for item in found)[:500]}")
    wheel = found[0]
    if wheel.is_symlink() or not wheel.is_file():
        raise FailedError("output-refused", f"{wheel.name} is not a plain file")
    if expected and wheel.name != expected:
        raise FailedError("output-other-name", f"built {wheel.name}, the original is {expected}")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(wheel, target / wheel.name)
    return {"built": wheel.name}


if __name__ == "__main__":
    sysconfig.get_platform()  # fails early where the interpreter's own files are missing
    sys.exit(main(sys.argv))
