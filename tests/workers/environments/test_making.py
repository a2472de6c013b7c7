"""Making environments for real: from the lock and the kept packages alone, the same bytes on a host that differs in everything else."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workers
from reprove.core.digests import Sha256
from tests.workers.sandbox.lab import SPECS, made_environment
from workers import environments
from workers.environments import EnvironmentFaultError, EnvironmentStore, aptroot, resolve
from workers.environments.layers import build_layer
from workers.environments.packages import PackageStore
from workers.environments.values import Package
from workers.sandbox import Engine, Limits, Step, connect
from workers.sandbox.client import EngineAnswerError

ELSEWHERE = """
set -eu
hostname far-away.example
mkdir -p "$1/etc"; printf 'far-away.example\\n' > "$1/etc/hostname"; printf 'nameserver 192.0.2.53\\n' > "$1/etc/resolv.conf"
chmod 0700 "$1/etc/hostname" "$1/etc/resolv.conf"
mount --bind "$1/etc/hostname" /etc/hostname
mount --bind "$1/etc/resolv.conf" /etc/resolv.conf
umask 077
exec "$2" -c "
import sys
from pathlib import Path
from workers import environments
from workers.environments.layers import build_layer
store = environments.EnvironmentStore(Path(sys.argv[1]))
print(build_layer(store.load_lock(sys.argv[2]), store.packages, Path(sys.argv[3]) / 'layer.tar'))
" "$3" "$4" "$1"
"""

# a made environment needs mmdebstrap and the archive: what --fast leaves out
pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def made(test_cache: Path) -> environments.Environment:
    return made_environment(test_cache)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="other host names and resolvers need namespaces of root")
def test_another_host_makes_the_same_layer_without_a_network(made: environments.Environment, tmp_path: Path) -> None:
    """Other hostname, resolver, umask, zone and locale, in a network namespace with nothing in it: the kept packages are enough."""
    changed = {
        "PATH": os.environ["PATH"],
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "tr_TR.UTF-8",
        "SOURCE_DATE_EPOCH": "1",
        "TMPDIR": str(tmp_path),
    }
    command = ["unshare", "--uts", "--mount", "--net", "--", "sh", "-c", ELSEWHERE, "sh", tmp_path, sys.executable, made.home, made.lock_sha256]
    lists = sorted((path.name, path.stat().st_mtime_ns) for path in Path("/var/lib/apt/lists").iterdir())
    done = subprocess.run(command, env=changed, cwd=Path(workers.__file__).parents[1], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip(),) == made.diff_ids
    assert sorted((path.name, path.stat().st_mtime_ns) for path in Path("/var/lib/apt/lists").iterdir()) == lists, "the host's own apt was touched"


@pytest.mark.docker
def test_the_engine_shows_the_image_that_was_computed_before_it_saw_it(made: environments.Environment) -> None:
    client = connect()
    engine = Engine(client, "0123456789abcdef")
    reference = environments.ensure_loaded(engine, made)
    assert client.call("GET", f"/images/{reference}/json")["RootFS"]["Layers"] == [f"sha256:{digest}" for digest in made.diff_ids]
    said: list[bytes] = []
    script = "import sys, zlib, distutils, lib2to3, ssl, sqlite3; print(sys.version_info[:2], zlib.ZLIB_RUNTIME_VERSION)"
    limits = Limits(time_s=20, memory=2**27, disk=2**24)
    assert engine.run(Step(image=reference, argv=("python3", "-W", "ignore", "-c", script), limits=limits, on_log=said.append)).ok
    assert b"".join(said) == b"(3, 11) 1.2.13\n"
    said.clear()
    assert engine.run(Step(image=reference, argv=("dpkg-query", "-W", "-f", "${Package}\n"), limits=limits, on_log=said.append)).ok
    lock = EnvironmentStore(made.home).load_lock(made.lock_sha256)
    assert set(b"".join(said).decode().split()) == {package.name for package in lock.packages}, "the lock is what is installed, no more and no less"
    client.close()


@pytest.mark.docker
def test_an_image_with_other_layers_is_not_used(made: environments.Environment) -> None:
    client = connect()
    engine = Engine(client, "0123456789abcdef")
    environments.ensure_loaded(engine, made)
    with pytest.raises(EnvironmentFaultError, match="other layers than its lock"):
        environments.ensure_loaded(engine, dataclasses.replace(made, diff_ids=(Sha256("0" * 64),)))
    client.close()


@pytest.mark.docker
def test_an_archive_that_is_not_one_is_refused(made: environments.Environment, tmp_path: Path) -> None:
    client = connect()
    engine = Engine(client, "0123456789abcdef")
    (tmp_path / "archive.tar").write_bytes(b"not a tar" * 1000)
    damaged = dataclasses.replace(made, image_config_digest=Sha256("1" * 64), archive=tmp_path / "archive.tar")
    with pytest.raises((EnvironmentFaultError, EngineAnswerError)):
        environments.ensure_loaded(engine, damaged)
    with pytest.raises(EnvironmentFaultError, match="reprove env make"):
        environments.ensure_loaded(engine, dataclasses.replace(damaged, archive=tmp_path / "gone.tar"))
    client.close()


def test_everything_that_a_statement_names_is_listed_with_its_file(made: environments.Environment) -> None:
    rows = environments.blobs(made)
    lock = EnvironmentStore(made.home).load_lock(made.lock_sha256)
    assert rows[0][0] == made.lock_sha256
    assert {digest for digest, _ in rows[1:]} == {package.sha256 for package in lock.packages}
    assert all(path.is_file() for _, path in rows)


def test_a_lock_names_no_compiler_no_pip_and_the_suites_zlib(made: environments.Environment) -> None:
    lock = EnvironmentStore(made.home).load_lock(made.lock_sha256)
    names = {package.name for package in lock.packages}
    assert {"python3", "python3-distutils", "python3-lib2to3", "zlib1g"} <= names
    assert not {"gcc-12", "python3-pip", "apt", "python3-setuptools", "python3-venv"} & names


def small_store(made: environments.Environment, folder: Path) -> tuple[EnvironmentStore, environments.Lock]:
    """A store of its own with the made environment's lock and the first three packages, cheap to damage."""
    store = EnvironmentStore(folder)
    kept = EnvironmentStore(made.home)
    lock = kept.load_lock(made.lock_sha256)
    lock = dataclasses.replace(lock, packages=lock.packages[:3])
    for package in lock.packages:
        store.packages.add(kept.packages.path(package.sha256), package)
    return store, lock


