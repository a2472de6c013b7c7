"""Which package format an archive is, by what it holds and by its name. The bytes decide; a name only helps where they say nothing."""

from __future__ import annotations

from collections.abc import Sequence

from reprove.archive.tree import Profile

STRICT = frozenset({Profile.SDIST, Profile.NPM, Profile.CRATE, Profile.GEM})
"""Packages that are unpacked on any system by many tools, and never have set-id bits, devices, attributes, sparse files or folding names."""
_ZIP_NAMES = (".whl", ".zip", ".jar", ".war", ".ear", ".egg")
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
_TAR_NAMES = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".crate", ".gem")
_PACKINGS = (".gz", ".bz2", ".xz", ".zst")


def is_zip(head: bytes, name: str) -> bool:
    """Whether a file is for the zip reader: by its first bytes, or by its name (then what stands before the first member is a violation)."""
    return head.startswith(_ZIP_MAGIC) or name.lower().endswith(_ZIP_NAMES)


def named_tar(name: str) -> bool:
    """Whether a name is a tar's, compressed or not."""
    lower = name.lower()
    for suffix in _PACKINGS:
        lower = lower.removesuffix(suffix)
    return lower.endswith(_TAR_NAMES)


def is_deb(names: Sequence[str], name: str) -> bool:
    """Whether an ar archive is a Debian package."""
    return names[:1] == ["debian-binary"] or name.lower().endswith((".deb", ".udeb"))


def of_tar(paths: Sequence[str], name: str, *, packed: bool) -> Profile:
    """The profile of a tar by its members' paths; ``packed`` says that it was compressed."""
    lower, known = name.lower(), set(paths)
    if not packed and (lower.endswith(".gem") or {"metadata.gz", "data.tar.gz"} <= known):
        return Profile.GEM
    tops = {path.partition("/")[0] for path in paths}
    if lower.endswith(".crate"):
        return Profile.CRATE
    if len(tops) != 1 or not packed:
        return Profile.TAR
    (top,) = tops
    if top == "package" and "package/package.json" in known:
        return Profile.NPM
    if f"{top}/Cargo.toml" in known and not known.isdisjoint({f"{top}/.cargo_vcs_info.json", f"{top}/Cargo.toml.orig"}):
        return Profile.CRATE
    return Profile.SDIST if f"{top}/PKG-INFO" in known else Profile.TAR
