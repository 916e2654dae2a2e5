"""What lies on the disk, by folder, and how much room is left."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_noop

from recsite.fresh import Fresh

FRESH_FOR = 60.0  # seconds; walking through many bundles takes a while


@dataclass(frozen=True)
class Folder:
    """One folder of var/."""

    name: str
    path: str
    size: int  # bytes
    files: int


@dataclass(frozen=True)
class Room:
    """The file system that var/ lies on."""

    total: int  # bytes
    free: int

    @property
    def is_nearly_full(self) -> bool:
        """Whether a training may run out of room."""
        return self.free < 0.05 * self.total


@dataclass(frozen=True)
class Disk(Room):
    """The file system, and the folders of var/ on it."""

    folders: list[Folder]


def room() -> Room:
    """How much is free; no walk through the folders, so any page may ask."""
    var = Path(settings.VAR_DIR)
    usage = shutil.disk_usage(next(path for path in (var, *var.parents) if path.exists()))
    return Room(usage.total, usage.free)


def look() -> Disk:
    """Add up the files of each folder; one that is not there yet is empty."""
    places = {
        gettext_noop("Bundles"): settings.BUNDLE_DIR,
        gettext_noop("Snapshots"): settings.SNAPSHOT_DIR,
        gettext_noop("Encoders"): settings.ENCODER_DIR,
        gettext_noop("Runs"): settings.RUN_DIR,
        gettext_noop("Import reports"): settings.IMPORT_REPORT_DIR,
    }
    left = room()
    folders = [_folder(name, Path(path)) for name, path in places.items()]
    return Disk(left.total, left.free, folders)


def _folder(name: str, path: Path) -> Folder:
    sizes = [_size(Path(folder) / file) for folder, _, files in os.walk(path) for file in files]
    return Folder(name, str(path), sum(sizes), len(sizes))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # somebody tidies at this moment
        return 0


measure = Fresh(look, FRESH_FOR)
