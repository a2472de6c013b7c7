"""Causes in compiled and packed files: by gcc, ar, py_compile, gzip."""

from __future__ import annotations

import os
import py_compile
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.compare import ccode
from tests.compare.anatomies import samples
from tests.compare.builds import Spec, man_page
from tests.compare.facts import HOSTS, USERS, both, dates, folders


def path_in_pyc(rng: random.Random, old: Spec, new: Spec) -> None:
    first, second = folders(rng)
    text = old.files["demo/__init__.py"].decode() + "def f():\n    return 1\n\ndef g():\n    return 2\n"
    for spec, where in ((old, first), (new, second)):
        spec.files["demo/__pycache__/__init__.cpython-311.pyc"] = _pyc(text, where + "/demo/__init__.py", 1_600_000_000)


def _pyc(text: str, name: str, moment: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "m.py"
        source.write_text(text)
        os.utime(source, (moment, moment))
        made = py_compile.compile(
            str(source), str(source) + "c", dfile=name, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP
        )
        assert made is not None
        return Path(made).read_bytes()


def pyc_time(rng: random.Random, old: Spec, new: Spec) -> None:
    text = old.files["demo/__init__.py"].decode()
    for spec, moment in zip((old, new), dates(rng), strict=True):
        spec.files["demo/__pycache__/__init__.cpython-311.pyc"] = _pyc(text, "demo/__init__.py", int(moment))


def _compiled(rng: random.Random, old: Spec, new: Spec, make: Callable[[int], bytes]) -> None:
    path = rng.choice(["demo/_speed.cpython-311-x86_64-linux-gnu.so", "demo/libdemo.so.1", "demo/lib/native.so"])
    both(old, new, path, make(0), make(1))


def path_in_debug(rng: random.Random, old: Spec, new: Spec) -> None:
    text, where = ccode.source(rng), folders(rng)
    _compiled(rng, old, new, lambda side: ccode.shared(text, where[side], absolute=True))


def path_in_code(rng: random.Random, old: Spec, new: Spec) -> None:
    """``__FILE__`` in an assertion, without debug information."""
    text, where = ccode.source(rng, ccode.NAMED), folders(rng)
    _compiled(rng, old, new, lambda side: ccode.shared(text, where[side], "-g0", absolute=True))


def rpath(rng: random.Random, old: Spec, new: Spec) -> None:
    text, where = ccode.source(rng), folders(rng)
    _compiled(rng, old, new, lambda side: ccode.shared(text, "/b/demo", "-g0", f"-Wl,-rpath,{where[side]}/lib"))


def host_in_code(rng: random.Random, old: Spec, new: Spec) -> None:
    text, users, hosts = ccode.source(rng), rng.sample(USERS, 2), rng.sample(HOSTS, 2)
    line = 'const char *who(void) { return "compiled by %s@%s"; }\n'
    _compiled(rng, old, new, lambda side: ccode.shared(text + line % (users[side], hosts[side]), "/b/demo", "-g0"))


def date_in_code(rng: random.Random, old: Spec, new: Spec) -> None:
    text, moments = ccode.source(rng, ccode.DATED), dates(rng)
    options = rng.choice([("-g0",), ()])
    _compiled(rng, old, new, lambda side: ccode.shared(text, "/b/demo", *options, epoch=int(moments[side])))


def comment(rng: random.Random, old: Spec, new: Spec) -> None:
    text, options = ccode.source(rng), rng.choice([("-g0",), ()])
    made = ccode.shared(text, "/b/demo", *options)
    _compiled(rng, old, new, lambda side: ccode.compiled_by(made, f"GCC: (Debian 1{side}.2.0-14) 1{side}.2.0"))


def other_compiler(rng: random.Random, old: Spec, new: Spec) -> None:
    """Another compiler makes other code of the same source, and says so."""
    text = ccode.source(rng)
    made = [ccode.shared(text, "/b/demo", "-g0", level) for level in ("-O2", "-O3" if rng.random() < 0.3 else "-Os")]
    _compiled(rng, old, new, lambda side: ccode.compiled_by(made[side], f"GCC: (GNU) 1{side + 1}.{side + 2}.1"))


def man_time(rng: random.Random, old: Spec, new: Spec) -> None:
    first, second = dates(rng)
    text = b".TH DEMO 1\n.SH NAME\ndemo\n" * 20
    both(old, new, "demo/demo.1.gz", man_page(text, int(first)), man_page(text, int(second)))


def man_level(rng: random.Random, old: Spec, new: Spec) -> None:
    text = b"".join(b"row %d of a table\n" % rng.getrandbits(20) for _ in range(2000))
    both(old, new, "demo/demo.1.gz", man_page(text, 0, 9), man_page(text, 0, 4))


def static_library(rng: random.Random, old: Spec, new: Spec) -> None:
    """A static library that is payload, by ``ar U``: it keeps times, owners and modes."""
    text, moments = ccode.source(rng), dates(rng)
    mode = rng.choice([0o644, 0o664])
    both(old, new, "demo/libdemo.a", ccode.static(text, "rcU", int(moments[0]), 0o644), ccode.static(text, "rcU", int(moments[1]), mode))


def build_id(rng: random.Random, old: Spec, new: Spec) -> None:
    text, ids = ccode.source(rng), [rng.randbytes(20).hex() for _ in range(2)]
    _compiled(rng, old, new, lambda side: ccode.shared(text, "/b/demo", "-g0", f"-Wl,--build-id=0x{ids[side]}"))


def debug(rng: random.Random, old: Spec, new: Spec) -> None:
    text = ccode.source(rng)
    options = rng.choice([("-g", "-g1"), ("-g", "-gdwarf-4"), ("-g3", "-g"), ("-g", "-g0")])
    _compiled(rng, old, new, lambda side: ccode.shared(text, "/b/demo", options[side]))


def stripped(rng: random.Random, old: Spec, new: Spec) -> None:
    made = ccode.shared(ccode.source(rng), "/b/demo")
    _compiled(rng, old, new, lambda side: ccode.by_tool(made, "strip", "-g", "{}") if side else made)


def png(rng: random.Random, old: Spec, new: Spec) -> None:
    when = [bytes([7, 200 + rng.randrange(40), rng.randrange(1, 12), rng.randrange(1, 28), 3, 4, n]) for n in (5, 6)]
    both(old, new, "demo/logo.png", samples.png(when[0]), samples.png(when[1]))


def po(rng: random.Random, old: Spec, new: Spec) -> None:
    stamps = [time.strftime("%Y-%m-%d %H:%M+0000", time.gmtime(moment)).encode() for moment in dates(rng)]
    if rng.random() < 0.5:
        both(old, new, "demo/locale/de/LC_MESSAGES/demo.mo", samples.mo(stamps[0]), samples.mo(stamps[1]))
    else:
        text = b'msgid ""\nmsgstr ""\n"POT-Creation-Date: %s\\n"\n\nmsgid "yes"\nmsgstr "ja"\n'
        both(old, new, "demo/locale/de.po", text % stamps[0], text % stamps[1])
