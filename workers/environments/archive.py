"""A ``docker load`` archive made without an engine: same layer, same bytes, and an image id that is known before anything is loaded."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from reprove.core.canonical import canonical
from reprove.core.digests import Sha256, sha256
from workers.environments.values import Lock

_ARCH = {"amd64": "amd64", "arm64": "arm64", "i386": "386", "armhf": "arm", "ppc64el": "ppc64le", "riscv64": "riscv64", "s390x": "s390x"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its config; ``digest`` is the config's SHA-256, which classic engines use as the image's id."""

    config: bytes
    diff_ids: tuple[Sha256, ...]

    @property
    def digest(self) -> Sha256:
        """SHA-256 of the config."""
        return sha256(self.config)


def image_of(lock: Lock, diff_id: Sha256) -> Image:
    """The image of one layer: a pure function of the lock and the layer's digest. No environment, no command: a step brings its own."""
    created = datetime.fromtimestamp(lock.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {
        "architecture": _ARCH.get(lock.arch, lock.arch),
        "config": {"Labels": {"dev.reprove.lock": lock.sha256}},
        "created": created,
        "history": [{"created": created, "created_by": f"reprove layer rules {lock.rules}"}],
        "os": "linux",
        "rootfs": {"diff_ids": [f"sha256:{diff_id}"], "type": "layers"},
    }
    return Image(canonical(config), (diff_id,))


def write_archive(image: Image, layer: Path, target: Path) -> None:
    """Write the archive: config, manifest and layer, in that order, as USTAR with fixed owners, modes and times. The layer is copied once."""
    layer_name = f"{image.diff_ids[0]}/layer.tar"
    manifest = canonical([{"Config": f"{image.digest}.json", "Layers": [layer_name], "RepoTags": None}])
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in ((f"{image.digest}.json", image.config), ("manifest.json", manifest)):
            archive.addfile(_member(name, len(data)), BytesIO(data))
        with layer.open("rb") as file:
            archive.addfile(_member(layer_name, layer.stat().st_size), file)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    member.mtime = 0
    return member
