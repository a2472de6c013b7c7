"""What a section of an ELF file is taken for, and what stays in place: lies in the tables gain nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reprove.compare.anatomies.elf.split import ELF
from tests.compare.elves import CODE, NOBITS, PAGE, STRTAB, SYMTAB, Part, build_id, elf, program

TEXT = Part(".text", b"\x90" * 64, 1, CODE, PAGE, 16)


def pieces(data: bytes) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for piece in ELF.split(data) or ():
        found.setdefault(piece.name, []).append(piece.data)
    return found


def class_of(data: bytes, section: str) -> set[str]:
    return {name.partition(":")[0] for name in pieces(data) if name.partition(":")[2] == section} - {"position"}


def changed(old: bytes, new: bytes) -> set[str]:
    before, after = pieces(old), pieces(new)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_each_section_has_its_class(bits: int, order: str) -> None:
    data = program(bits=bits, order=order)
    expected = {
        ".text": "loaded",
        ".data": "loaded",
        ".bss": "loaded",
        ".comment": "comment",
        ".gnu_debuglink": "debuglink",
        ".debug_str": "debug",
        ".debug_abbrev": "debug",
        ".symtab": "symbols",
        ".strtab": "symbols",
        ".shstrtab": "names",
    }
    for section, class_ in expected.items():
        assert class_of(data, section) == {class_, f"{class_}-facts"}, section


@pytest.mark.parametrize("extra", [1, 3, 8, 5000])
def test_what_is_not_loaded_may_grow_without_moving_anything(extra: int) -> None:
    found = changed(program(), program(comment=b"GCC: 12\0" + b"x" * extra))
    assert "comment:.comment" in found
    assert {name for name in found if not name.startswith("position:")} == {"comment:.comment"}


@pytest.mark.parametrize("part", [Part(".debug_info", b"code" * 8), Part(".comment", b"code" * 8), Part(".symtab", bytes(24), SYMTAB)])
def test_what_a_segment_maps_is_loaded_whatever_its_row_says(part: Part) -> None:
    honest = elf([TEXT, part])
    assert not class_of(honest, part.name) & {"loaded"}
    mapped = elf([TEXT, part], mapped=PAGE + 8)
    assert class_of(mapped, part.name) == {"loaded", "loaded-facts"}
    assert class_of(elf([TEXT, replace(part, flags=2)]), part.name) == {"loaded", "loaded-facts"}


def test_the_rest_of_an_executable_page_is_loaded() -> None:
    """Its bytes are mapped with the page, so they can be run."""
    two = [TEXT, Part(".comment", b"code" * 8), Part(".gnu_debuglink", b"x")]
    assert class_of(elf(two, mapped=PAGE + 1), ".gnu_debuglink") == {"loaded", "loaded-facts"}
    assert class_of(elf(two, mapped=PAGE + 1, flags=4), ".gnu_debuglink") == {"debuglink", "debuglink-facts"}


def test_sections_that_are_loaded_keep_their_place() -> None:
    """Two sections that change places, in the file and in the table, look the same section by section; memory does not."""
    first, second = Part(".a", b"a" * 16, 1, CODE, PAGE, 16), Part(".b", b"b" * 16, 1, CODE, PAGE + 16, 16)
    old, new = elf([first, second]), elf([replace(first, at=PAGE + 16), replace(second, at=PAGE)])
    swapped = bytearray(new)
    swapped[PAGE : PAGE + 32] = b"b" * 16 + b"a" * 16
    assert changed(old, bytes(swapped)) == {"loaded-facts:.a", "loaded-facts:.b"}


def test_in_a_relocatable_file_everything_is_linked() -> None:
    parts = [TEXT, Part(".symtab", bytes(48), SYMTAB, link=".strtab", info=1, entry=24), Part(".strtab", b"\0x\0", STRTAB), Part(".note.x", b"")]
    for section in (".symtab", ".strtab", ".note.x"):
        assert class_of(elf(parts, kind=1), section) == {"loaded", "loaded-facts"}
    assert class_of(elf([*parts, Part(".debug_info", b"x"), Part(".rela.debug_info", b"")], kind=1), ".rela.debug_info") == {"debug", "debug-facts"}


def test_names_of_sections_that_hide_bytes_are_data() -> None:
    assert class_of(elf([TEXT, Part("x\0hidden")]), ".shstrtab") == {"unloaded", "unloaded-facts"}


def test_sections_of_one_name_are_told_apart() -> None:
    found = pieces(elf([Part(".group", b"1"), Part(".group", b"2"), Part(".group", b"3")], kind=1))
    assert [found[f"loaded:{name}"] for name in (".group", ".group#2", ".group#3")] == [[b"1"], [b"2"], [b"3"]]
    assert ELF.split(elf([Part(".group"), Part(".group"), Part(".group#2")], kind=1)) is None


@pytest.mark.parametrize(
    "parts",
    {
        "overlapping": (TEXT, Part(".x", b"", at=PAGE, size=8)),
        "over the header": (TEXT, Part(".x", b"", at=0, size=8)),
        "outside": (TEXT, Part(".x", b"", at=PAGE, size=1 << 40)),
        "with a far offset": (TEXT, Part(".x", b"", at=1 << 62, size=8)),
    }.items(),
    ids=lambda item: item[0],
)
def test_sections_that_overlap_or_leave_the_file_are_not_taken_apart(parts: tuple[str, tuple[Part, ...]]) -> None:
    assert ELF.split(elf(parts[1])) is None


def test_bytes_of_no_section_are_pieces() -> None:
    assert b"payload" in pieces(program(tail=b"payload"))["gap"][-1]
    assert pieces(elf([TEXT, Part(".data", b"x", 1, 3, PAGE + 80, 16, at=PAGE + 80)], mapped=PAGE))[f"gap:{PAGE + 64}"]


@pytest.mark.parametrize(
    ("note", "cut"),
    [
        (build_id(b"\1" * 20), True),
        (build_id(b"\1" * 8), True),
        (build_id(b"x", kind=1, owner=b"GNU\0") + build_id(b"\2" * 20), True),
        (build_id(b"\1" * 200), False),
        (build_id(b"\1" * 20, owner=b"Go\0\0"), False),
        (build_id(b"\1" * 20, kind=5), False),
        (build_id(b"\1" * 20) + build_id(b"\2" * 20), False),
        (build_id(b"\1" * 20)[:-1], False),
    ],
)
def test_a_build_id_is_one_short_hash_in_a_note_of_its_kind(note: bytes, cut: bool) -> None:
    assert ("build-id:.note.x" in pieces(elf([TEXT, Part(".note.x", note, 7, 2, PAGE + 64, 4)]))) is cut


def test_a_build_path_is_learned_from_the_line_table() -> None:
    assert pieces(program(folder="/build/one"))["path-prefix"] == [b"/build/one"]
    assert "path-prefix" not in pieces(program(folder="/usr"))
    assert "path-prefix" not in pieces(program(folder="src/one"))
    assert "path-prefix" not in pieces(program(stripped=True))


def test_memory_only_sections_count_by_their_size() -> None:
    first, second = (elf([TEXT, Part(".bss", b"", NOBITS, 3, PAGE + 64, 8, size=size)]) for size in (8, 16))
    assert changed(first, second) == {"loaded-facts:.bss"}
