"""Which reader a file takes, and what keeps it from being read, in one line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
        raise CatalogError(f"There is no file {path}.")
    if path.suffix.lower() not in READERS:
        raise CatalogError(
            f"{path} ends in none of {', '.join(READERS)}; the ending says how to read it."
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
        raise CatalogError(
            f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x}); save it as UTF-8."
        ) from None
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror or error}.") from error


def rows_about(path: Path) -> int:
    """About how many rows a file has, for a progress bar; counted without parsing it."""
    with unreadable(path):
        if path.suffix.lower() == ".parquet":
            return parquet_file.rows_of(path)
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK), b""))
