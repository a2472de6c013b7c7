"""Read what a wheel and its sdist say about how they were made, inside the hardened container (contract: workers/drivers/README.md).

Reads ``/in/original``, ``/in/source`` and ``/in/facts.json`` (the resolution's predicate: names, digests, upload times); writes one size-capped
JSON, ``/out/result.json``. Every string in it is hostile input cut to a length; the worker's rules read it as data (``workers/ecosystems/pypi.py``).
"""

import configparser
import json
import re
import stat
import sys
import tomllib
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path

from reprove.archive.dostime import dos_seconds
from reprove.archive.limits import ArchiveError, LimitError, UnsafeSourceError
from reprove.archive.nested import find
from reprove.archive.sources import Source, read_source
from reprove.archive.zipfiles import OpenZip, open_zip
from reprove.compare.files import file_sha256
from reprove.compare.sourced import SourceIndex, in_dist_info

MAX_LIST = 100
MAX_PAIRS = 400
MAX_ECHOES = 5
MAX_TEXT = 300
MAX_METADATA = 4 * 1024 * 1024
WANTED = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})
LICENSE_NAME = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*\Z")
WHEEL_NAME = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-(?P<build>\d[^-]*))?-(?P<tag>[^-]+-[^-]+-[^-]+)\.whl\Z")


def main(argv: list[str]) -> int:
    """Write the evidence; a file that cannot be read is evidence too."""
    inner = Path(argv[1] if len(argv) > 1 else "/in")
    outer = Path(argv[2] if len(argv) > 2 else "/out")
    result: dict = {"infer": 1, "findings": []}
    try:
        collect(inner, json.loads((inner / "facts.json").read_text(encoding="utf-8")), result)
    except UnsafeSourceError as error:
        result["problem"] = {"class": "unsafe-source", "detail": cut(error.detail)}
    except LimitError as error:
        result["problem"] = {"class": "output", "detail": cut(error.detail)}
    except ArchiveError as error:
        result["problem"] = {"class": "source-layout", "detail": cut(error.detail)}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        result["problem"] = {"class": "source-layout", "detail": cut(f"{type(error).__name__}: {error}")}
    draft = outer / ".result.json"
    draft.write_text(json.dumps(result), encoding="utf-8")
    draft.replace(outer / "result.json")
    return 0


def collect(inner: Path, facts: dict, result: dict) -> None:
    """Fill ``result``. A source that is refused ends it; an original that cannot be read does not."""
    original = facts.get("original") or {}
    result["name"] = cut(original.get("name"))
    result["uploaded"] = cut(original.get("uploaded"))
    found = WHEEL_NAME.match(str(original.get("name")))
    if found:
        result["wheel"] = {"distribution": cut(found["name"]), "version": cut(found["version"]), "tag": cut(found["tag"])}
    source = read_source(inner / "source", wanted=WANTED.__contains__) if (inner / "source").exists() else None
    try:
        with open_zip(inner / "original") as archive:
            wheel_facts(archive, result)
            if source is not None:
                pair_facts(archive, SourceIndex(source), result)
    except ArchiveError as error:
        # such an original can still be reproduced bit for bit, so the source is read and searched all the same
        result["unreadable"] = cut(error.detail)
    if source is not None:
        source_facts(source, result)
        echoes(inner / "source", source.sha256, file_sha256(inner / "original"), result)


def cut(value: object, length: int = MAX_TEXT) -> str:
    """A string that is safe to carry: printable, bounded."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:length])


def wheel_facts(archive: OpenZip, result: dict) -> None:
    """The container's fields, and what WHEEL, METADATA and RECORD give away."""
    entries = archive.zip.entries
    result["members"] = len(entries)
    result["sha256"] = archive.zip.sha256
    result["violations"] = [{**item.as_json(), "path": cut(item.path), "detail": cut(item.detail)} for item in archive.zip.violations[:20]]
    times = Counter(dos_seconds(entry.central.time) for entry in entries if not entry.is_dir)
    result["times"] = sorted(times.items())[:MAX_LIST]
    result["distinct_times"] = len(times)
    result["systems"] = sorted({entry.system for entry in entries})
    result["methods"] = sorted({entry.central.method for entry in entries})
    files = [entry for entry in entries if not entry.is_dir]
    result["order"] = "sorted" if [item.name for item in files] == sorted(item.name for item in files) else "other"
    info = [entry for entry in files if in_dist_info(entry.name)]
    result["info_modes"] = modes(info)
    result["payload_modes"] = modes([entry for entry in files if not in_dist_info(entry.name)])
    record = next((entry for entry in info if entry.name.endswith("/RECORD")), None)
    result["record_mode"] = f"{record.mode:o}" if record else ""
    result["wheel_file"] = headers(archive, info, "WHEEL")
    result["metadata"] = metadata_facts(archive, info)


def modes(entries: list) -> list:
    """How often each permission occurs: ``[["644", 12], ...]``."""
    return [[f"{mode:o}", count] for mode, count in Counter(stat.S_IMODE(entry.mode) for entry in entries).most_common(8)]


