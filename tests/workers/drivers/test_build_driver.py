"""The build driver: one wheel from one sdist, or an answer that says why not; never a traceback in place of a result."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.archive.zips import MTIME, Part, sdist, zip_bytes

DRIVER = Path(__file__).parents[3] / "workers" / "drivers" / "build.py"
WHEEL = "demo-1.0-py3-none-any.whl"
BACKEND = """
import json, os, sys, zipfile
from pathlib import Path

def get_requires_for_build_wheel(config_settings=None):
    return json.loads(os.environ.get("DEMO_NEEDS", "[]"))

def build_wheel(folder, config_settings=None, metadata_directory=None):
    if os.environ.get("DEMO_FAIL"):
        raise RuntimeError("no compiler")
    names = os.environ.get("DEMO_NAMES", "demo-1.0-py3-none-any.whl").split()
    os.umask(umask := os.umask(0))
    facts = {"env": dict(os.environ), "umask": oct(umask), "cwd": os.getcwd(), "prefix": sys.prefix, "path": sys.path}
    facts["mtime"] = os.stat("demo/__init__.py").st_mtime
    facts["mode"] = oct(os.stat("demo/__init__.py").st_mode & 0o777)
    for name in names:
        with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
            archive.writestr("facts.json", json.dumps(facts))
    return names[0] if names else ""
"""
TREE = {"demo/__init__.py": b"x = 1\n", "backend.py": BACKEND.encode(), "setup.py": b"from setuptools import setup\nsetup()\n"}
RECIPE = {"entry": "pep517", "backend": "backend", "backend_path": ["."], "output": WHEEL, "tz": "UTC", "umask": "022", "requirements": []}


def fake_wheel(name: str, files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in {**files, f"{name}-1.0.dist-info/METADATA": f"Name: {name}\nVersion: 1.0\n"}.items():
            archive.writestr(path, text)
    return out.getvalue()


def run(tmp_path: Path, recipe: object, source: bytes, inputs: Mapping[str, bytes] | None = None) -> tuple[dict[str, object], str]:
    inner, outer, work = tmp_path / "in", tmp_path / "out", tmp_path / "build"
    (inner / "inputs").mkdir(parents=True)
    outer.mkdir()
    (inner / "recipe.json").write_text(recipe if isinstance(recipe, str) else json.dumps(recipe))
    (inner / "source").write_bytes(source)
    for name, data in (inputs or {}).items():
        (inner / "inputs" / name).write_bytes(data)
    argv = [sys.executable, "-B", str(DRIVER), str(inner), str(outer), str(work)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    result = json.loads((outer / "result.json").read_text())
    assert done.returncode == ("failed" in result), done.stderr
    return result, done.stdout + done.stderr


def facts(tmp_path: Path) -> dict[str, object]:
    with zipfile.ZipFile(tmp_path / "out" / "dist" / WHEEL) as archive:
        return json.loads(archive.read("facts.json"))  # type: ignore[no-any-return]


def test_a_backend_builds_one_wheel_in_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENT", "leaks")
    result, _ = run(tmp_path, {**RECIPE, "source_date_epoch": 1700000000, "tz": "XXX+5"}, sdist(TREE, mtime=1600000001))
    assert result == {"built": WHEEL}
    found = facts(tmp_path)
    env = found["env"]
    assert isinstance(env, dict)
    assert "AMBIENT" not in env
    assert (env["SOURCE_DATE_EPOCH"], env["TZ"], env["LC_ALL"], env["PYTHONHASHSEED"]) == ("1700000000", "XXX+5", "C.UTF-8", "0")
    assert (found["umask"], found["mtime"], found["mode"]) == ("0o22", 1600000001.0, "0o644")
    assert str(found["cwd"]).endswith("/demo-1.0")
    assert str(found["prefix"]).startswith(str(tmp_path))
    assert not [item for item in found["path"] if str(item).endswith("drivers")]  # type: ignore[attr-defined]


def test_the_source_date_epoch_is_absent_when_the_recipe_has_none(tmp_path: Path) -> None:
    run(tmp_path, RECIPE, sdist(TREE))
    assert "SOURCE_DATE_EPOCH" not in facts(tmp_path)["env"]  # type: ignore[operator]


@pytest.mark.parametrize(("umask", "modes", "expected"), [("022", "masked", "0o644"), ("002", "masked", "0o664"), ("022", "kept", "0o664")])
def test_the_umask_is_taken_off_the_sources_modes_or_not(tmp_path: Path, umask: str, modes: str, expected: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in TREE.items():
            item = tarfile.TarInfo("demo-1.0/" + name)
            item.size, item.mode = len(data), 0o664
            archive.addfile(item, io.BytesIO(data))
    run(tmp_path, {**RECIPE, "umask": umask, "source_modes": modes}, out.getvalue())
    assert facts(tmp_path)["mode"] == expected


def test_what_the_backend_asks_for_beyond_its_inputs_is_the_answer(tmp_path: Path) -> None:
    asked = ["Foo_Bar>=1", "present", 'extra-only; extra == "all"', "listed; python_version < '3'"]
    recipe = {**RECIPE, "env": {"DEMO_NEEDS": json.dumps(asked)}, "requirements": ["listed"]}
    result, _ = run(tmp_path, recipe, sdist(TREE), {"present-1.0-py3-none-any.whl": fake_wheel("present", {"present.py": ""})})
    assert result == {"needs": ["Foo_Bar>=1"]}


SETUPTOOLS = {
    "setuptools/__init__.py": """
