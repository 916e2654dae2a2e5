"""Files to import, and the report of what was refused."""

import csv
from pathlib import Path

from catalog.importers.files import Outcome


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def bad_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """File, line, field and reason of each row in the report."""
    assert outcome.report is not None
    with outcome.report.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]