def read_member(archive: OpenZip, info: list, name: str) -> bytes:
    """A member of ``dist-info``, or nothing when it is missing, too large or malformed."""
    entry = next((item for item in info if item.name.endswith(".dist-info/" + name)), None)
    if entry is None or entry.central.size > MAX_METADATA:
        return b""
    try:
        return b"".join(archive.content(entry))[:MAX_METADATA]
    except ArchiveError:
        return b""


def headers(archive: OpenZip, info: list, name: str) -> dict:
    """The ``Key: value`` lines of WHEEL; a key that repeats becomes a list of its values."""
    result: dict = {}
    for line in read_member(archive, info, name).decode("utf-8", "replace").splitlines()[:50]:
        key, colon, value = line.partition(":")
        if colon:
            result.setdefault(cut(key.strip(), 40), []).append(cut(value.strip()))
    return result


def metadata_facts(archive: OpenZip, info: list) -> dict:
    """What fingerprints the writer of METADATA (rules R6 and R8)."""
    text = read_member(archive, info, "METADATA").decode("utf-8", "replace")
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    return {
        "version": next((cut(line[17:].strip(), 20) for line in lines if line.startswith("Metadata-Version:")), ""),
        "platform_unknown": "Platform: UNKNOWN" in lines,
        "license_member": any(LICENSE_NAME.match(entry.name.partition("/")[2]) for entry in info),
        "license_file": any(line.startswith("License-File:") for line in lines),
        "dynamic": any(line.startswith("Dynamic:") for line in lines),
        "blank_tail": body.endswith("\n\n\n"),
        "parentheses": any(line.startswith("Requires-Dist:") and " (" in line for line in lines),
        "crlf": "\r\n" in text,
    }


def source_facts(source: Source, result: dict) -> None:
    """The source's layout and build system."""
    result["source"] = {
        "sha256": source.sha256,
        "size": source.size,
        "format": source.format,
        "top": cut(source.top),
        "members": len(source.members),
        "oldest": min((member.mtime for member in source.members), default=0),
        "newest": max((member.mtime for member in source.members), default=0),
    }
    if source.top is None:
        result["problem"] = {"class": "source-layout", "detail": "the source has more than one top folder"}
    build_system(source, result)


def echoes(path: Path, source: str, original: str, result: dict) -> None:
    """Copies of the original in its source (DESIGN section 6)."""
    if source == original:
        add_finding(result, "the source archive is the original")
    for place in islice(find(path, original), MAX_ECHOES):
        add_finding(result, "the source holds the original", place)


def pair_facts(archive: OpenZip, index: SourceIndex, result: dict) -> None:
    """The source's times and modes beside the wheel's, and what it lacks."""
    pairs, kept, masked, unsourced = [], 0, Counter(), []
    for entry, digest in zip(archive.zip.entries, archive.zip.digests, strict=True):
        if entry.is_dir or in_dist_info(entry.name):
            continue
        member = index.same(entry.name, digest)
        if member is None:
            if index.named(entry.name) is None:
                unsourced.append(cut(entry.name))
            continue
        pairs.append([dos_seconds(entry.central.time), member.mtime])
        mode = stat.S_IMODE(entry.mode)
        kept += mode == member.mode
        for mask in (0o022, 0o002):
            masked[f"{mask:03o}"] += mode == member.mode & ~mask
    result["pairs"] = [list(pair) for pair in sorted({tuple(pair) for pair in pairs})][:MAX_PAIRS]
    result["sourced"] = len(pairs)
    result["modes_kept"] = kept
    result["modes_masked"] = dict(masked)
    result["unsourced"] = unsourced[:MAX_LIST]


def add_finding(result: dict, detail: str, path: str = "") -> None:
    """The echo finding, once for each place."""
    result["findings"].append({"code": "original-among-inputs", "path": cut(path), "detail": detail})


def build_system(source: Source, result: dict) -> None:
    """``pyproject.toml`` (PEP 518), ``setup.py`` and what ``setup.cfg`` declares; nothing is executed."""
    files = {member.inner for member in source.members}
    system: dict = {"pyproject": "pyproject.toml" in files, "setup_py": "setup.py" in files, "requires": None, "backend": None, "backend_path": []}
    try:
        project = tomllib.loads(source.kept.get("pyproject.toml", b"").decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        project = {}
        system["broken"] = cut(str(error))
    table = project.get("build-system")
    if isinstance(table, dict):
        requires = table.get("requires")
        system["requires"] = texts(requires)
        system["backend"] = cut(table.get("build-backend")) or None
        system["backend_path"] = texts(table.get("backend-path"))
    system["dependency_groups"] = isinstance(project.get("dependency-groups"), dict)
    config = configparser.RawConfigParser(strict=False)
    with suppress(configparser.Error):
        config.read_string(source.kept.get("setup.cfg", b"").decode("utf-8", "replace"))
    declared = config.get("options", "setup_requires", fallback="")
    system["setup_requires"] = texts([line.strip() for line in re.split(r"[\n;]" if "\n" not in declared else r"\n", declared) if line.strip()])
    system["universal"] = any(config.get(section, "universal", fallback="") not in ("", "0") for section in ("bdist_wheel", "wheel"))
    result["build_system"] = system


def texts(value: object) -> list:
    """The strings of a list, cut and bounded."""
    return [cut(item) for item in value[:50] if isinstance(item, str)] if isinstance(value, list) else []


if __name__ == "__main__":
    sys.exit(main(sys.argv))
