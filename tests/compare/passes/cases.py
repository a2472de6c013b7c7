"""For each pass over contents: pairs that it makes equal, and pairs that it must not."""

from __future__ import annotations

import gzip
import tarfile
from dataclasses import dataclass, replace

from tests.archive.zips import LATER, Part, sdist, zip_bytes
from tests.compare.anatomies import samples
from tests.compare.elves import Part as Section
from tests.compare.elves import old_debug, program


@dataclass(frozen=True)
class Pair:
    """Two contents of one member."""

    id: str
    path: str
    old: bytes
    new: bytes
    why: str = ""


def of(id_: str, path: str, old: bytes, *replacements: tuple[str | bytes, str | bytes], why: str = "") -> Pair:
    """A content and the same with some text replaced, which must be there."""
    new = old
    for before, after in replacements:
        left, right = (side.encode() if isinstance(side, str) else side for side in (before, after))
        assert left in new, before
        new = new.replace(left, right, 1)
    return Pair(id_, path, old, new, why)


INFO = "demo-1.0.dist-info"
INNER = [Part("demo/A.txt", b"a" * 100), Part("demo/B.txt", b"b" * 100)]
MORE = tarfile.TarInfo("demo-1.0/x")
MORE.size = 1
MF = "META-INF/MANIFEST.MF"
POM = "META-INF/maven/org.example/demo/pom.properties"
SO = "demo/_c.so"
ORDERED = (
    b"Metadata-Version: 2.1\nSummary: a demo\nName: demo\nVersion: 1.0\nClassifier: B\nClassifier: A\nRequires-Dist: x\nRequires-Dist: y\n"
    b"License: MIT\n  and more\n"
)
CHAIN = "\n- |\n  -----BEGIN CERTIFICATE-----\n  MIID\n  -----END CERTIFICATE-----"
DEBUGGED = program()

EQUAL = [
    of("wheel-record", f"{INFO}/RECORD", samples.RECORD, ("47DEQ", "57DEQ"), ("\r\n", "\n")),
    of("wheel-generator", f"{INFO}/WHEEL", samples.WHEEL, ("flit 3.9.0", "flit 3.12.0")),
    Pair("egg-info-order", "demo-1.0/demo.egg-info/SOURCES.txt", b"a.py\nb.py\nb.py\n", b"b.py\na.py\nb.py\n"),
    Pair("wheel-metadata-order", f"{INFO}/METADATA", samples.METADATA, ORDERED + samples.METADATA[samples.METADATA.index(b"\n\n") + 1 :]),
    of("gem-checksums", "checksums.yaml", samples.CHECKSUMS, ("a" * 64, "d" * 64)),
    of("deb-md5sums", "control.tar!/md5sums", samples.MD5SUMS, ("d41d8cd98f00b204e9800998ecf8427e", "0" * 32)),
    Pair("deb-md5sums", "control.tar!/md5sums", samples.MD5SUMS, b"".join(reversed(samples.MD5SUMS.splitlines(keepends=True)))),
    of("deb-installed-size", "control.tar!/control", samples.CONTROL, ("Size: 12", "Size: 16")),
    of("jar-build-metadata", MF, samples.MANIFEST, ("Built-By: alice", "Built-By: bob"), ("17.0.1", "17.0.2")),
    of("jar-build-metadata", MF, samples.MANIFEST, ("Built-By: alice\r\n", "Built-By: al\r\n ice\r\nGit-Commit-Id: 12\r\n")),
    of("jar-attribute-value-order", MF, samples.MANIFEST, ('a;version=1;uses:="b,c",b,c', 'c,a;version=1;uses:="b,c",b')),
    of("jar-manifest-digests", MF, samples.MANIFEST, ("47DEQ", "57DEQ")),
    of("jar-manifest-digests", MF, samples.MANIFEST, (samples.MANIFEST[samples.MANIFEST.index(b"Name: demo/B") :], b"")),
    of("jar-maven-pom-properties", POM, samples.POM, ("Tue Jan 02 03:04:05 UTC 2024", "Wed Feb 07 09:10:11 GMT+02:00 2025")),
    of("jar-git-properties", "BOOT-INF/classes/git.properties", samples.GIT, ("main", "topic"), ("time=2024", "time=2025")),
    of("jar-git-json", "git.json", samples.GIT_JSON, ("main", "topic")),
    of("cargo-vcs-hash", "demo-1.0/.cargo_vcs_info.json", samples.CARGO, ("1" * 40, "2" * 40)),
    Pair("gem-metadata-date", "metadata", samples.gem(), samples.gem(date="2024-05-06 00:00:00.000000000 Z")),
    Pair("gem-metadata-rubygems-version", "metadata", samples.gem(), samples.gem(version="3.6.0.dev")),
    Pair(
        "gem-metadata-cert-chain",
        "metadata",
        samples.gem(),
        samples.gem(chain="\n- |\n  -----BEGIN CERTIFICATE-----\n  MIID\n  -----END CERTIFICATE-----"),
    ),
    of("pyc-mtime", "a/b.pyc", samples.PYC, (samples.PYC[8:12], b"\1\2\3\4")),
    Pair("nested-gzip", "usr/share/man/man1/demo.1.gz", samples.gz(), samples.gz(time=5, name="", level=1)),
    Pair("png-time", "logo.png", samples.png(), samples.png(samples.TIME[::-1], date=b"2025-01-02T03:04:05+00:00")),
    of("po-creation-date", "de.po", samples.PO, ("2024-01-02 03:04", "2025-01-02 03:04")),
    Pair("po-creation-date", "de.mo", samples.mo(), samples.mo(b"2025-06-07 03:04-0500")),
    Pair("nested-archive", "lib/inner.jar", zip_bytes(INNER), zip_bytes([replace(part, time=LATER, method=0) for part in reversed(INNER)])),
    Pair("nested-archive", "demo/data.tar.gz", sdist(), sdist(mtime=5)),
    Pair("elf-build-id", SO, DEBUGGED, program(ident=b"\2" * 20)),
    Pair("elf-debuglink", SO, DEBUGGED, program(link=b"another.debug\0\0\0\1\2\3\4")),
    Pair("elf-comment", SO, DEBUGGED, program(comment=b"GCC: (Debian 13.1.0) 13.1.0\0")),
    Pair("elf-path-prefix", SO, DEBUGGED, program(folder="/build/two")),
    Pair("elf-path-prefix", SO, program(stripped=True, more=old_debug("/build/one")), program(stripped=True, more=old_debug("/build/two"))),
    Pair("elf-path-prefix", SO, DEBUGGED, program(folder="/home/somebody/src/demo")),
    Pair("elf-debug", SO, DEBUGGED, program(stripped=True)),
    Pair("elf-code-identical", SO, DEBUGGED, program(stripped=True, ident=b"\2" * 20, comment=b"x", more=[Section(".GCC.command.line", b"-O2\0")])),
]

