"""Causes in how a build is packed: header fields, order, compression, members."""

from __future__ import annotations

import json
import random
import tarfile
import zipfile

from tests.compare.builds import INFO, Spec
from tests.compare.facts import TARS, USERS, both, dates


def build_time(rng: random.Random, old: Spec, new: Spec) -> None:
    new.time = old.time + rng.randrange(100, 60_000_000) * 2
    if old.form in TARS and rng.random() < 0.5:
        new.times = {path: new.time - rng.randrange(3) for path in new.files}  # a build takes a while


def time_zone(rng: random.Random, old: Spec, new: Spec) -> None:
    paths = [*old.files, *(f"{INFO}/{name}" for name in (*old.info, "RECORD"))]
    if rng.random() < 0.7:
        old.times = {path: old.time - rng.randrange(0, 30_000_000, 2) for path in paths}
        new.times = dict(old.times)
    new.zone = rng.choice([-32, -20, -14, 4, 8, 22, 23, 36, 48]) * 900


def source_times(rng: random.Random, old: Spec, new: Spec) -> None:
    kept, flat = (old, new) if rng.random() < 0.5 else (new, old)
    kept.times = {path: kept.time - rng.randrange(100_000, 90_000_000, 2) for path in kept.files}
    flat.times = {}


def umask(rng: random.Random, old: Spec, new: Spec) -> None:
    old.umask, new.umask = rng.sample([0o022, 0o002, 0o027, 0o077], 2)


def owners(rng: random.Random, old: Spec, new: Spec) -> None:
    uid = rng.randrange(1000, 70000)
    new.owner = (uid, uid, rng.choice(USERS), "users")


def file_order(rng: random.Random, old: Spec, new: Spec) -> None:
    order = list(new.files)
    while order == list(new.files):
        rng.shuffle(order)
    new.order = [*order, *(f"{INFO}/{name}" for name in (*new.info, "RECORD"))]


def threads(rng: random.Random, old: Spec, new: Spec) -> None:
    filler = b"".join(b"row %d of a table\n" % rng.getrandbits(40) for _ in range(90_000))
    both(old, new, "demo/table.txt", filler, filler)
    old.xz, new.xz = ("-0", "-T1"), ("-0", "-T2")


def record_order(rng: random.Random, old: Spec, new: Spec) -> None:
    count = len(old.files) + len(old.info)
    new.record_order = list(range(count))
    while new.record_order == list(range(count)):
        rng.shuffle(new.record_order)


def md5_order(rng: random.Random, old: Spec, new: Spec) -> None:
    import hashlib

    rows = [f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  usr/share/demo/{path}\n" for path, data in sorted(old.files.items())]
    new.control["md5sums"] = "".join(reversed(rows)).encode()


def installed_size(rng: random.Random, old: Spec, new: Spec) -> None:
    text = b"Package: demo\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@example.org>\nInstalled-Size: %d\nDescription: a demo\n"
    old.control["control"], new.control["control"] = text % 12, text % rng.randrange(13, 40)


def folder_entries(rng: random.Random, old: Spec, new: Spec) -> None:
    old.folders, new.folders = rng.sample([True, False], 2)


def zip_fields(rng: random.Random, old: Spec, new: Spec) -> None:
    if rng.random() < 0.5:
        new.version, new.system = 63, 3
    else:
        new.stamps = True


def level(rng: random.Random, old: Spec, new: Spec) -> None:
    filler = b"".join(b"row %d of a table\n" % rng.getrandbits(20) for _ in range(2000))
    both(old, new, "demo/table.txt", filler, filler)
    old.level, new.level = rng.sample([1, 4, 6, 9], 2)


def stored(rng: random.Random, old: Spec, new: Spec) -> None:
    new.method = zipfile.ZIP_STORED


def gzip_header(rng: random.Random, old: Spec, new: Spec) -> None:
    shape = rng.randrange(3)
    if shape != 1:
        new.gzip_time = int(dates(rng)[0])
    if shape != 0:
        new.gzip_name, new.gzip_os = "demo-1.0.tar", 3


def dialect(rng: random.Random, old: Spec, new: Spec) -> None:
    old.dialect, new.dialect = rng.sample([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT], 2)
    if rng.random() < 0.5:
        long = f"demo/{'long_' * 25}name.py"
        both(old, new, long, b"x = 1\n", b"x = 1\n")
        old.dialect, new.dialect = rng.sample([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], 2)


def jar_signature(rng: random.Random, old: Spec, new: Spec) -> None:
    new.info["SIGNER.SF"] = b"Signature-Version: 1.0\r\nSHA-256-Digest-Manifest: " + rng.randbytes(20).hex().encode() + b"\r\n\r\n"
    new.info["SIGNER.RSA"] = b"0\x82" + rng.randbytes(400)


def wheel_signature(rng: random.Random, old: Spec, new: Spec) -> None:
    new.members.append((f"{INFO}/RECORD.jws", json.dumps({"signature": rng.randbytes(40).hex()}).encode()))


def executable(rng: random.Random, old: Spec, new: Spec) -> None:
    path = rng.choice(sorted(set(new.files) - {"demo/run.sh"}))
    new.modes[path] = 0o777


def zip_comment(rng: random.Random, old: Spec, new: Spec) -> None:
    new.comment = rng.choice([b"packed by hand", b"v1.0 release"])


def moved(rng: random.Random, old: Spec, new: Spec) -> None:
    path = rng.choice(sorted(path for path in new.files if path.endswith((".py", ".js")) and "__init__" not in path and "index" not in path))
    new.files[f"demo/vendor/{path.rpartition('/')[2]}"] = new.files.pop(path)


def bundled_library(rng: random.Random, old: Spec, new: Spec) -> None:
    for spec, minor in ((old, 11), (new, rng.choice([12, 13]))):
        spec.files[f"demo.libs/libz-{rng.getrandbits(32):08x}.so.1.2.{minor}"] = b"\x7fELF" + rng.randbytes(900)