def test_a_missing_or_damaged_package_stops_the_making(made: environments.Environment, tmp_path: Path) -> None:
    store, lock = small_store(made, tmp_path)
    path = store.packages.path(lock.packages[1].sha256)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"!")
    with pytest.raises(EnvironmentFaultError, match="damaged"):
        build_layer(lock, store.packages, tmp_path / "layer.tar")
    path.unlink()
    with pytest.raises(EnvironmentFaultError, match="not among the kept packages"):
        build_layer(lock, store.packages, tmp_path / "layer.tar")


def test_a_download_that_is_another_file_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"other")
    store = PackageStore(tmp_path / "packages")
    package = Package("x", "1", "all", Sha256("0" * 64), 5)
    with pytest.raises(EnvironmentFaultError, match="the signed index says"):
        store.add(tmp_path / "x.deb", package)
    assert not store.has(package)


def test_layer_rules_that_this_release_does_not_know_are_refused(made: environments.Environment, tmp_path: Path) -> None:
    store, lock = small_store(made, tmp_path)
    with pytest.raises(EnvironmentFaultError, match="layer rules 2"):
        build_layer(dataclasses.replace(lock, rules=2), store.packages, tmp_path / "layer.tar")


def test_a_damaged_lock_or_record_is_noticed(made: environments.Environment, tmp_path: Path) -> None:
    store, lock = small_store(made, tmp_path)
    store.save_lock(lock)
    (store.root / "locks" / f"{lock.sha256}.json").write_bytes(dataclasses.replace(lock, epoch=1).encode())
    with pytest.raises(EnvironmentFaultError, match="damaged"):
        store.load_lock(lock.sha256)
    store.save_name("x", lock)
    store.archive(lock.sha256).parent.mkdir()
    store.archive(lock.sha256).touch()
    (store.root / "images").mkdir()
    (store.root / "images" / f"{lock.sha256}.json").write_text("{}")
    with pytest.raises(EnvironmentFaultError, match="record of environment x is damaged"):
        store.find("x")


