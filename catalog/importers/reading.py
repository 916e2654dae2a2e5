"""Which reader a file takes, and what keeps it from being read, in one line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _

from catalog.errors import CatalogError
from catalog.importers import csv_file, jsonl_file, parquet_file
from catalog.importers.rows import Layout, Names, Rows

READERS: dict[str, Callable[[Path, Layout, Names], Rows]] = {
    ".csv": csv_file.read,
    ".jsonl": jsonl_file.read,
    ".ndjson": jsonl_file.read,
    ".parquet": parquet_file.read,
}

CHUNK = 1024 * 1024  # bytes


def check_file(path: Path) -> None:
    """See that the file is there, and of a kind that can be read.

    Raises
    ------
    CatalogError
        It isn't.
    """
    if not path.is_file():
        raise CatalogError(_("There is no file %(file)s.") % {"file": path})
    if path.suffix.lower() not in READERS:
        raise wrong_ending(str(path))


def wrong_ending(name: str) -> CatalogError:
    """That a file is of no kind that can be read."""
    told = {"file": name, "known": ", ".join(READERS)}
    return CatalogError(
        _("%(file)s ends in none of %(known)s; the ending says how to read it.") % told
    )


def read(path: Path, layout: Layout, names: Mapping[str, str]) -> Rows:
    """The rows of a file, its columns under the names that they are to have."""
    with unreadable(path):
        yield from READERS[path.suffix.lower()](path, layout, names)


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Tell in one line what is wrong with a file as a whole."""
    try:
        yield
    except UnicodeDecodeError as error:
        told = {"file": path, "byte": f"0x{error.object[error.start]:02x}"}
        raise CatalogError(
            _("%(file)s is not UTF-8 (byte %(byte)s); save it as UTF-8.") % told
        ) from None
    except OSError as error:
        told = {"file": path, "reason": error.strerror or str(error)}
        raise CatalogError(_("%(file)s cannot be read: %(reason)s.") % told) from error


def rows_about(path: Path) -> int:
    """About how many rows a file has, for a progress bar; counted without parsing it."""
    with unreadable(path):
        if path.suffix.lower() == ".parquet":
            return parquet_file.rows_of(path)
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK), b""))
