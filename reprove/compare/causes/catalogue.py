"""The catalogue of causes: what makes two builds of one source differ, and what removes it. Ids are frozen in docs/comparison.md; only more may come.

``debian`` is the name of the issue in the notes of Debian's reproducible-builds project, where a user finds what others did about it.
"""

from __future__ import annotations

from reprove.compare.causes.model import CauseRow

UNEXPLAINED = "unexplained"

_EPOCH = "export SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct) for the build; tar --mtime=@$SOURCE_DATE_EPOCH --clamp-mtime"

ROWS: tuple[CauseRow, ...] = (
    CauseRow(id=UNEXPLAINED, title="content or members that no known cause explains", fix=""),
    CauseRow(id="executable-bit", title="a file is executable on one side only", fix="ship the file with the mode that the source has"),
    CauseRow(
        id="build-time",
        title="the archive keeps the time of the build",
        fix=_EPOCH,
        debian="timestamps_in_zip",
    ),
    CauseRow(id="time-zone", title="zip times are local time, and the zones differ", fix="export TZ=UTC for the build"),
    CauseRow(
        id="source-times",
        title="one side keeps the times of the source's files, the other does not",
        fix=f"{_EPOCH}; or keep the times of the sdist on both sides",
    ),
    CauseRow(id="umask", title="permissions follow the umask of the build", fix="umask 022 before the build", debian="different_due_to_umask"),
    CauseRow(
        id="owners",
        title="the archive keeps who built it",
        fix="tar --owner=0 --group=0 --numeric-owner; dpkg-deb --root-owner-group",
        debian="users_and_groups_in_tarball",
    ),
    CauseRow(
        id="file-order",
        title="members or lines follow the order of the folder on disk",
        fix="sort what is listed: tar --sort=name, sorted(os.listdir()), LC_ALL=C sort",
    ),
    CauseRow(
        id="locale-order",
        title="lines or names are sorted by the locale of the build",
        fix="export LC_ALL=C.UTF-8 for the build; LC_ALL=C sort",
    ),
    CauseRow(
        id="hash-order",
        title="the order of a set or dictionary",
        fix="sort before writing; PYTHONHASHSEED=0 for the build",
    ),
    CauseRow(
        id="build-path",
        title="the folder of the build is written into the output",
        fix="build in the same folder, or -ffile-prefix-map=$PWD=. (C), --remap-path-prefix (Rust), -trimpath (Go)",
        debian="captures_build_path",
    ),
    CauseRow(id="host-or-user", title="host or user name of the build", fix="do not record hostname, whoami or uname"),
    CauseRow(
        id="embedded-date",
        title="a date or time of the build inside a file",
        fix="take it from SOURCE_DATE_EPOCH; -Wdate-time finds __DATE__ and __TIME__",
        debian="timestamps_from_cpp_macros",
    ),
    CauseRow(id="random", title="random names, ids or salts", fix="derive them from the content, or seed them"),
    CauseRow(
        id="threads",
        title="the compressor split its work by the number of threads",
        fix="xz -T1, or a fixed --block-size",
    ),
    CauseRow(
        id="compiler-version",
        title="another version of the compiler",
        fix="pin the environment by digest",
    ),
    CauseRow(
        id="backend-version",
        title="another version of the build backend or packer",
        fix="pin it in [build-system].requires (PyPI), or pack with the same version",
    ),
    CauseRow(
        id="dependency-drift",
        title="another version of a bundled dependency",
        fix="lock dependencies with hashes, or build as of the same date",
    ),
    CauseRow(id="derived-record", title="RECORD follows from the other members", fix=""),
    CauseRow(id="derived-digests", title="a list of digests follows from the other members", fix=""),
    CauseRow(id="derived-size", title="a size that follows from the other members", fix=""),
    CauseRow(
        id="packer",
        title="packing fields: folder entries, flags, versions, extra fields",
        fix="pack with the same tool and version; zip -X -D",
    ),
    CauseRow(id="archive-comment", title="a comment in the archive", fix="write no comment"),
    CauseRow(
        id="compressor",
        title="another compressor, library or level",
        fix="the same library and level: zlib is not zlib-ng, gzip is not pigz",
    ),
    CauseRow(id="gzip-header", title="name, time or system in a gzip header", fix="gzip -n; GzipFile(mtime=0)"),
    CauseRow(
        id="tar-dialect",
        title="another tar dialect",
        fix="tar --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    ),
    CauseRow(
        id="ar-header",
        title="a static library keeps time, owner and mode of its objects",
        fix="ar D, ranlib -D, ARFLAGS=rcD; libtool: AR_FLAGS=crD",
    ),
    CauseRow(id="pyc-time", title="compiled Python keeps the time of its source", fix="set SOURCE_DATE_EPOCH, or ship no .pyc"),
    CauseRow(
        id="elf-build-id",
        title="the build id differs and nothing else: it follows from what was stripped",
        fix="look for the build path in the debug information; -Wl,--build-id=none as a last resort",
        debian="build_id_differences_only",
    ),
    CauseRow(
        id="elf-debug",
        title="debug information differs, the code does not",
        fix="-ffile-prefix-map=$PWD=. or the same build folder",
        debian="build_id_variation_requiring_further_investigation",
    ),
    CauseRow(
        id="java-manifest",
        title="build facts in a jar's manifest or pom.properties",
        fix="Maven: project.build.outputTimestamp; Gradle: preserveFileTimestamps=false, reproducibleFileOrder=true",
        debian="timestamps_in_jar",
    ),
    CauseRow(id="png-time", title="a time inside a PNG", fix="strip tIME and tEXt date chunks"),
    CauseRow(id="po-date", title="POT-Creation-Date in a message catalogue", fix="strip-nondeterminism, or keep the catalogue of the source"),
    CauseRow(id="moved-member", title="the same file under another path", fix="the same version of the packer, or name the files yourself"),
    CauseRow(
        id="renamed-chunk", title="a bundler's file name holds a hash of its content", fix="deterministic module ids, relative source maps, npm ci"
    ),
    CauseRow(id="git-state", title="commit, tag or dirty state of the working copy", fix="build from the exact tag with full history"),
    CauseRow(id="signature", title="a signature or what belongs to it", fix="sign after building, detached"),
    CauseRow(id="line-endings", title="CR LF instead of LF", fix="git config core.autocrlf false; a .gitattributes with eol=lf"),
)
BY_ID = {row.id: row for row in ROWS}

BY_PASS = {
    "wheel-record": "derived-record",
    "wheel-generator": "backend-version",
    "wheel-metadata-order": "backend-version",
    "gem-checksums": "derived-digests",
    "gem-metadata-date": "embedded-date",
    "gem-metadata-rubygems-version": "backend-version",
    "gem-metadata-cert-chain": "signature",
    "gem-signatures": "signature",
    "deb-md5sums": "derived-digests",
    "deb-installed-size": "derived-size",
    "jar-maven-pom-properties": "java-manifest",
    "jar-attribute-value-order": "hash-order",
    "jar-build-metadata": "java-manifest",
    "jar-git-json": "git-state",
    "jar-git-properties": "git-state",
    "jar-manifest-digests": "signature",
    "jar-signature": "signature",
    "cargo-vcs-hash": "git-state",
    "pyc-mtime": "pyc-time",
    "png-time": "png-time",
    "po-creation-date": "po-date",
    "archive-comment": "archive-comment",
    "egg-info-order": "file-order",
    "elf-build-id": "elf-build-id",
    "elf-debuglink": "elf-debug",
    "elf-comment": "compiler-version",
    "elf-path-prefix": "build-path",
    "elf-debug": "elf-debug",
    "nested-gzip": "gzip-header",
}
"""The cause that a pass masks exactly; ``elf-code-identical`` and ``nested-archive`` mask more than one."""

DERIVED = frozenset({"derived-record", "derived-digests", "derived-size", "elf-build-id"})
"""Effects of other causes: named last."""
LISTS = DERIVED - {"elf-build-id"}
"""Lists that an artifact carries of itself: they follow from its members as long as they are true."""


def table() -> str:
    """The catalogue as Markdown rows for docs/comparison.md."""
    lines = ["| cause | is | what removes it | Debian's notes |", "|---|---|---|---|"]
    for row in sorted(ROWS, key=lambda row: row.id):
        lines.append(f"| `{row.id}` | {row.title} | {row.fix or 'nothing: look at its causes'} | {f'`{row.debian}`' if row.debian else ''} |")
    return "\n".join(lines)
