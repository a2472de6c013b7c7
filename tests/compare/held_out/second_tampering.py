"""A second batch of what an attacker changes: in the shadow of what passes mask, and where a reader of one format stops early."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import struct
import zlib
from pathlib import Path

from tests.compare.held_out.contents import c_source, compiled, pair
from tests.compare.held_out.packing import DEB, JAR, NPM, SDIST, WHEEL, Made, Scenario
from tests.compare.held_out.projects import deb, run, sdist, wheel, write


def second_member(rng: random.Random, a: Path, b: Path) -> Made:
    """A manual page of two gzip members, of which some readers see one, under another time."""
    text = b".TH DEMO 1\n" * 20
    more = [gzip.compress(text, mtime=2) + gzip.compress(b"evil"), gzip.compress(text, mtime=2) + b"evil", gzip.compress(text + b"\nevil", mtime=2)]
    return pair(a, b, "demo/demo.1.gz", [gzip.compress(text, mtime=1), rng.choice(more)], rng.choice([WHEEL, DEB, SDIST]))


def _block(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def image(rng: random.Random, a: Path, b: Path) -> Made:
    """Another time in a PNG, and other pixels, another block, or bytes behind the end."""
    made = []
    for year, pixel, block, tail in (
        (2001, 1, b"", b""),
        (2002, *rng.choice([(2, b"", b""), (1, _block(b"zXIf", b"evil"), b""), (1, b"", b"evil")])),
    ):
        head = b"\x89PNG\r\n\x1a\n" + _block(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
        dated = _block(b"tIME", struct.pack(">HBBBBB", year, 1, 2, 3, 4, 5)) + block + _block(b"IDAT", zlib.compress(bytes([0, pixel, 0, 0])))
        made.append(head + dated + _block(b"IEND", b"") + tail)
    return pair(a, b, "demo/logo.png", made, rng.choice([WHEEL, NPM]))


def translation(_rng: random.Random, a: Path, b: Path) -> Made:
    head = 'msgid ""\nmsgstr ""\n"POT-Creation-Date: 2021-0{0}-01 10:00+0000\\n"\n"Content-Type: text/plain\\n"\n\nmsgid "no"\nmsgstr "{1}"\n'
    return pair(a, b, "demo/de.po", [head.format(1, "nein"), head.format(2, "ja")])


def object_code(rng: random.Random, a: Path, b: Path) -> Made:
    """Another object in a static library, whose headers differ too."""
    text, made = c_source(rng), []
    for top, flags, each in ((a, "rcsD", text), (b, "rcsU", text.replace("s += i *", "s -= i *"))):
        compiled(a.parent / "c", each, "-c")
        shutil.move(a.parent / "c/work.so", top.parent / "work.o")
        run("ar", flags, "libdemo.a", "work.o", cwd=top.parent)
        made.append((top.parent / "libdemo.a").read_bytes())
    return pair(a, b, "demo/libdemo.a", made, DEB)


def class_path(_rng: random.Random, a: Path, b: Path) -> Made:
    """Who built it, and what else is loaded."""
    made = []
    for top, lines in ((a, "Built-By: alice\n"), (b, "Built-By: bob\nClass-Path: evil.jar\n")):
        write(top / "m.txt", f"{lines}Main-Class: demo.Main\n")
        run("jar", "--create", "--file", "out.jar", "--date=2022-01-01T00:00:00Z", "--manifest", "m.txt", "-C", "demo", ".", cwd=top)
        made.append((top / "out.jar").read_bytes())
    return JAR, made[0], made[1]


def stack(rng: random.Random, a: Path, b: Path) -> Made:
    """Another folder of the build in debug information, and a stack that may be executed, or pages that may be written late."""
    text, option = c_source(rng), rng.choice(["-Wl,-z,execstack", "-Wl,-z,norelro", "-Wl,-z,now"])
    made = [compiled(a.parent / "one", text, "-g"), compiled(b.parent / "two/three", text, "-g", option)]
    return pair(a, b, "demo/work.so", made, rng.choice([WHEEL, DEB]))


def appended(rng: random.Random, a: Path, b: Path) -> Made:
    """Bytes behind the end of a library that differs in its build id."""
    text, made = c_source(rng), []
    for top in (a, b):
        compiled(top.parent / "w", text, "-g", "-Wl,--build-id=sha1")
        run("strip", "-g", "work.so", cwd=top.parent / "w")
        made.append((top.parent / "w/work.so").read_bytes())
    return pair(a, b, "demo/work.so", [made[0], made[1] + rng.randbytes(32)], rng.choice([WHEEL, DEB]))


def preloaded(rng: random.Random, a: Path, b: Path) -> Made:
    """A library path inside the temporary folder that everybody writes to."""
    text = c_source(rng)
    return pair(a, b, "demo/work.so", [compiled(a.parent / "c", text, "-g0", *more) for more in ((), ("-Wl,-rpath,/tmp",))], WHEEL)


def lines(rng: random.Random, a: Path, b: Path) -> Made:
    """Line ends, and one token."""
    path = rng.choice(sorted((b / "demo").glob("*.py")))
    path.write_bytes(path.read_bytes().replace(b"range(limit)", b"range(limit + 1)", 1).replace(b"\n", b"\r\n"))
    form = rng.choice([WHEEL, SDIST])
    return form, *((wheel(a), wheel(b)) if form == WHEEL else (sdist(a), sdist(b)))


def false_record(_rng: random.Random, a: Path, b: Path) -> Made:
    """A module that its RECORD does not know of."""
    old = wheel(a)
    wheel(b)
    write(b / "demo/late.py", "import os\n")
    run("zip", "-q", "-X", "-D", "-r", "../x.whl", "demo", "demo-1.0.dist-info", cwd=b)
    return WHEEL, old, (b.parent / "x.whl").read_bytes()


def trigger(_rng: random.Random, a: Path, b: Path) -> Made:
    """A file of the package's control that dpkg acts on, beside true lists of digests."""
    old = deb(a)
    deb(b)
    write(b.parent / "root/DEBIAN/triggers", "activate ldconfig\n").chmod(0o644)
    run("dpkg-deb", "--root-owner-group", "--build", "root", "more.deb", cwd=b.parent)
    return DEB, old, (b.parent / "more.deb").read_bytes()