def test_an_environment_without_its_archive_counts_as_not_made(made: environments.Environment, tmp_path: Path) -> None:
    shutil.copytree(made.home / "environments" / "names", tmp_path / "environments" / "names")
    shutil.copytree(made.home / "environments" / "images", tmp_path / "environments" / "images")
    assert environments.find(tmp_path, made.name) is None
    assert environments.find(made.home, f"{made.name}@sha256:{made.lock_sha256}") == made
    assert environments.find(made.home, f"{made.name}@sha256:{'0' * 64}") is None


def test_other_suites_come_from_the_machines_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    own = aptroot._own_codename()
    rows = f"Packages copy:///a/ {own} main\nPackages copy:///s/ {own}-security main\n"
    rows += f"Packages copy:///n/ nodistro main\nPackages copy:///a/ {own} contrib\n"
    monkeypatch.setattr(aptroot, "_run", lambda _: rows)
    keyring = next(path for path in aptroot.KEYRINGS if Path(path).exists())
    assert aptroot.source_lines("trixie") == [
        f"deb [signed-by={keyring}] copy:///a/ trixie main",
        f"deb [signed-by={keyring}] copy:///s/ trixie-security main",
    ]
    monkeypatch.setattr(aptroot, "_run", lambda _: "Packages copy:///n/ nodistro main\n")
    with pytest.raises(EnvironmentFaultError, match="no archive address"):
        aptroot.source_lines("trixie")


def test_nothing_of_the_operators_shell_reaches_the_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APT_CONFIG", "TAR_OPTIONS", "PERL5OPT", "DPKG_ROOT", "LD_PRELOAD"):
        monkeypatch.setenv(name, "/nonexistent")
    assert set(aptroot.clean_environment()) <= {"PATH", "LC_ALL", "TZ", "HOME", "DEBIAN_FRONTEND", "http_proxy", "https_proxy", "no_proxy"}


def test_a_spec_for_other_machines_is_refused(tmp_path: Path) -> None:
    spec = dataclasses.replace(environments.load_spec(SPECS / "bookworm-python.yaml"), architectures=("m68k",))
    with pytest.raises(EnvironmentFaultError, match="is for m68k"):
        resolve.make_lock(spec, PackageStore(tmp_path))


@pytest.mark.slow
@pytest.mark.index
def test_the_same_index_gives_the_same_lock_and_fetches_nothing_twice(made: environments.Environment, tmp_path: Path) -> None:
    spec = environments.load_spec(SPECS / "bookworm-python.yaml")
    kept = EnvironmentStore(made.home)
    said: list[str] = []
    lock = resolve.make_lock(spec, kept.packages, progress=lambda _, text: said.append(text))
    assert lock.include == spec.packages
    assert {suite for suite, _ in lock.indexes} == {"bookworm", "bookworm-updates", "bookworm-security"}
    if lock.indexes == kept.load_lock(made.lock_sha256).indexes:
        assert lock.sha256 == made.lock_sha256
        assert not [text for text in said if text.startswith("fetching")]


@pytest.mark.slow
@pytest.mark.index
def test_an_unknown_suite_or_package_is_one_line_with_apts_own_word(tmp_path: Path) -> None:
    spec = environments.load_spec(SPECS / "bookworm-python.yaml")
    with pytest.raises(EnvironmentFaultError, match="apt-get failed"):
        resolve.make_lock(dataclasses.replace(spec, suite="nosuchsuite"), PackageStore(tmp_path))
    with pytest.raises(EnvironmentFaultError, match="no-such-package-here"):
        resolve.make_lock(dataclasses.replace(spec, packages=("no-such-package-here",)), PackageStore(tmp_path))
