"""The same small C extension, compiled by gcc under other folders, dates, names and options; and static libraries by ar."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

HAS_COMPILER = all(shutil.which(tool) for tool in ("gcc", "objcopy", "ar"))
DATED = 'const char *built(void) { return __DATE__ " " __TIME__; }\n'
NAMED = "const char *file(void) { return __FILE__; }\n"


def source(rng: random.Random, *more: str) -> str:
    """A translation unit of a few functions."""
    lines = ["#include <stdio.h>", "struct pair { int left; long right; };"]
    for number in range(rng.randint(3, 8)):
        one, two = rng.randint(2, 999), rng.randint(2, 999)
        lines.append(f"int demo_{number}(int x, struct pair *p) {{ if (x > {one}) p->left = x * {two}; return (int)p->right + x; }}")
        lines.append(f'void demo_say_{number}(int x) {{ printf("value {one} is %d\\n", x); }}')
    return "\n".join([*lines, *more]) + "\n"


@lru_cache(maxsize=512)
def shared(text: str, folder: str = "/build/demo", *options: str, epoch: int = 1_700_000_000, absolute: bool = False) -> bytes:
    """A shared library with debug information, compiled in ``folder`` (a name; the real one is private and mapped to it, as in a build there)."""
    with tempfile.TemporaryDirectory() as real:
        (Path(real) / "demo.c").write_text(text)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC", "LC_ALL": "C"}
        named = str(Path(real) / "demo.c") if absolute else "demo.c"
        command = ["gcc", "-shared", "-fPIC", "-O2", "-g", f"-ffile-prefix-map={real}={folder}", *options, "-o", "demo.so", named]
        subprocess.run(command, check=True, capture_output=True, cwd=real, env=environment)
        return (Path(real) / "demo.so").read_bytes()


def by_tool(data: bytes, *command: str) -> bytes:
    """The file after objcopy or strip; ``{}`` stands for its path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.so"
        path.write_bytes(data)
        subprocess.run([part.replace("{}", str(path)) for part in command], check=True, capture_output=True)
        return path.read_bytes()


def compiled_by(data: bytes, compiler: str) -> bytes:
    """The file with another compiler's name in ``.comment``."""
    with tempfile.NamedTemporaryFile() as comment:
        comment.write(compiler.encode() + b"\0")
        comment.flush()
        return by_tool(data, "objcopy", "--update-section", f".comment={comment.name}", "{}")


def static(text: str, flags: str, moment: int, mode: int) -> bytes:
    """A static library of two objects by ``ar``; without ``D`` it keeps time, owner and mode of the objects."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "demo.c").write_text(text)
        for name in ("one.o", "two.o"):
            subprocess.run(["gcc", "-c", "-O2", "-o", name, "demo.c"], check=True, capture_output=True, cwd=folder)
            (Path(folder) / name).chmod(mode)
            os.utime(Path(folder) / name, (moment, moment))
        subprocess.run(["ar", flags, "libdemo.a", "one.o", "two.o"], check=True, capture_output=True, cwd=folder)
        return (Path(folder) / "libdemo.a").read_bytes()


def text_byte(data: bytes, rng: random.Random) -> bytes:
    """The file with one byte of its code changed."""
    from reprove.compare.anatomies.elf.tables import read

    elf = read(data)
    section = next(one for one, name in zip(elf.sections, elf.names, strict=True) if name == ".text")
    at = section.offset + rng.randrange(section.size)
    return data[:at] + bytes([data[at] ^ rng.randint(1, 255)]) + data[at + 1 :]
