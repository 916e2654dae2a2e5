"""JSON Lines files: an object a line, UTF-8. A `category` may be a list of its parts."""

import json
from pathlib import Path

from catalog.importers.rows import BadRow, Layout, Rows, staged


def read(path: Path, layout: Layout) -> Rows:
    """Yield an object a line; a line that is no object is bad, blank lines are passed over."""
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, start=1):
            if text.isspace():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield BadRow(line, "", f"is no JSON: {error}")
                continue
            if isinstance(value, dict):
                yield staged(line, value, layout)
            else:
                yield BadRow(line, "", "is no JSON object")
