"""Files that wait to be imported: uploaded ones, and those in the server's import folder.

A file is named by its source, which stands in addresses and in runs: `upload/TOKEN/NAME` or
`folder/PATH`. Nothing outside of the two folders can be named.
"""

import re
import secrets
import shutil
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from catalog.errors import CatalogError
from catalog.importers.reading import READERS, wrong_ending

KEEP_DAYS = 7  # an upload; a run that failed may be retried as long
MOST_LISTED = 50
PLAIN_NAME = re.compile(r"[^\w.() -]")


def keep(name: str, chunks: Iterable[bytes]) -> str:
    """Store what somebody uploads; its source.

    Raises
    ------
    CatalogError
        Its ending names no format, or the disk does not take it.
    """
    plain = PLAIN_NAME.sub("_", Path(name).name)[-100:].lstrip(".") or "file"
    if Path(plain).suffix.lower() not in READERS:
        raise wrong_ending(plain)
    token = secrets.token_hex(8)
    folder = Path(settings.UPLOAD_DIR) / token
    try:
        folder.mkdir(parents=True, mode=0o700)
        with (folder / plain).open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        told = {"file": plain, "reason": error.strerror or error}
        raise CatalogError(_("%(file)s could not be stored: %(reason)s.") % told) from error
    return f"upload/{token}/{plain}"


def find(source: str) -> Path:
    """The file that a source names.

    Raises
    ------
    CatalogError
        There is none, any more, or it lies outside of the folders.
    """
    place, _slash, rest = source.partition("/")
    roots = {"upload": settings.UPLOAD_DIR, "folder": settings.IMPORT_DIR}
    if place not in roots or not rest or "\0" in rest:
        raise CatalogError(_("Choose a file: upload one, or name one in the import folder."))
    root = Path(roots[place]).resolve()
    path = (root / rest).resolve()
    if not path.is_relative_to(root):
        told = {"folder": str(root)}
        raise CatalogError(_("Only files below %(folder)s can be imported from the server.") % told)
    if not path.is_file():
        named = {"file": Path(rest).name, "days": KEEP_DAYS, "folder": root}
        if place == "upload":
            gone = _("There is no file %(file)s; uploads are kept for %(days)d days.")
        else:
            gone = _("There is no file %(file)s in %(folder)s.")
        raise CatalogError(gone % named)
    return path


def told(error: CatalogError, path: Path) -> str:
    """What went wrong, with the name of the file as its owner knows it instead of its path."""
    return str(error).replace(str(path), path.name)


def in_folder() -> list[str]:
    """Paths of the first files in the import folder that can be read, by name."""
    root = Path(settings.IMPORT_DIR)
    if not root.is_dir():
        return []
    found = (path for path in root.rglob("*") if path.suffix.lower() in READERS)
    files = (path for path in islice(found, 10 * MOST_LISTED) if path.is_file())
    return sorted(str(path.relative_to(root)) for path in files)[:MOST_LISTED]


def tidy() -> None:
    """Forget uploads that have lain here long enough."""
    root = Path(settings.UPLOAD_DIR)
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.stat().st_mtime < time.time() - KEEP_DAYS * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)
