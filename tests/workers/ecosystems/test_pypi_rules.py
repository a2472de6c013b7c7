"""The rules that make a recipe out of evidence, one story a rule, on tiny wheels and sdists read by the real inference."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.zips import LATER, MTIME, TIME, Part, sdist, zip_bytes
from workers.ecosystems import pypi
from workers.ecosystems.drafts import Draft, Tried
from workers.ecosystems.generator import parse_generator
from workers.ecosystems.times import fixed_zone, local_zone, offset_at, source_date_epoch

DRIVER = Path(__file__).parents[3] / "workers" / "drivers" / "infer.py"
PYPROJECT = '[build-system]\nrequires = [{requires}]\nbuild-backend = "{backend}"\n{more}'
OLD_METADATA = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nPlatform: UNKNOWN\n{more}\nA text\n\n\n"


@pytest.fixture(scope="module")
def driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("infer_driver", DRIVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["infer_driver"] = module
    spec.loader.exec_module(module)
    return module


def pyproject(requires: str, backend: str, more: str = "") -> bytes:
    return PYPROJECT.format(requires=requires, backend=backend, more=more).encode()


def made_wheel(
    generator: str,
    *,
    metadata: str = "Metadata-Version: 2.1\n\n",
    mode: int = 0o100644,
    info_mode: int = 0,
    time: bytes = TIME,
    info: bytes = TIME,
    license_name: str = "",
) -> bytes:
    text = f"Wheel-Version: 1.0\nGenerator: {generator}\nRoot-Is-Purelib: true\n"
    files = {"METADATA": metadata.encode(), "WHEEL": text.encode(), "RECORD": b""}
    if license_name:
        files[license_name] = b"free"
    parts = [Part("demo/__init__.py", b"x = 1\n", mode=mode, time=time)]
    return zip_bytes([*parts, *(Part(f"demo-1.0.dist-info/{name}", data, mode=info_mode or mode, time=info) for name, data in files.items())])


class Case:
    """A wheel, a source, a file name and an upload time; ``draft`` is what the rules make of them."""

    def __init__(self, generator: str, *, uploaded: str = "2023-07-01T00:00:00Z", name: str = "demo-1.0-py3-none-any.whl", **options: Any) -> None:
        self.uploaded, self.name = uploaded, name
        self.source: bytes = options.pop("source", b"")
        self.files: dict[str, bytes] = {"demo/__init__.py": b"x = 1\n", "setup.py": b"", **options.pop("files", {})}
        self.wheel = made_wheel(generator, **options)

    def resolution(self) -> Any:
        return SimpleNamespace(original=SimpleNamespace(name=self.name, uploaded=self.uploaded), source=None)

    def evidence(self, driver: ModuleType, tmp_path: Path) -> Mapping[str, Any]:
        (tmp_path / "original").write_bytes(self.wheel)
        (tmp_path / "source").write_bytes(self.source or sdist(self.files))
        result: dict[str, Any] = {"findings": []}
        driver.collect(tmp_path, {"original": {"name": self.name, "uploaded": self.uploaded}}, result)
        return json.loads(json.dumps(result))  # type: ignore[no-any-return]

    def draft(self, driver: ModuleType, tmp_path: Path) -> Draft:
        return pypi.candidates(self.evidence(driver, tmp_path), self.resolution())[0]


FLIT = {"pyproject.toml": pyproject('"flit_core >=3.2,<4"', "flit_core.buildapi")}
SETUPTOOLS = {"pyproject.toml": pyproject('"setuptools>=61", "wheel"', "setuptools.build_meta")}
POETRY_SELF = {"pyproject.toml": pyproject("", "poetry.core.masonry.api", 'backend-path = ["src"]\n')}
SELF = {"pyproject.toml": pyproject("", "setuptools.build_meta", 'backend-path = ["."]\n')}
CONSTANT_2016 = struct.pack("<HH", 0, (2016 - 1980) << 9 | 1 << 5 | 1)
CONSTANT_2020 = struct.pack("<HH", 0, (2020 - 1980) << 9 | 2 << 5 | 2)
PLUS_8 = struct.pack("<HH", 11 << 11 | 4 << 5 | 2, (2024 - 1980) << 9 | 1 << 5 | 2)
OLD = OLD_METADATA.format(more="")
OWN_PLATFORM = OLD.replace("UNKNOWN", "any")
LICENSED = OLD_METADATA.format(more="License-File: LICENSE\n")

STORIES: dict[str, tuple[Case, dict[str, Any]]] = {
    "R1 bdist_wheel pins wheel": (Case("bdist_wheel (0.40.0)"), {"requirements": ("wheel==0.40.0", "setuptools")}),
    "R1 a local form is the pre-release": (Case("bdist_wheel (0.30.0.a0)"), {"requirements": ("wheel==0.30.0a0", "setuptools")}),
    "R1 setuptools pins itself": (Case("setuptools (75.6.0)"), {"requirements": ("setuptools==75.6.0", "wheel")}),
    "R1 flit pins flit_core over the project's own range": (
        Case("flit 3.9.0", files=FLIT),
        {"requirements": ("flit-core==3.9.0",), "entry": "pep517", "backend": "flit_core.buildapi"},
    ),
    "R1 poetry is poetry-core": (
        Case("poetry 1.0.3", files={"pyproject.toml": pyproject('"poetry>=1"', "poetry.core.masonry.api")}),
        {"requirements": ("poetry-core==1.0.3", "poetry>=1")},
    ),
    "R1 poetry-core": (
        Case("poetry-core 1.5.1", files={"pyproject.toml": pyproject('"poetry-core"', "poetry.core.masonry.api")}),
        {"requirements": ("poetry-core==1.5.1",)},
    ),
    "R1 hatchling": (
        Case("hatchling 1.18.0", files={"pyproject.toml": pyproject('"hatchling", "hatch-vcs"', "hatchling.build")}),
        {"requirements": ("hatchling==1.18.0", "hatch-vcs")},
    ),
    "R1 pdm-backend": (
        Case("pdm-backend (2.1.8)", files={"pyproject.toml": pyproject('"pdm-backend"', "pdm.backend")}),
        {"requirements": ("pdm-backend==2.1.8",)},
    ),
    "R1 an unknown generator is attempted with the source's own build system": (
        Case("strange 1", files={"pyproject.toml": pyproject('"strange>=1"', "strange.api")}),
        {"requirements": ("strange>=1",), "backend": "strange.api"},
    ),
    "R2 the index is read as of the upload": (
        Case("flit 3.9.0", uploaded="2023-01-02T03:04:05.678Z", files=FLIT),
        {"cut": "2023-01-02T03:04:05.678Z"},
    ),
    "R3 one time over the whole wheel is SOURCE_DATE_EPOCH": (Case("bdist_wheel (0.40.0)"), {"source_date_epoch": MTIME}),
    "R3 flit's constant is no epoch": (Case("flit 3.9.0", time=CONSTANT_2016, info=CONSTANT_2016, files=FLIT), {"source_date_epoch": None}),
    "R3 hatchling's constant is no epoch": (Case("hatchling 1.18.0", time=CONSTANT_2020, info=CONSTANT_2020), {"source_date_epoch": None}),
    "R3 another backend's constant is an epoch": (
        Case("bdist_wheel (0.40.0)", time=CONSTANT_2016, info=CONSTANT_2016),
        {"source_date_epoch": 1451606400},
    ),
    "R4 several times mean that it was unset": (Case("bdist_wheel (0.40.0)", info=LATER), {"source_date_epoch": None}),
    "R5 flit wrote local time": (Case("flit 3.9.0", time=PLUS_8, info=CONSTANT_2016, files=FLIT), {"tz": "XXX-8"}),
    "R5 setuptools writes UTC": (Case("bdist_wheel (0.40.0)", time=PLUS_8, info=LATER), {"tz": "UTC"}),
    "R5 a zip source has local times": (
        Case(
            "bdist_wheel (0.40.0)",
            info=LATER,
            source=zip_bytes([Part("demo-1.0/demo/__init__.py", b"x = 1\n", time=PLUS_8), Part("demo-1.0/setup.py")]),
        ),
        {"source_tz": "XXX-8", "tz": "UTC"},
    ),
    "R6 a license that METADATA does not name is setuptools before 57": (
        Case("bdist_wheel (0.37.0)", metadata=OWN_PLATFORM, license_name="LICENSE"),
        {"requirements": ("wheel==0.37.0", "setuptools<57")},
    ),
    "R6 Platform UNKNOWN is setuptools before 62": (
        Case("bdist_wheel (0.37.0)", metadata=LICENSED, license_name="LICENSE"),
        {"requirements": ("wheel==0.37.0", "setuptools<62")},
    ),
    "R6 says nothing of a time when no newer one existed": (
        Case("bdist_wheel (0.36.2)", metadata=OLD, license_name="LICENSE", uploaded="2021-05-05T00:00:00Z"),
        {"requirements": ("wheel==0.36.2", "setuptools")},
    ),
    "R8 an old wheel was imported by setuptools": (
        Case("setuptools (75.1.0)", metadata="Metadata-Version: 2.1\nRequires-Dist: a (>=1)\n\n", mode=0o100664, info_mode=0o664),
        {"requirements": ("setuptools==75.1.0", "wheel==0.37.1")},
    ),
    "R9 mode 0664 is umask 002": (Case("bdist_wheel (0.40.0)", mode=0o100664), {"umask": "002"}),
    "R9 mode 0644 is umask 022": (Case("bdist_wheel (0.40.0)"), {"umask": "022"}),
    "R9 is for setuptools only": (Case("flit 3.9.0", mode=0o100664, files=FLIT), {"umask": "022"}),
    "R10 no pyproject.toml is setup.py": (Case("bdist_wheel (0.40.0)"), {"entry": "setup.py"}),
    "R10 a pyproject.toml without build-system is PEP 517's default": (
        Case("bdist_wheel (0.40.0)", files={"pyproject.toml": b"[tool.x]\n"}),
        {"entry": "pep517", "backend": "setuptools.build_meta:__legacy__"},
    ),
    "R11 the file name says py2.py3": (Case("bdist_wheel (0.40.0)", name="demo-1.0-py2.py3-none-any.whl"), {"universal": True}),
    "R11 py3 alone is not universal": (Case("bdist_wheel (0.40.0)"), {"universal": False}),
    "R12 a backend that another release built": (
        Case("poetry-core 1.6.0", name="poetry_core-1.6.1-py3-none-any.whl", files=POETRY_SELF),
        {"ignore_backend_path": True, "requirements": ("poetry-core==1.6.0",)},
    ),
    "R12 a backend that builds itself is never installed beside itself": (
        Case("setuptools (80.9.0)", name="setuptools-80.9.0-py3-none-any.whl", uploaded="2025-05-27T00:00:00Z", files=SELF),
        {"ignore_backend_path": False, "backend_path": (".",), "requirements": ("wheel",)},
    ),
    "R15 2019 is the oldest of ours": (
        Case("bdist_wheel (0.33.6)", uploaded="2019-10-15T00:00:00Z"),
        {"python": "3.9", "environment": "bullseye-python"},
    ),
    "R15 2022 is the oldest of ours": (Case("bdist_wheel (0.37.1)", uploaded="2022-03-24T00:00:00Z"), {"python": "3.9"}),
    "R15 2023 is bookworm's": (Case("bdist_wheel (0.40.0)"), {"python": "3.11", "environment": "bookworm-python"}),
    "R15 late 2024 is trixie's": (Case("setuptools (75.6.0)", uploaded="2024-12-04T00:00:00Z"), {"python": "3.13", "environment": "trixie-python"}),
    "R15 passes over a Python on which the pin does not import": (
        Case("bdist_wheel (0.37.0)", metadata=OLD, license_name="COPYING.txt", uploaded="2025-01-01T00:00:00Z"),
        {"python": "3.11", "requirements": ("wheel==0.37.0", "setuptools<57")},
    ),
    "backend-too-old takes the oldest that runs and moves the cut": (
        Case("bdist_wheel (0.32.3)", uploaded="2018-12-10T00:00:00Z"),
        {"python": "3.9", "requirements": ("wheel==0.32.3", "setuptools==41.1.0"), "cut": "2019-08-13T23:59:59Z"},
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_rule_makes_its_part_of_the_recipe(driver: ModuleType, tmp_path: Path, story: str) -> None:
    case, expected = STORIES[story]
    draft = case.draft(driver, tmp_path)
    assert {key: getattr(draft, key) for key in expected} == expected
    rule = story.partition(" ")[0]
    said = {item.rule for item in draft.because}
    if not any(word in story for word in ("no epoch", "is for", "says nothing", "alone", "writes UTC", "without build-system")):
        assert rule in said


def test_a_recipe_draft_is_plain_json_with_the_members_of_the_contract(driver: ModuleType, tmp_path: Path) -> None:
    recipe = Case("flit 3.9.0", files=FLIT).draft(driver, tmp_path).as_json()
    assert {
        "reprove-recipe",
        "ecosystem",
        "environment",
        "python",
        "requirements",
        "cut",
        "source_date_epoch",
        "tz",
        "umask",
        "entry",
        "because",
    } <= set(recipe)
    assert (recipe["ecosystem"], recipe["origin"]) == ("pypi", "inferred")


def test_what_a_backend_asked_for_makes_the_next_candidate(driver: ModuleType, tmp_path: Path) -> None:
    case = Case("bdist_wheel (0.40.0)")
    evidence = case.evidence(driver, tmp_path)
    first = pypi.candidates(evidence, case.resolution())[0]
    tried = Tried(first, "build-failed", "backend-missing", ("setuptools_scm>=7", "Wheel", "evil @ file:///etc", "--index-url=x"))
    (second,) = pypi.candidates(evidence, case.resolution(), [tried])
    assert second.requirements == ("wheel==0.40.0", "setuptools", "setuptools_scm>=7")
    assert second.because[-1].rule == "needs"


def test_a_failed_build_is_tried_on_an_older_python_and_nothing_twice(driver: ModuleType, tmp_path: Path) -> None:
    case = Case("setuptools (75.6.0)", uploaded="2024-12-04T00:00:00Z")
    evidence, history = case.evidence(driver, tmp_path), []
    while drafts := pypi.candidates(evidence, case.resolution(), history):
        history.append(Tried(drafts[0], "build-failed", "backend-failed"))
    assert [tried.draft.python for tried in history] == ["3.13", "3.11", "3.9"]


def test_a_difference_has_no_further_candidate_yet(driver: ModuleType, tmp_path: Path) -> None:
    case = Case("flit 3.9.0", files=FLIT)
    evidence = case.evidence(driver, tmp_path)
    tried = Tried(pypi.candidates(evidence, case.resolution())[0], "differs", "payload")
    assert pypi.candidates(evidence, case.resolution(), [tried]) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["wheel_file", "times", "distinct_times", "pairs", "info_modes", "modes_kept", "modes_masked", "metadata", "record_mode", "build_system"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON), JSON, JSON)
def test_hostile_evidence_gives_plain_requirements_or_nothing(evidence: dict[str, Any], requires: Any, backend: Any) -> None:
    evidence = {**evidence, "build_system": {"requires": requires, "backend": backend, "pyproject": True}}
    for draft in pypi.candidates(evidence, Case("flit 3.9.0").resolution()):
        assert all("/" not in item and "@" not in item and not item.startswith("-") for item in draft.requirements)
        assert int(draft.umask, 8) <= 0o777


@pytest.mark.parametrize(
    "text", ["", "flit", "bdist_wheel 0.40.0", "bdist_wheel (0.40.0; rm)", "flit ../x", "hatchling 1.0 2.0", "setuptools (1.0.0'; import os)"]
)
def test_a_generator_that_is_no_version_is_not_believed(text: str) -> None:
    assert parse_generator(text) is None


@pytest.mark.parametrize(
    ("wheel", "source", "name"),
    [
        ([1704164644], [1704164644], "UTC"),
        ([1704164644 - 6 * 3600, 1688212800 - 5 * 3600], [1704164645, 1688212800], "America/Chicago"),
        ([1704164644, 1688212800 + 3600], [1704164644, 1688212800], "Europe/London"),
        ([1704164644 + 3600, 1688212800 + 7200], [1704164644, 1688212800], "Europe/Berlin"),
        ([1704164644 + 11 * 3600, 1688212800 + 10 * 3600], [1704164644, 1688212800], "Australia/Sydney"),
        ([1704164644 + 13 * 3600, 1688212800 + 12 * 3600], [1704164644, 1688212800], "Pacific/Auckland"),
        ([1704164644 + 19800], [1704164644], "UTC+5:30"),
    ],
)
def test_the_zone_is_the_one_that_fits_all_pairs(wheel: list[int], source: list[int], name: str) -> None:
    zone = local_zone(list(zip(wheel, source, strict=True)))
    assert zone is not None
    assert zone.name == name


def test_no_zone_fits_times_that_are_unrelated() -> None:
    assert local_zone([(1704164644, 1704100000), (1688212800, 1600000000)]) is None
    assert local_zone([]) is None
    assert local_zone([(0, 5)]) is None


@given(st.integers(0, 2**31), st.sampled_from([-8, -5, 0, 2, 9]))
def test_a_fixed_zone_is_found_again(moment: int, hours: int) -> None:
    zone = local_zone([(moment - moment % 2 + hours * 3600 + 10**5, moment + 10**5)])
    assert zone is not None
    assert zone.offset == hours * 3600
    assert offset_at(fixed_zone(hours * 3600), moment) == hours * 3600


def test_an_epoch_of_zero_or_below_is_none() -> None:
    assert source_date_epoch("wheel", 1, [(0, 3)]) is None
    assert source_date_epoch("wheel", 1, []) is None
