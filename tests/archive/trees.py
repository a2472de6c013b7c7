"""Trees of bytes, for tests that ask what a reader makes of them."""

from __future__ import annotations

from pathlib import Path

from reprove.archive.artifact import open_artifact
from reprove.archive.limits import DEFAULT, Limits
from reprove.archive.tree import Field, Member, Tree, Weight


class Read:
    """An artifact read from bytes: what a tree says, taken down while its file was open."""

    def __init__(self, tree: Tree) -> None:
        self.profile = tree.profile
        self.members: dict[str, Member] = {member.path: member for member in tree.members}
        self.order = [member.path for member in tree.members]
        self.violations = tree.violations
        self.codes = {violation.code.value for violation in tree.violations}
        self.fields = {field.name: field for field in tree.fields}
        self.details: dict[str, dict[str, Field]] = {member.path: {field.name: field for field in tree.details(member)} for member in tree.members}
        self.ordered, self.md5, self.stored = tree.ordered, tree.md5, tree.stored
        paths = [member.path for member in tree.members]
        with tree.contents(paths, 1 << 24) as contents:
            self.contents = {path: b"".join(content.chunks()) for path, content in contents.items()}

    def value(self, path: str, name: str) -> str | int:
        return self.details[path][name].value

    def data(self, path: str) -> dict[str, str | int]:
        """The fields of a member that count."""
        return {name: field.value for name, field in self.details[path].items() if field.weight is Weight.DATA}

    @property
    def canonical(self) -> object:
        """What counts below ``bitwise``."""
        rows = {path: (member.kind, member.sha256 if member.kind == "file" else None, self.data(path)) for path, member in self.members.items()}
        return self.profile, rows, {name: field.value for name, field in self.fields.items() if field.weight is Weight.DATA}

    @property
    def told(self) -> object:
        """Everything that the tree says but its own digest."""
        return (
            self.profile,
            [(member.path, member.kind, member.size, member.sha256, member.raw) for member in self.members.values()],
            {name: field.value for name, field in self.fields.items()},
            len(self.violations),
        )


def read(folder: Path, data: bytes, name: str = "", limits: Limits = DEFAULT) -> Read:
    path = folder / "artifact"
    path.write_bytes(data)
    with open_artifact(path, name=name, limits=limits) as tree:
        return Read(tree)
