"""Labelled pairs: a small build, and the same build with one cause injected. One random generator draws everything: a seed gives the corpus."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import shutil
import struct
import subprocess
import tarfile
import tempfile
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from tests.archive.zips import Part, record_row, zip_bytes

WORDS = ("alpha", "bravo", "cedar", "delta", "ember", "frost", "grove", "haven", "ivory", "jade")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Pair:
    """Two artifacts and why they differ: ``labels`` are the causes injected; empty means that the difference is nobody's doing but an attacker's."""

    name: str
    file: str
    old: bytes
    new: bytes
    labels: tuple[str, ...]


@dataclass
class Build:
    """What a wheel or an archive is packed from. ``parts`` in order; ``fields`` by path override what :class:`Part` says."""

    files: dict[str, bytes]
    times: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    level: int = 6
    system: int = 3
    extra: bytes = b""
    comment: bytes = b""
    folders: bool = False
    when: int = 1_700_000_000


def dos(seconds: int) -> bytes:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(seconds, UTC)
    return struct.pack("<HH", at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day)


def wheel(build: Build) -> bytes:
    """Pack a wheel with an honest RECORD."""
    info = "demo-1.0.dist-info/"
    rows = [record_row(name, data) for name, data in build.files.items()] + [f"{info}RECORD,,"]
    files = {**build.files, f"{info}RECORD": ("\n".join(rows) + "\n").encode()}
    if build.folders:
        files = {"demo/": b"", **files}
    parts = []
    for name, data in files.items():
        packer = zlib.compressobj(build.level, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        headers = {"extra": build.extra}
        mode = build.modes.get(name, 0o40755 if name.endswith("/") else 0o100644)
        part = Part(name, data, mode=mode, time=dos(build.times.get(name, build.when)), system=build.system, local=headers, central=headers)
        parts.append((part, packed))
    return _zipped(parts, build.comment)


def _zipped(parts: list[tuple[Part, bytes]], comment: bytes) -> bytes:
    """Through the writer of the zip tests, with each part's own deflate."""
    from tests.archive import zips

    streams = {id(part.data): packed for part, packed in parts}
    original = zips.deflate
    zips.deflate = lambda data: streams.get(id(data)) or original(data)
    try:
        return zip_bytes([part for part, _ in parts], comment=comment)
    finally:
        zips.deflate = original


