"""Every cause in every format that has it, injected into one of two equal builds of :mod:`tests.compare.builds`."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.compare import inject_binaries as binaries
from tests.compare import inject_packing as packing
from tests.compare import inject_texts as texts
from tests.compare.builds import DEB, JAR, NPM, SDIST, WHEEL, Spec

Inject = Callable[[random.Random, Spec, Spec], None]
"""Changes both sides of a pair that were equal: so that afterwards exactly this cause differs."""
ALL, TARS, ZIPS = (WHEEL, SDIST, NPM, DEB), (SDIST, NPM), (WHEEL, JAR)

INJECTIONS: tuple[tuple[str, tuple[str, ...], Inject], ...] = (
    ("build-time", ALL, packing.build_time),
    ("time-zone", (WHEEL,), packing.time_zone),
    ("source-times", (WHEEL, SDIST), packing.source_times),
    ("umask", ALL, packing.umask),
    ("owners", (*TARS, DEB), packing.owners),
    ("file-order", (*TARS, WHEEL), packing.file_order),
    ("file-order", ALL, texts.listing),
    ("file-order", (SDIST,), texts.sources_txt),
    ("locale-order", ALL, texts.locale_order),
    ("build-path", ALL, texts.path_in_text),
    ("build-path", (WHEEL, DEB), binaries.path_in_pyc),
    ("build-path", (WHEEL, DEB), binaries.path_in_debug),
    ("build-path", (WHEEL, DEB), binaries.path_in_code),
    ("build-path", (WHEEL, DEB), binaries.rpath),
    ("host-or-user", ALL, texts.host_in_text),
    ("host-or-user", (WHEEL, DEB), binaries.host_in_code),
    ("embedded-date", ALL, texts.date_in_text),
    ("embedded-date", (WHEEL, DEB), binaries.date_in_code),
    ("hash-order", ALL, texts.set_order),
    ("random", ALL, texts.random_ids),
    ("threads", (SDIST,), packing.threads),
    ("compiler-version", (WHEEL, DEB), binaries.comment),
    ("compiler-version", (WHEEL, DEB), binaries.other_compiler),
    ("backend-version", (WHEEL,), texts.generator),
    ("backend-version", (WHEEL,), texts.backend_age),
    ("backend-version", (WHEEL,), texts.header_order),
    ("backend-version", (SDIST,), texts.pkg_info),
    ("backend-version", (NPM,), texts.npm_version),
    ("dependency-drift", (WHEEL,), packing.bundled_library),
    ("dependency-drift", (WHEEL, SDIST, NPM), texts.lock_file),
    ("derived-record", (WHEEL,), packing.record_order),
    ("derived-digests", (DEB,), packing.md5_order),
    ("derived-size", (DEB,), packing.installed_size),
    ("packer", (WHEEL, SDIST, NPM), packing.folder_entries),
    ("packer", ZIPS, packing.zip_fields),
    ("compressor", (*TARS, WHEEL, DEB), packing.level),
    ("compressor", (WHEEL,), packing.stored),
    ("compressor", (WHEEL, DEB), binaries.man_level),
    ("gzip-header", TARS, packing.gzip_header),
    ("gzip-header", (WHEEL, DEB), binaries.man_time),
    ("tar-dialect", TARS, packing.dialect),
    ("ar-header", (WHEEL, DEB), binaries.static_library),
    ("pyc-time", (WHEEL, DEB), binaries.pyc_time),
    ("elf-build-id", (WHEEL, DEB), binaries.build_id),
    ("elf-debug", (WHEEL, DEB), binaries.debug),
    ("elf-debug", (WHEEL, DEB), binaries.stripped),
    ("java-manifest", (JAR,), texts.manifest),
    ("java-manifest", (JAR,), texts.pom_properties),
    ("png-time", (WHEEL, DEB), binaries.png),
    ("po-date", (WHEEL, DEB), binaries.po),
    ("renamed-chunk", (NPM, WHEEL), texts.chunk),
    ("git-state", ALL, texts.git),
    ("git-state", (NPM,), texts.git_head),
    ("signature", (JAR,), packing.jar_signature),
    ("signature", (WHEEL,), packing.wheel_signature),
    ("line-endings", ALL, texts.line_endings),
    ("executable-bit", ALL, packing.executable),
    ("archive-comment", (WHEEL,), packing.zip_comment),
    ("moved-member", (*TARS, WHEEL), packing.moved),
)
"""Cause, formats, injection."""
NEED_COMPILER = frozenset(
    [
        binaries.path_in_debug,
        binaries.path_in_code,
        binaries.rpath,
        binaries.host_in_code,
        binaries.date_in_code,
        binaries.comment,
        binaries.other_compiler,
        binaries.static_library,
        binaries.build_id,
        binaries.debug,
        binaries.stripped,
    ]
)
HEADERS = frozenset(
    [
        packing.build_time,
        packing.umask,
        packing.owners,
        packing.file_order,
        packing.dialect,
        packing.gzip_header,
        packing.zip_fields,
        packing.folder_entries,
    ]
)
"""Causes that leave every content as it is."""
ONE_WAY = frozenset({packing.executable})
ALONE = frozenset(
    [
        packing.executable,
        packing.threads,
        packing.md5_order,
        packing.record_order,
        packing.installed_size,
        packing.stored,
        packing.level,
        packing.moved,
        texts.sources_txt,
        texts.backend_age,
        binaries.build_id,
    ]
)
"""Causes that others would cover, or that change what others look for."""
SAME_FILE = (
    NEED_COMPILER,
    frozenset({binaries.man_time, binaries.man_level}),
    frozenset({binaries.pyc_time, binaries.path_in_pyc}),
    frozenset({texts.generator, texts.backend_age}),
)
"""Injections that may write the same file: a mixture has one of each group."""


def by_name(name: str) -> Inject:
    """The injection of that name."""
    return next(each for _, _, each in INJECTIONS if each.__name__ == name)