import configparser, os, sys, zipfile
def setup(**_):
    folder = sys.argv[sys.argv.index("--dist-dir") + 1]
    config = configparser.ConfigParser(); config.read(os.path.expanduser("~/.pydistutils.cfg"))
    tag = "py2.py3" if config.get("bdist_wheel", "universal", fallback="0") == "1" else "py3"
    assert sys.argv[1] == "bdist_wheel" and os.path.basename(sys.argv[0]) == "setup.py"
    zipfile.ZipFile(os.path.join(folder, f"demo-1.0-{tag}-none-any.whl"), "w").close()
""",
    "setuptools/build_meta.py": """
class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(_=None):
        open('touched', 'w').close()
        return ['setuptools']
""",
}


@pytest.mark.parametrize("universal", [False, True])
def test_setup_py_is_entered_as_in_old_times(tmp_path: Path, universal: bool) -> None:
    name = f"demo-1.0-{'py2.py3' if universal else 'py3'}-none-any.whl"
    recipe = {**RECIPE, "entry": "setup.py", "backend": None, "backend_path": [], "universal": universal, "output": name}
    result, log = run(tmp_path, recipe, sdist(TREE), {"setuptools-1.0-py3-none-any.whl": fake_wheel("setuptools", SETUPTOOLS)})
    assert result == {"built": name}, log
    assert not (tmp_path / "build" / "src" / "demo-1.0" / "touched").exists()


def test_scripts_and_data_of_an_input_are_installed(tmp_path: Path) -> None:
    tool = {
        "tool.py": "def main():\n    print('called')\n",
        "tool-1.0.dist-info/entry_points.txt": "[console_scripts]\ntool = tool:main\n",
        "tool-1.0.data/scripts/plain": "#!python\nprint('plain')\n",
        "tool-1.0.data/purelib/inside.py": "",
    }
    run(tmp_path, RECIPE, sdist(TREE), {"tool-1.0-py3-none-any.whl": fake_wheel("tool", tool)})
    scripts = tmp_path / "build" / "env" / "bin"
    assert subprocess.check_output([scripts / "tool"], text=True) == "called\n"
    assert subprocess.check_output([scripts / "plain"], text=True) == "plain\n"
    assert list((tmp_path / "build" / "env" / "lib").glob("python*/site-packages/inside.py"))


FAILURES = {
    "a backend that raises": ({**RECIPE, "env": {"DEMO_FAIL": "1"}}, "backend-failed", "no compiler"),
    "a backend that is not there": ({**RECIPE, "backend": "nowhere.at.all"}, "backend-missing", "nowhere"),
    "no wheel": ({**RECIPE, "env": {"DEMO_NAMES": " "}}, "output-missing", "0 wheels"),
    "two wheels": ({**RECIPE, "env": {"DEMO_NAMES": f"{WHEEL} other-1.0-py3-none-any.whl"}}, "output-missing", "2 wheels"),
    "another name": ({**RECIPE, "env": {"DEMO_NAMES": "demo-1.0-py2-none-any.whl"}}, "output-other-name", WHEEL),
    "a backend path that leaves": ({**RECIPE, "backend_path": ["../../.."]}, "unsafe-source", "leaves"),
    "garbage for a recipe": ("{", "backend-failed", "JSONDecodeError"),
    "a recipe of another shape": ("[]", "backend-failed", "AttributeError"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_is_an_answer_with_a_class(tmp_path: Path, what: str) -> None:
    recipe, class_, detail = FAILURES[what]
    result, _ = run(tmp_path, recipe, sdist(TREE))
    failed = result["failed"]
    assert isinstance(failed, dict)
    assert (failed["class"], detail in failed["detail"]) == (class_, True), failed
    assert not (tmp_path / "out" / "dist").exists()


def raw(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    item = tarfile.TarInfo(name)
    item.type, item.linkname = kind, link
    return item


UNSAFE = {
    "a name that leaves": [raw("demo-1.0/../../evil")],
    "an absolute name": [raw("/tmp/evil")],
    "a link that leaves": [raw("demo-1.0/l", tarfile.SYMTYPE, "../../../etc")],
    "an absolute link": [raw("demo-1.0/l", tarfile.SYMTYPE, "/etc/passwd")],
    "a member below a link": [raw("demo-1.0/l", tarfile.SYMTYPE, "demo"), raw("demo-1.0/l/evil")],
    "a hard link that leaves": [raw("demo-1.0/l", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [raw("demo-1.0/d", tarfile.CHRTYPE)],
    "a fifo": [raw("demo-1.0/d", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("what", UNSAFE)
def test_an_unsafe_source_is_refused_whole(tmp_path: Path, what: str) -> None:
    result, _ = run(tmp_path, RECIPE, sdist(TREE, extra=[(item, b"") for item in UNSAFE[what]]))
    assert result["failed"]["class"] == "unsafe-source"  # type: ignore[index]
    assert not (tmp_path / "evil").exists()


def test_set_id_bits_of_the_source_are_dropped(tmp_path: Path) -> None:
    item = raw("demo-1.0/tool")
    item.mode = 0o6755
    run(tmp_path, RECIPE, sdist(TREE, extra=[(item, b"")]))
    assert stat.S_IMODE((tmp_path / "build" / "src" / "demo-1.0" / "tool").stat().st_mode) == 0o755


@pytest.mark.parametrize("source", [b"", b"garbage", sdist(TREE)[:100], sdist({}), b"PK\x03\x04"])
def test_a_source_that_cannot_be_unpacked_is_an_answer(tmp_path: Path, source: bytes) -> None:
    result, _ = run(tmp_path, RECIPE, source)
    assert "failed" in result


@pytest.mark.parametrize(("zone", "mtime"), [("UTC", MTIME), ("XXX-8", MTIME - 8 * 3600), ("EST5EDT,M3.2.0,M11.1.0", MTIME + 5 * 3600)])
def test_a_zip_source_has_its_times_in_the_recipes_zone(tmp_path: Path, zone: str, mtime: int) -> None:
    run(tmp_path, {**RECIPE, "source_tz": zone}, zip_bytes([Part(f"demo-1.0/{name}", data) for name, data in TREE.items()]))
    found = facts(tmp_path)
    assert found["mtime"] == mtime
    assert found["env"]["TZ"] == "UTC"  # type: ignore[index]


def test_two_top_folders_are_a_layout_that_is_named(tmp_path: Path) -> None:
    result, _ = run(tmp_path, RECIPE, sdist(TREE, extra=[(raw("other/x"), b"")]))
    assert result["failed"]["class"] == "source-layout"  # type: ignore[index]
