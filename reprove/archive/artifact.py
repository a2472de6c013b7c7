"""Open any artifact as a tree, or two that are to be compared: the format by the first bytes, the profile by content and name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from reprove.archive.limits import DEFAULT, Limits
from reprove.archive.profiles import is_zip
from reprove.archive.spans import open_span
from reprove.archive.tarblocks import BLOCK
from reprove.archive.tree import Tree
from reprove.archive.ziptree import open_zip_trees

_BOTH_AT_ONCE = 1024**2
"""Files larger than this are read in two threads: decompressors and digests run without the interpreter's lock."""


@contextmanager
def open_artifact(path: Path, *, name: str = "", limits: Limits = DEFAULT) -> Iterator[Tree]:
    """Read the artifact at ``path``, which is known as ``name``; its file stays open inside the ``with``.

    Unknown bytes are one file of profile ``bytes``. Raises :class:`~reprove.archive.limits.ArchiveError` when it is an archive of which nothing
    sensible can be said, :class:`~reprove.archive.limits.LimitError` when it costs more to read than ``limits``.
    """
    with ExitStack() as stack:
        yield _open(stack, path, name, limits)


@contextmanager
def open_pair(original: Path, rebuilt: Path, *, names: tuple[str, str] = ("", ""), limits: Limits = DEFAULT) -> Iterator[tuple[Tree, Tree]]:
    """Read two artifacts as :func:`open_artifact` does, what they have in common once, and large ones at the same time."""
    with ExitStack() as stack:
        spans = [stack.enter_context(open_span(path, limits)) for path in (original, rebuilt)]
        heads = [span.read(0, BLOCK) for span in spans]
        zips = [is_zip(head, name) for head, name in zip(heads, names, strict=True)]
        if all(zips):
            left_tree, right_tree = stack.enter_context(open_zip_trees((original, rebuilt), names=names, limits=limits))
            yield left_tree, right_tree
            return
        if any(zips):
            yield _open(stack, original, names[0], limits), _open(stack, rebuilt, names[1], limits)
            return
        from concurrent.futures import ThreadPoolExecutor  # what zips need not load

        from reprove.archive.readers import Reader, Shared

        shared = Shared()
        work = [Reader(span, name, limits, shared) for span, name in zip(spans, names, strict=True)]
        if min(span.size for span in spans) <= _BOTH_AT_ONCE:
            yield work[0].read(heads[0]), work[1].read(heads[1])
            return
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(work[1].read, heads[1])
            left = work[0].read(heads[0])
        yield left, second.result()


def _open(stack: ExitStack, path: Path, name: str, limits: Limits) -> Tree:
    span = stack.enter_context(open_span(path, limits))
    head = span.read(0, BLOCK)
    if not is_zip(head, name):
        from reprove.archive.readers import Reader, Shared

        return Reader(span, name, limits, Shared()).read(head)
    (tree,) = stack.enter_context(open_zip_trees((path,), names=(name,), limits=limits))
    return tree
