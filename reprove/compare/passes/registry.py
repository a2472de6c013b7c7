"""Every named pass, the narrowest first: where several would do, the comparison names the earlier ones."""

from __future__ import annotations

from reprove.compare.passes import (
    archive_comment,
    cargo_vcs_hash,
    deb_installed_size,
    deb_md5sums,
    egg_info_order,
    elf_build_id,
    elf_code_identical,
    elf_comment,
    elf_debug,
    elf_debuglink,
    elf_path_prefix,
    gem_checksums,
    gem_metadata_cert_chain,
    gem_metadata_date,
    gem_metadata_rubygems_version,
    gem_signatures,
    jar_attribute_value_order,
    jar_build_metadata,
    jar_git_json,
    jar_git_properties,
    jar_manifest_digests,
    jar_maven_pom_properties,
    jar_signature,
    nested_archive,
    nested_gzip,
    png_time,
    po_creation_date,
    pyc_mtime,
    wheel_generator,
    wheel_metadata_order,
    wheel_record,
)
from reprove.compare.passes.model import Pass

PASSES: tuple[Pass, ...] = tuple(
    module.PASS
    for module in (
        wheel_record,
        wheel_generator,
        wheel_metadata_order,
        egg_info_order,
        gem_checksums,
        gem_metadata_date,
        gem_metadata_rubygems_version,
        deb_md5sums,
        jar_maven_pom_properties,
        jar_attribute_value_order,
        jar_build_metadata,
        pyc_mtime,
        png_time,
        po_creation_date,
        archive_comment,
        elf_build_id,
        elf_debuglink,
        elf_comment,
        elf_path_prefix,
        elf_debug,
        elf_code_identical,
        nested_gzip,
        nested_archive,
        deb_installed_size,
        cargo_vcs_hash,
        gem_metadata_cert_chain,
        gem_signatures,
        jar_git_properties,
        jar_git_json,
        jar_manifest_digests,
        jar_signature,
    )
)
_BY_ID = {one.id: one for one in PASSES}


def by_id(name: str) -> Pass:
    """The pass of that id. Raises :class:`KeyError` for an unknown one."""
    return _BY_ID[name]


def table() -> str:
    """Markdown rows for docs/comparison.md, sorted by id."""
    head = "| pass | version | level | risk | formats | members | why it may be left out of account |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(f"{_row(one)}\n" for one in sorted(PASSES, key=lambda one: one.id))


def _row(one: Pass) -> str:
    formats = "any" if len(one.profiles) > 5 else ", ".join(sorted(one.profiles))
    members = ", ".join(f"`{path}`" for path in one.paths)
    return f"| `{one.id}` | {one.version} | {one.level.value} | {one.risk.value} | {formats} | {members} | {one.reason} |"
