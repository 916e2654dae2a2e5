"""JSON Lines files: an object a line, UTF-8. A `category` may be a list of its parts."""

import json
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_noop

from catalog.importers.rows import BadRow, Layout, Names, Rows, staged


def read(path: Path, layout: Layout, names: Names) -> Rows:
    """Yield an object a line; a line that is no object is bad, blank lines are passed over."""
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, start=1):
            if text.isspace():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield BadRow(
                    line, "", gettext_noop("is no JSON: %(reason)s"), {"reason": str(error)}
                )
                continue
            if isinstance(value, dict):
                yield staged(line, _named(value, names), layout)
            else:
                yield BadRow(line, "", gettext_noop("is no JSON object"))


def _named(value: dict[str, Any], names: Names) -> dict[str, Any]:
    """The object under the names that were said; these go before what bears the name already."""
    if not names:
        return value
    rest = {name: held for name, held in value.items() if name not in names}
    return rest | {names[name]: value[name] for name in names if names[name] and name in value}
