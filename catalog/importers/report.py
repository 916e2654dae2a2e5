"""The list of rows that were left out: a CSV file that a person can open."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from catalog.importers.rows import BadRow

FIRST = 20  # rows that are kept at hand beside the file


class Report:
    """Collects bad rows on disk; the file stands under its name only once it is complete.

    Without a bad row there is no file.
    """

    def __init__(self, folder: Path, slug: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        self.path = folder / f"{slug}-{stamp}.csv"
        self._partial = self.path.with_suffix(".part")
        self._file = self._partial.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["file", "line", "field", "reason"])
        self.rows = 0
        self.first: list[tuple[str, BadRow]] = []  # file and row, for a page or a terminal

    def add(self, file: Path, row: BadRow) -> None:
        """One more row that was left out."""
        self._writer.writerow([file.name, row.line, row.field, row.reason])
        self.rows += 1
        if len(self.first) < FIRST:
            self.first.append((file.name, row))

    def flush(self) -> None:
        """Write what is still in memory, so that a full disk is felt before the commit."""
        self._file.flush()

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is None and self.rows:
            self._partial.replace(self.path)
        else:
            self._partial.unlink()
