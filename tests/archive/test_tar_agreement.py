"""What passes lint means the same to other readers of tar: the standard library's, GNU tar's and bsdtar's."""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprove.archive.artifact import open_artifact
from reprove.archive.limits import ArchiveError
from reprove.archive.tarblocks import has_checksum
from reprove.archive.texts import as_text
from reprove.archive.tree import Kind, Profile
from tests.archive.tars import GNU, USTAR, V7, Item, folder, long_name, pax, tar
from tests.archive.trees import Read, read

LONG = "top/" + "/".join(["part"] * 25) + "/end"
NAMES = ["top/a", "top/" + "n" * 95, LONG, "top/\u00e9t\u00e9", "top/" + "\u00e9" * 70, "top/a b", "top/=x"]
FORMATS = {"v7-like ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def _built(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for number, name in enumerate(NAMES):
            if form == tarfile.USTAR_FORMAT and len(name.encode()) > 100 and name != LONG:
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uid, info.uname = number * 300, 1_700_000_000, 0o644, 1000, "me"
            archive.addfile(info, io.BytesIO(b"x" * info.size))
        for name, kind, target in (("top/d", tarfile.DIRTYPE, ""), ("top/l", tarfile.SYMTYPE, "a"), ("top/h", tarfile.LNKTYPE, "top/a")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o644 if kind == tarfile.LNKTYPE else 0o755
            archive.addfile(info)
        if form != tarfile.USTAR_FORMAT:
            info = tarfile.TarInfo("top/long-link")
            info.type, info.linkname, info.uid = tarfile.SYMTYPE, LONG, 3_000_000
            archive.addfile(info)
    return out.getvalue()


def _kind(info: tarfile.TarInfo) -> Kind:
    table = {"isreg": Kind.FILE, "isdir": Kind.FOLDER, "issym": Kind.SYMLINK, "islnk": Kind.HARDLINK, "ischr": Kind.CHARACTER, "isblk": Kind.BLOCK}
    return next((kind for method, kind in table.items() if getattr(info, method)()), Kind.FIFO)


def _agrees(found: Read, data: bytes) -> None:
    """The standard library sees the same members with the same content, links, owners and modes."""
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        infos = [info for info in archive.getmembers() if info.name not in (".", "")]
        assert [info.name.removeprefix("./") for info in infos] == [path for path in found.order if path != "."]
        for info in infos:
            path = info.name.removeprefix("./")
            member = found.members[path]
            assert member.kind is _kind(info)
            assert (found.value(path, "uid"), found.value(path, "gid")) == (info.uid, info.gid)
            assert (found.value(path, "user"), found.value(path, "group")) == (_shown(info.uname), _shown(info.gname))
            assert found.value(path, "mode") == f"{_type_bits(member.kind) | info.mode & 0o7777:o}"
            if member.kind is Kind.FILE:
                stream = archive.extractfile(info)
                assert stream is not None
                assert member.sha256 == hashlib.sha256(stream.read()).hexdigest()
            elif member.kind in (Kind.SYMLINK, Kind.HARDLINK):
                target = _shown(info.linkname)
                assert found.value(path, "target") == (target.removeprefix("./") if member.kind is Kind.HARDLINK else target)


def _shown(text: str) -> str:
    return as_text(text.encode("utf-8", "surrogateescape"))


def _type_bits(kind: Kind) -> int:
    return {
        Kind.FOLDER: stat.S_IFDIR,
        Kind.SYMLINK: stat.S_IFLNK,
        Kind.CHARACTER: stat.S_IFCHR,
        Kind.BLOCK: stat.S_IFBLK,
        Kind.FIFO: stat.S_IFIFO,
    }.get(kind, stat.S_IFREG)


@pytest.mark.parametrize("form", FORMATS)
def test_what_the_standard_library_writes_is_read_alike(tmp_path: Path, form: str) -> None:
    data = _built(FORMATS[form])
    found = read(tmp_path, data)
    assert found.violations == ()
    _agrees(found, data)


def _source(folder_: Path) -> Path:
    root = folder_ / "src"
    (root / "top" / "d").mkdir(parents=True)
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 50)
    (root / "top" / "l").symlink_to("a")
    (root / "top" / "long-link").symlink_to(LONG)
    (root / "top" / "h").hardlink_to(root / "top" / "a")
    with (root / "top" / "holes").open("wb") as stream:
        stream.write(b"begin")
        stream.seek(300_000)
        stream.write(b"end")
        stream.truncate(900_000)
    return root


TOOLS = {
    "GNU tar, gnu": ["tar", "--format=gnu", "-cf"],
    "GNU tar, posix": ["tar", "--format=posix", "-cf"],
    "GNU tar, oldgnu": ["tar", "--format=oldgnu", "-cf"],
    "GNU tar, sparse gnu": ["tar", "--format=gnu", "-Scf"],
    "GNU tar, sparse 0.0": ["tar", "--format=posix", "--sparse-version=0.0", "-Scf"],
    "GNU tar, sparse 0.1": ["tar", "--format=posix", "--sparse-version=0.1", "-Scf"],
    "GNU tar, sparse 1.0": ["tar", "--format=posix", "--sparse-version=1.0", "-Scf"],
    "bsdtar, pax": ["bsdtar", "--format=pax", "-cf"],
    "bsdtar, restricted pax": ["bsdtar", "--format=paxr", "-cf"],
    "bsdtar, gnutar": ["bsdtar", "--format=gnutar", "-cf"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_common_tools_write_is_read_as_it_was(tmp_path: Path, tool: str) -> None:
    if shutil.which(TOOLS[tool][0]) is None:
        pytest.skip(f"{TOOLS[tool][0]} is not installed")
    root = _source(tmp_path)
    subprocess.run([*TOOLS[tool], str(tmp_path / "out.tar"), "./top"], cwd=root, check=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    found = read(tmp_path, (tmp_path / "out.tar").read_bytes())
    assert found.violations == ()
    assert set(found.order) == {str(path.relative_to(root)) for path in root.rglob("*")}
    for path, member in found.members.items():
        if member.kind is Kind.FILE:
            assert found.contents[path] == (root / path).read_bytes()
    links = [path for path, member in found.members.items() if member.kind is Kind.HARDLINK]
    assert len(links) == 1
    if "-Scf" in TOOLS[tool]:
        assert found.value("top/holes", "sparse") != "no"
    assert found.value("top/long-link", "target") == LONG


def test_what_dpkg_builds_is_a_clean_deb(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    root = _source(tmp_path)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text("Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: d\n")
    for packing in ("xz", "gzip", "none"):
        subprocess.run(["dpkg-deb", "--root-owner-group", f"-Z{packing}", "-b", "src", "out.deb"], cwd=tmp_path, check=True, capture_output=True)
        found = read(tmp_path, (tmp_path / "out.deb").read_bytes())
        assert (found.profile, found.violations) == (Profile.DEB, ())
        assert {f"data.tar!/{path.relative_to(root)}" for path in (root / "top").rglob("*")} < set(found.order)


ITEMS = st.builds(
    Item,
    name=st.sampled_from(["top/a", "top/b", "./top/a", "top/d/c", "top/\u00e9", "top/d/", "../x", "top"]),
    data=st.sampled_from([b"", b"x", b"y" * 513]),
    kind=st.sampled_from([b"0", b"0", b"0", b"\0", b"5", b"2", b"1", b"3", b"7"]),
    mode=st.sampled_from([0o644, 0o755, 0o4755, b"   644 "]),
    uid=st.sampled_from([0, 1000, b"\x80\0\0\0\0\x30\0\0"]),
    size=st.sampled_from([None, None, None, 0, 1]),
    time=st.sampled_from([0, 1704164644, b""]),
    link=st.sampled_from(["", "", "top/a", "b"]),
    magic=st.sampled_from([USTAR, USTAR, GNU, V7]),
    user=st.sampled_from([b"root", b""]),
    prefix=st.sampled_from([b"", b"", b"top"]),
)
PREFIXES = st.sampled_from([None, None, None, ("mtime", "1.5"), ("path", ""), ("L", ""), ("path", LONG), ("L", LONG), ("uid", "9"), ("x.y", "z")])


def _honest(item: Item) -> Item:
    """The item without the lies that chance gave it."""
    file = item.kind in (b"0", b"\0")
    name = {"../x": "x", "top": "y"}.get(str(item.name), str(item.name))
    fixed = replace(item, size=None, prefix=b"", link="top/a" if item.kind in (b"1", b"2") else "", data=item.data if file else b"")
    return replace(fixed, name=name if item.kind == b"5" else name.removesuffix("/"), kind={b"7": b"0", b"1": b"2"}.get(item.kind, item.kind))


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """Small tars, most of them clean."""
    items: list[Item] = []
    honest = draw(st.integers(0, 4)) > 0
    chosen = draw(st.lists(ITEMS, min_size=1, max_size=4, unique_by=(lambda item: str(item.name).strip("./")) if honest else None))
    for item in chosen:
        one = _honest(item) if honest else item
        extension = draw(PREFIXES)
        if extension is not None:
            key, value = extension
            value = value or str(one.name)
            if value == LONG and honest:
                one = replace(one, name=LONG[:90])
            items.append(long_name(value) if key == "L" else pax((key, value)))
        items.append(one)
    return tar(*items)


TARS = tars()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TARS)
def test_what_passes_lint_is_what_the_standard_library_reads(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    try:
        with open_artifact(tmp_path / "x") as tree:
            found = Read(tree)
    except ArchiveError:
        return
    if not found.violations:
        _agrees(found, data)


BASES = [_built(form) for form in FORMATS.values()]
CHANGES = st.tuples(st.integers(0, 99), st.integers(0, 511), st.sampled_from(list(b"\0 0125xLag/.\x80\xff")))


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(BASES) - 1), st.lists(CHANGES, min_size=1, max_size=3))
def test_a_header_changed_and_summed_anew_is_refused_or_read_alike(tmp_path: Path, which: int, changes: list[tuple[int, int, int]]) -> None:
    base = BASES[which]
    heads = [at for at in range(0, len(base), 512) if has_checksum(base[at : at + 512])]
    data = bytearray(base)
    for head, place, value in changes:
        at = heads[head % len(heads)]
        data[at + place] = value
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    (tmp_path / "x").write_bytes(bytes(data))
    try:
        with open_artifact(tmp_path / "x") as tree:
            found = Read(tree)
    except ArchiveError:
        return
    if not found.violations:
        _agrees(found, bytes(data))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TARS, TARS)
def test_what_is_told_alike_is_alike(tmp_path: Path, one: bytes, other: bytes) -> None:
    """Equal members, raw headers and fields mean equal bytes: nothing is left out."""
    try:
        left, right = read(tmp_path, one), read(tmp_path, other)
    except ArchiveError:
        return
    if not left.violations and not right.violations and left.told == right.told:
        assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("tool", [["tar", "-xf"], ["bsdtar", "-xf"]], ids=lambda tool: tool[0])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=TARS)
def test_what_is_canonically_equal_is_extracted_alike(tmp_path: Path, tool: list[str], data: bytes) -> None:
    """A clean tar, written again in another dialect, order and with other times, extracts to the same files."""
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    found = read(tmp_path, data)
    if found.violations or any(member.kind is Kind.CHARACTER for member in found.members.values()):
        return
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as theirs, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as again:
        for info in theirs:
            info.mtime, info.pax_headers = 1.25, {key: value for key, value in info.pax_headers.items() if key == "x.y"}
            again.addfile(info, theirs.extractfile(info) if info.isreg() else None)
    other = read(tmp_path, out.getvalue())
    assert other.violations == ()
    assert other.canonical == found.canonical
    assert _extracted(tmp_path, tool, data) == _extracted(tmp_path, tool, out.getvalue())


def _extracted(folder_: Path, tool: list[str], data: bytes) -> dict[str, object]:
    target = folder_ / "out"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    subprocess.run([*tool, "-"], input=data, cwd=target, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    rows: dict[str, object] = {}
    for path in target.rglob("*"):
        facts = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else str(path.readlink()) if path.is_symlink() else None
        rows[str(path.relative_to(target))] = (stat.S_IFMT(facts.st_mode), bool(facts.st_mode & 0o111), content)
    return rows


def test_the_root_of_a_tar_is_no_member(tmp_path: Path) -> None:
    found = read(tmp_path, tar(folder("./"), Item("./a", b"x")))
    assert (found.order, found.violations) == (["a"], ())
    assert "root-folder" in found.fields


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "pax"])
def test_every_form_that_gnu_tar_writes_passes_lint(tmp_path: Path, form: str) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "a").write_bytes(b"hello\n")
    done = subprocess.run(["tar", f"--format={form}", "-C", str(tmp_path), "-cf", str(tmp_path / "x.tar"), "top"], check=False)
    assert done.returncode == 0
    with open_artifact(tmp_path / "x.tar") as tree:
        assert (tree.violations, [member.path for member in tree.members if member.path.endswith("a")]) == ((), ["top/a"])