def tar(build: Build, top: str, *, form: int = tarfile.PAX_FORMAT, owner: tuple[int, str] = (0, "root"), pack: Callable[[bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in build.files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mtime, info.mode = len(data), build.times.get(name, build.when), build.modes.get(name, 0o644) & 0o7777
            info.uid = info.gid = owner[0]
            info.uname = info.gname = owner[1]
            archive.addfile(info, io.BytesIO(data))
    return pack(out.getvalue())


def gz(data: bytes, *, mtime: int = 0, name: str = "", level: int = 9) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", level, out, mtime) as stream:
        stream.write(data)
    return out.getvalue()


def code(rng: Random, lines: int = 40) -> bytes:
    """A little Python that compresses like Python."""
    return "".join(f"def {rng.choice(WORDS)}_{n}(x):\n    return x + {rng.randrange(1000)}\n" for n in range(lines)).encode()


def package(rng: Random) -> Build:
    files = {f"demo/{rng.choice(WORDS)}{n}.py": code(rng) for n in range(rng.randrange(3, 8))}
    files = {"demo/__init__.py": b"VERSION = '1.0'\n", **files, "demo/data.txt": rng.randbytes(300).hex().encode()}
    files["demo-1.0.dist-info/METADATA"] = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nKeywords: a\nLicense-File: LICENSE\n\nA demo.\n"
    files["demo-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: bdist_wheel (0.40.0)\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"
    return Build(files)


def edited(build: Build, path: str, data: bytes) -> Build:
    return replace(build, files={**build.files, path: data})


# causes that any wheel can have: each gives the build of the other side
def build_time(_rng: Random, one: Build) -> Build:
    return replace(one, when=one.when + 86_400 * 40 + 3611)


def time_zone(rng: Random, one: Build) -> Build:
    shift = 900 * rng.choice([4, 8, -12, 22, 36])
    return replace(one, times={name: at + shift for name, at in one.times.items()}, when=one.when + shift)


def umask(_rng: Random, one: Build) -> Build:
    return replace(one, modes=dict.fromkeys([*one.files, "demo-1.0.dist-info/RECORD"], 33204))


def file_order(rng: Random, one: Build) -> Build:
    names = list(one.files)
    while names == list(one.files):
        rng.shuffle(names)
    return replace(one, files={name: one.files[name] for name in names})


def compressor(_rng: Random, one: Build) -> Build:
    return replace(one, level=1)


def packer(rng: Random, one: Build) -> Build:
    return rng.choice([replace(one, system=0), replace(one, folders=True), replace(one, extra=struct.pack("<HHBI", 0x5455, 5, 1, 1_700_000_000))])


def comment(_rng: Random, one: Build) -> Build:
    return replace(one, comment=b"packed by hand")


def generator(rng: Random, one: Build) -> Build:
    path = "demo-1.0.dist-info/WHEEL"
    return edited(one, path, one.files[path].replace(b"0.40.0", f"0.{rng.randrange(41, 60)}.0".encode()))


def metadata_age(_rng: Random, one: Build) -> Build:
    path = "demo-1.0.dist-info/METADATA"
    return edited(
        one,
        path,
        one.files[path].replace(b"Metadata-Version: 2.1", b"Metadata-Version: 2.4").replace(b"\n\nA demo", b"\nDynamic: license-file\n\nA demo"),
    )


def header_order(_rng: Random, one: Build) -> Build:
    path = "demo-1.0.dist-info/METADATA"
    return edited(one, path, one.files[path].replace(b"Keywords: a\nLicense-File: LICENSE\n", b"License-File: LICENSE\nKeywords: a\n"))


def line_endings(_rng: Random, one: Build) -> Build:
    return edited(one, "demo/__init__.py", one.files["demo/__init__.py"].replace(b"\n", b"\r\n"))


def executable(_rng: Random, one: Build) -> Build:
    return replace(one, modes={"demo/__init__.py": 0o100755})


def written(rng: Random, cause: str) -> tuple[bytes, bytes]:
    """Both sides of a generated file that keeps something of its build."""
    first, second = (f"# {rng.choice(WORDS)}\n" * 3 for _ in range(2))
    second = first
    text = {
        "embedded-date": [
            (f"BUILT = '20{rng.randrange(20, 26)}-0{m}-1{d} 1{d}:0{m}:2{d}'\n", f"on {MONTHS[m]} {d + 1} 20{rng.randrange(20, 26)}\n")[
                rng.randrange(2) * 0
            ]
            for m, d in ((rng.randrange(1, 9), rng.randrange(9)), (rng.randrange(1, 9), rng.randrange(9)))
        ],
        "host-or-user": [f"BUILDER = '{rng.choice(WORDS)}@{rng.choice(WORDS)}{n}.example'\n" for n in range(2)],
        "random": [f"ID = '{uuid.UUID(int=rng.getrandbits(128))}'\n" for _ in range(2)],
        "git-state": [f"COMMIT = 'g{rng.getrandbits(40):010x}'\n" for _ in range(2)],
        "build-path": [
            f"ROOT = '{where}/demo/src'\nOTHER = '{where}/demo/lib'\n" for where in (f"/build/{rng.choice(WORDS)}", f"/home/{rng.choice(WORDS)}/work")
        ],
        "hash-order": [f"NAMES = {{{', '.join(repr(word) for word in rng.sample(WORDS, len(WORDS)))}}}\n" for _ in range(2)],
    }[cause]
    return (first + text[0]).encode(), (second + text[1]).encode()


WHEEL_CAUSES: dict[str, Callable[[Random, Build], Build]] = {
    "build-time": build_time,
    "umask": umask,
    "file-order": file_order,
    "compressor": compressor,
    "packer": packer,
    "archive-comment": comment,
    "backend-version": generator,
    "line-endings": line_endings,
    "executable-bit": executable,
}
WRITTEN = ("embedded-date", "host-or-user", "random", "git-state", "build-path", "hash-order")


def pairs(seed: int, rounds: int = 3) -> Iterator[Pair]:
    """The corpus of a seed: every cause ``rounds`` times, mixtures, and tampered artifacts."""
    rng = Random(seed)
    for number in range(rounds):
        yield from _wheels(rng, number)
        yield from _archives(rng, number)
        yield from _mixtures(rng, number)
        yield from _tampered(rng, number)
    if shutil.which("gcc") and shutil.which("objcopy"):
        yield from _programs(rng)
    if shutil.which("dpkg-deb"):
        yield from _debs(rng)


def _wheels(rng: Random, number: int) -> Iterator[Pair]:
    name = "demo-1.0-py3-none-any.whl"
    for cause, inject in WHEEL_CAUSES.items():
        one = package(rng)
        yield Pair(f"wheel {cause} {number}", name, wheel(one), wheel(inject(rng, one)), (cause,))
    for cause, change in (("backend-version", metadata_age), ("backend-version", header_order)):
        one = package(rng)
        yield Pair(f"wheel metadata {cause} {number}", name, wheel(one), wheel(change(rng, one)), (cause,))
    one = package(rng)
    one.times = {path: one.when - rng.randrange(86_400, 9_000_000) // 2 * 2 for path in one.files}
    yield Pair(f"wheel time-zone {number}", name, wheel(one), wheel(time_zone(rng, one)), ("time-zone",))
    yield Pair(f"wheel source-times {number}", name, wheel(one), wheel(replace(one, times={})), ("source-times",))
    for cause in WRITTEN:
        old, new = written(rng, cause)
        one = package(rng)
        yield Pair(f"wheel {cause} {number}", name, wheel(edited(one, "demo/_build.py", old)), wheel(edited(one, "demo/_build.py", new)), (cause,))
    one, body = package(rng), code(rng)
    head = struct.pack("<4sII", b"\xa7\x0d\x0d\x0a", 0, 0)[:8]
    sides = [
        wheel(edited(one, "demo/__pycache__/x.cpython-311.pyc", head + struct.pack("<II", 1_700_000_000 + n * 977, len(body)) + body)) for n in (0, 1)
    ]
    yield Pair(f"wheel pyc {number}", name, *sides, ("pyc-time",))
    png = [wheel(edited(one, "demo/a.png", _png(rng.randrange(2000, 2020) + n))) for n in (0, 30)]
    yield Pair(f"wheel png {number}", name, *png, ("png-time",))
    tag, other = f"{rng.getrandbits(32):08x}", f"{rng.getrandbits(32):08x}"
    libs = [wheel(edited(one, f"demo.libs/libz-{what}.so.1", b"lib" + rng.randbytes(500))) for what in (tag, other)]
    yield Pair(f"wheel dependency {number}", name, *libs, ("dependency-drift",))


def _png(year: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    time = struct.pack(">HBBBBB", year, 3, 4, 5, 6, 7)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tIME", time) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def _archives(rng: Random, number: int) -> Iterator[Pair]:
    one = replace(
        package(rng), files={"PKG-INFO": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n", "setup.py": b"setup()\n", "demo/core.py": code(rng)}
    )
    name, top = "demo-1.0.tar.gz", "demo-1.0"
    plain = tar(one, top, pack=gz)
    yield Pair(f"sdist owners {number}", name, plain, tar(one, top, pack=gz, owner=(1000 + number, rng.choice(WORDS))), ("owners",))
    yield Pair(
        f"sdist gzip-header {number}",
        name,
        plain,
        tar(one, top, pack=lambda data: gz(data, mtime=1_700_000_000, name="demo-1.0.tar")),
        ("gzip-header",),
    )
    yield Pair(f"sdist compressor {number}", name, plain, tar(one, top, pack=lambda data: gz(data, level=1)), ("compressor",))
    yield Pair(f"sdist tar-dialect {number}", name, plain, tar(one, top, pack=gz, form=tarfile.GNU_FORMAT), ("tar-dialect",))
    yield Pair(f"sdist build-time {number}", name, plain, tar(build_time(rng, one), top, pack=gz), ("build-time",))
    yield Pair(f"sdist umask {number}", name, plain, tar(replace(one, modes=dict.fromkeys(one.files, 0o664)), top, pack=gz), ("umask",))
    reverse = replace(one, files=dict(reversed(one.files.items())))
    yield Pair(f"sdist file-order {number}", name, plain, tar(reverse, top, pack=gz), ("file-order",))
    manifest = {**one.files, "package.json": json.dumps({"name": "demo", "version": "1.0.0", "gitHead": f"{rng.getrandbits(160):040x}"}).encode()}
    other = {**manifest, "package.json": json.dumps({"name": "demo", "version": "1.0.0", "gitHead": f"{rng.getrandbits(160):040x}"}).encode()}
    npm = [tar(replace(one, files=files), "package", pack=gz) for files in (manifest, other)]
    yield Pair(f"npm git-state {number}", "demo-1.0.0.tgz", *npm, ("git-state",))
    chunks = [{**manifest, f"dist/app.{rng.getrandbits(32):08x}.js": code(rng)} for _ in range(2)]
    yield Pair(
        f"npm renamed-chunk {number}", "demo-1.0.0.tgz", *(tar(replace(one, files=files), "package", pack=gz) for files in chunks), ("renamed-chunk",)
    )
    big = replace(one, files={"demo/big.txt": (code(rng) * 400)})
    if shutil.which("xz"):
        sides = [
            tar(big, top, pack=lambda data, flag=flag: subprocess.run(["xz", "-c", *flag], input=data, capture_output=True, check=True).stdout)
            for flag in (["-T1"], ["-T2", "--block-size=65536"])
        ]
        yield Pair(f"tar threads {number}", "demo-1.0.tar.xz", *sides, ("threads",))
    else:
        yield Pair(
            f"tar compressor {number}",
            "demo-1.0.tar.xz",
            *(tar(big, top, pack=lambda data, p=p: lzma.compress(data, preset=p)) for p in (0, 6)),
            ("compressor",),
        )
    jar = [
        _zipped(
            [
                (Part("META-INF/MANIFEST.MF", text), _deflated(text)),
                (Part("demo/A.class", b"\xca\xfe\xba\xbe" + b"x" * 50), _deflated(b"\xca\xfe\xba\xbe" + b"x" * 50)),
            ],
            b"",
        )
        for text in (f"Manifest-Version: 1.0\r\nBuilt-By: {rng.choice(WORDS)}{n}\r\nBuild-Jdk: 17.0.{n}\r\n\r\n".encode() for n in (1, 2))
    ]
    yield Pair(f"jar java-manifest {number}", "demo-1.0.jar", *jar, ("java-manifest",))


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _mixtures(rng: Random, number: int) -> Iterator[Pair]:
    """Two or three causes at once."""
    for _ in range(4):
        one = package(rng)
        chosen = rng.sample(sorted(set(WHEEL_CAUSES) - {"executable-bit"}), rng.randrange(2, 4))
        other = one
        for cause in chosen:
            other = WHEEL_CAUSES[cause](rng, other)
        yield Pair(f"mixture {'+'.join(chosen)} {number}", "demo-1.0-py3-none-any.whl", wheel(one), wheel(other), tuple(chosen))


def _tampered(rng: Random, number: int) -> Iterator[Pair]:
    """What an attacker does; other causes beside it must not cover it up."""
    for what, change in {
        "code": lambda data: data.replace(b"return x + ", b"return x - ", 1),
        "constant": lambda data: data + b"KEY = 1\n",
        "call": lambda data: data + b"import os; os.system('true')\n",
    }.items():
        one = package(rng)
        path = next(path for path in one.files if path.endswith(".py") and one.files[path].count(b"return"))
        for noisy in (False, True):
            other = edited(one, path, change(one.files[path]))
            if noisy:
                other = umask(rng, build_time(rng, other))
            yield Pair(f"tampered {what} {'among noise ' if noisy else ''}{number}", "demo-1.0-py3-none-any.whl", wheel(other), wheel(one), ())
    one = package(rng)
    yield Pair(f"tampered file {number}", "demo-1.0-py3-none-any.whl", wheel(edited(one, "zz_hook.pth", b"import os\n")), wheel(one), ())


def _programs(rng: Random) -> Iterator[Pair]:
    """A shared object by gcc, in a wheel: other folder, other debug information, other build id, other compiler line."""
    source = "#include <stdlib.h>\nint seven(int x) { if (x) abort(); return 7; }\n" + "".join(
        f"int f{n}(int x) {{ return x * {n}; }}\n" for n in range(30)
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        one = package(rng)

        def compiled(where: str, *flags: str) -> bytes:
            (root / where).mkdir(parents=True, exist_ok=True)
            (root / where / "demo.c").write_text(source)
            command = ["gcc", "-O2", "-g", "-shared", "-fPIC", *flags, "-o", "demo.so", str(root / where / "demo.c")]
            subprocess.run(command, cwd=root / where, check=True)
            return (root / where / "demo.so").read_bytes()

        def without(data: bytes, *arguments: str) -> bytes:
            (root / "x.so").write_bytes(data)
            subprocess.run(["objcopy", *arguments, str(root / "x.so"), str(root / "y.so")], check=True)
            return (root / "y.so").read_bytes()

        def held(data: bytes) -> bytes:
            return wheel(edited(one, "demo/_demo.so", data))

        base = compiled("first/one")
        name = "demo-1.0-cp311-cp311-linux_x86_64.whl"
        yield Pair("elf build-path", name, held(base), held(compiled("second/rather-longer/two")), ("build-path",))
        plain = compiled("first/one", "-Wl,--build-id=0x1111111111111111111111111111111111111111")
        yield Pair(
            "elf build-id",
            name,
            held(plain),
            held(compiled("first/one", "-Wl,--build-id=0x2222222222222222222222222222222222222222")),
            ("elf-build-id",),
        )
        (root / "comment").write_bytes(b"GCC: (Other 13.1.0) 13.1.0\0")
        changed = without(base, "--remove-section=.comment", f"--add-section=.comment={root}/comment")
        yield Pair("elf compiler-version", name, held(without(base, "--remove-section=.nothing")), held(changed), ("compiler-version",))
        yield Pair("elf debug", name, held(base), held(without(base, "--strip-debug")), ("elf-debug",))


def _debs(rng: Random) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "usr/share/demo").mkdir(parents=True)
        for path in (root, root / "DEBIAN", root / "usr", root / "usr/share", root / "usr/share/demo"):
            path.chmod(0o755)
        (root / "DEBIAN/control").write_text("Package: demo\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: demo\n")
        (root / "usr/share/demo/data").write_bytes(code(rng))

        def made(stamp: str, *flags: str) -> bytes:
            subprocess.run(["find", str(root), "-exec", "touch", "-h", "-d", stamp, "{}", "+"], check=True)
            out = Path(folder) / "demo.deb"
            environment = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "2000000000"}
            subprocess.run(
                ["dpkg-deb", "--root-owner-group", *flags, "-b", str(root), str(out)], check=True, stdout=subprocess.DEVNULL, env=environment
            )
            return out.read_bytes()

        base = made("2024-01-02 03:04:05Z")
        yield Pair("deb build-time", "demo_1.0_all.deb", base, made("2024-05-02 03:04:05Z"), ("build-time",))
        yield Pair("deb compressor", "demo_1.0_all.deb", base, made("2024-01-02 03:04:05Z", "-z1"), ("compressor",))