def order_of_checks(_rng: random.Random, a: Path, b: Path) -> Made:
    """Two rules of a list whose first match wins, and one of them new."""
    rules = ["deny 10.0.0.0/8", "allow 10.1.0.0/16", "deny all"]
    return pair(a, b, "demo/rules.txt", ["\n".join(rules) + "\n", "\n".join([rules[1], "allow 10.9.0.0/16", rules[2]]) + "\n"])


def dated_code(rng: random.Random, a: Path, b: Path) -> Made:
    """A date of the build, and a statement more on the same line."""
    first = f"20{rng.randrange(10, 20)}-01-02"
    return pair(a, b, "demo/_built.py", [f'BUILT = "{first}"\n', 'BUILT = "2021-05-06"; import evil\n'], rng.choice([WHEEL, NPM, SDIST]))


def hidden_link(_rng: random.Random, a: Path, b: Path) -> Made:
    """A hard link to another file than before, of the same content."""
    for top, target in ((a, "demo/__init__.py"), (b, "run.sh")):
        os.link(top / target, top / "demo/linked")
    return SDIST, sdist(a), sdist(b)


SCENARIOS: tuple[tuple[str, Scenario], ...] = tuple(
    ("unexplained", each)
    for each in (
        *(second_member, image, translation, object_code, class_path, stack, appended, preloaded, lines),
        *(false_record, trigger, order_of_checks, dated_code, hidden_link),
    )
)