UNEQUAL = [
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes([replace(INNER[0], data=b"evil"), INNER[1]]), "a content"),
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes([replace(INNER[0], name="other"), INNER[1]]), "a name"),
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes([replace(INNER[0], mode=0o100755), INNER[1]]), "who may run it"),
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes([replace(INNER[0], mode=0o120777), INNER[1]]), "a link"),
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes([*INNER, INNER[0]]), "a member twice"),
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes(INNER, suffix=b"x"), "bytes behind"),
    Pair("nested-archive", "inner.zip", zip_bytes(INNER), zip_bytes(INNER, comment=b"x"), "a comment"),
    Pair("nested-archive", "data.tar", gzip.decompress(sdist()), sdist(), "packed at all"),
    Pair("nested-archive", "data.tar.gz", sdist(), sdist(extra=[(MORE, b"x")]), "a member more"),
    of("wheel-record", f"{INFO}/RECORD", samples.RECORD, ("RECORD,,", "RECORD,,anything"), why="a row that nothing is checked of"),
    of("wheel-record", f"{INFO}/RECORD", samples.RECORD, (",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", ","), why="a row without a hash"),
    of("wheel-generator", f"{INFO}/WHEEL", samples.WHEEL, ("py3-none-any", "py2-none-any"), why="another header"),
    of("wheel-generator", f"{INFO}/WHEEL", samples.WHEEL, ("flit 3.9.0", "flit\n  and more"), why="a value of two lines"),
    of("wheel-metadata-order", f"{INFO}/METADATA", samples.METADATA, ("a demo", "a scam"), why="a value"),
    Pair(
        "wheel-metadata-order",
        f"{INFO}/METADATA",
        b"Name: a\nLicense: b\n  \n c\n",
        b"License: b\n  \n c\nName: a\n",
        "an end for some",
    ),
    of("wheel-metadata-order", f"{INFO}/METADATA", samples.METADATA, ("x\nRequires-Dist: y", "y\nRequires-Dist: x"), why="the order of requirements"),
    of("wheel-metadata-order", f"{INFO}/METADATA", samples.METADATA, ("Name: demo\n", "Name: demo\nName: evil\n"), why="a header doubled"),
    of("wheel-metadata-order", f"{INFO}/METADATA", samples.METADATA, ("# Demo", "# Scam"), why="the description"),
    Pair("egg-info-order", "demo.egg-info/SOURCES.txt", b"a.py\nb.py\n", b"b.py\n", "a name less"),
    Pair("egg-info-order", "demo.egg-info/SOURCES.txt", b"a.py\nb.py\n", b"a.py\na.py\nb.py\n", "a name doubled"),
    of("gem-checksums", "checksums.yaml", samples.CHECKSUMS, ("metadata.gz", "metadata.xz"), why="the member named"),
    of("gem-checksums", "checksums.yaml", samples.CHECKSUMS, ("SHA512", "MD5"), why="the hash used"),
    of("deb-md5sums", "control.tar!/md5sums", samples.MD5SUMS, ("usr/bin/demo", "usr/bin/dem0"), why="the file named"),
    of("deb-installed-size", "control.tar!/control", samples.CONTROL, ("1.0-1", "1.0-2"), why="another field"),
    of("deb-installed-size", "control.tar!/control", samples.CONTROL, ("Size: 12", "Size: x"), why="no number"),
    of("jar-build-metadata", MF, samples.MANIFEST, ("demo.Main", "evil.Main"), why="another attribute"),
    of("jar-build-metadata", MF, samples.MANIFEST, ("A.class\r\nBuilt-By: alice", "A.class\r\nBuilt-By: bob"), why="a named section"),
    of("jar-build-metadata", MF, samples.MANIFEST, ("Built-By: alice", "Built-By: al\rClass-Path: x"), why="a line end inside"),
    of("jar-attribute-value-order", MF, samples.MANIFEST, ('uses:="b,c"', 'uses:="c,b"'), why="inside quotes"),
    of("jar-attribute-value-order", MF, samples.MANIFEST, ("b,c\r\n", "b,d\r\n"), why="another clause"),
    of("jar-attribute-value-order", MF, samples.MANIFEST, ("Export-Package", "Import-Package"), why="another attribute"),
    of("jar-build-metadata", MF, samples.MANIFEST, ("Manifest-Version", "\r\nManifest-Version"), ("alice", "bob"), why="an empty line first"),
    Pair("jar-attribute-value-order", MF, b'Export-Package: a,b="x\r\n', b'Export-Package: b="x,a\r\n', "a quote that stays open"),
    Pair("jar-attribute-value-order", MF, b"Class-Path: a,b\r\n", b"Class-Path: b,a\r\n", "an attribute whose order counts"),
    of("jar-manifest-digests", MF, samples.MANIFEST, ("demo.Main", "evil.Main"), why="another attribute"),
    of("jar-manifest-digests", MF, samples.MANIFEST, ("Name: demo/A.class\r\nBuilt-By: alice\r\n\r\n", ""), why="a section of more than digests"),
    of("jar-maven-pom-properties", POM, samples.POM, ("version=1.0", "version=1.1"), why="a property"),
    of("jar-maven-pom-properties", POM, samples.POM, ("#Tue Jan 02 03:04:05 UTC 2024", "#anything"), why="a comment that is no date"),
    of("jar-maven-pom-properties", POM, samples.POM, ("UTC 2024\n", "UTC 2024\rversion=2\n"), why="a line end inside"),
    of("jar-git-properties", "git.properties", samples.GIT, ("other=1", "other=2"), why="another property"),
    of("jar-git-json", "git.json", samples.GIT_JSON, (": 1", ": 2"), why="another member"),
    of("jar-git-json", "git.json", samples.GIT_JSON, ('"other"', '"git.branch"'), why="a key twice"),
    of("cargo-vcs-hash", "demo-1.0/.cargo_vcs_info.json", samples.CARGO, ("1" * 40, "text" * 10), why="no hash"),
    of("cargo-vcs-hash", "demo-1.0/.cargo_vcs_info.json", samples.CARGO, ('"sha1"', '"dirty": true, "sha1"'), why="a dirty checkout"),
    of("cargo-vcs-hash", "demo-1.0/.cargo_vcs_info.json", samples.CARGO, ("crates/demo", "crates/evil"), why="the path"),
    Pair("gem-metadata-date", "metadata", samples.gem(), samples.gem(summary="another"), "another key"),
    Pair("gem-metadata-date", "metadata", samples.gem(), samples.gem(date="soon"), "no date"),
    of("gem-metadata-date", "metadata", samples.gem(), ("date: 2001-01-01", "date: 2001-01-02"), why="text that looks like the key"),
    Pair("gem-metadata-rubygems-version", "metadata", samples.gem(), samples.gem(version="3 # and more"), "no version"),
    of("gem-metadata-cert-chain", "metadata", samples.gem(), ("signing_key:", "signing_key: x"), why="another key"),
    of("pyc-mtime", "a/b.pyc", samples.PYC, (b"code", b"evil"), why="code"),
    of("pyc-mtime", "a/b.pyc", samples.PYC_HASHED, (b"hash", b"evil"), why="a hash is no time"),
    of("pyc-mtime", "a/b.pyc", samples.PYC, (samples.PYC[12:16], b"\1\2\3\4"), why="the size of the source"),
    Pair("nested-gzip", "demo.1.gz", samples.gz(), samples.gz(b"another"), "the content"),
    Pair("nested-gzip", "demo.1.gz", samples.gz(), samples.gz() + b"x", "bytes behind"),
    Pair("nested-gzip", "demo.1.gz", samples.gz(), samples.gz() + samples.gz(b""), "a second member"),
    Pair("png-time", "logo.png", samples.png(), samples.png(pixels=b"\0\xfe"), "pixels"),
    Pair("png-time", "logo.png", samples.png(), samples.png(samples.TIME + b"more"), "a time of more bytes"),
    Pair("png-time", "logo.png", samples.png(), samples.png(date=b"<script>"), "text that is no date"),
    Pair("png-time", "logo.png", samples.png(), samples.png(extra=b"x"), "bytes behind"),
    of("po-creation-date", "de.po", samples.PO, ('"ja"', '"nein"'), why="a translation"),
    of("po-creation-date", "de.po", samples.PO, ("2024-01-02 03:04+0000", "whenever"), why="no date"),
    Pair("po-creation-date", "de.mo", samples.mo(), samples.mo(translation=b"no"), "a translation"),
    Pair("elf-build-id", SO, DEBUGGED, program(code=b"\xcc" * 64), "code"),
    Pair("elf-build-id", SO, DEBUGGED, program(ident=b"\1" * 21 + bytes(3)), "an id of another length"),
    Pair("elf-build-id", SO, program(ident=b"\1" * 100), program(ident=b"\2" * 100), "too long for an id"),
    Pair("elf-debuglink", SO, DEBUGGED, program(code=b"\xcc" * 64), "code"),
    Pair("elf-debuglink", SO, DEBUGGED, program(comment=b"x"), "another section"),
    Pair("elf-comment", SO, DEBUGGED, program(link=b"x"), "another section"),
    Pair("elf-comment", SO, program(more=[Section(".comment", b"a", 1, 2)]), program(more=[Section(".comment", b"b", 1, 2)]), "a loaded section"),
    Pair("elf-path-prefix", SO, DEBUGGED, program(code=b"\xcc" * 64), "code"),
    Pair("elf-path-prefix", SO, DEBUGGED, program(stripped=True), "the debug information itself"),
    Pair("elf-path-prefix", SO, program(stripped=True, more=old_debug("/build/one")), program(more=old_debug("/build/longer")), "offsets of entries"),
    of("elf-path-prefix", SO, DEBUGGED, ("src/m.c", "src/n.c"), why="a file name"),
    of("elf-debug", SO, DEBUGGED, (b"\x90" * 64, b"\xcc" * 64), why="code"),
    Pair(
        "elf-debug",
        SO,
        program(more=[Section(".debug_x", b"a", 1, 2)]),
        program(more=[Section(".debug_x", b"b", 1, 2)]),
        "a loaded section",
    ),
    Pair(
        "elf-debug", SO, program(more=[Section(".debug_gdb_scripts", b"a")]), program(more=[Section(".debug_gdb_scripts", b"b")]), "debuggers run it"
    ),
    Pair("elf-debug", SO, DEBUGGED, program(tail=b"payload"), "bytes behind"),
    Pair("elf-code-identical", SO, DEBUGGED, program(code=b"\xcc" * 64), "code"),
    of("elf-code-identical", SO, DEBUGGED, ("data" * 8, "evil" * 8), why="data"),
    Pair("elf-code-identical", SO, DEBUGGED, program(tail=b"payload"), "bytes behind"),
    Pair("elf-code-identical", SO, DEBUGGED, DEBUGGED[:24] + b"\1" + DEBUGGED[25:], "the entry point"),
    Pair("elf-code-identical", SO, DEBUGGED, DEBUGGED[:68] + b"\7" + DEBUGGED[69:], "what may be run"),
    Pair("elf-code-identical", SO, DEBUGGED, DEBUGGED[:48] + b"\1" + DEBUGGED[49:], "flags"),
]
