"""The columns that a file may have, and what a reader hands on."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.errors import CatalogError


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of file."""

    kind: str  # items, offers, users or interactions
    columns: tuple[str, ...]
    required: tuple[str, ...]  # must stand in every file
    keeps_extra: bool  # unknown columns go to attributes; else they are left out


ITEMS = Layout(
    kind="items",
    columns=(
        "item_id",
        "title",
        "body",
        "category",
        "price",
        "image",
        "published_at",
        "available",
        "attributes",
    ),
    required=("item_id",),
    keeps_extra=True,
)
OFFERS = Layout(
    kind="offers",
    columns=("item_id", "kind", "starts_at", "ends_at"),
    required=("item_id", "kind", "starts_at", "ends_at"),
    keeps_extra=False,
)
USERS = Layout("users", ("user_id", "attributes"), ("user_id",), keeps_extra=True)
INTERACTIONS = Layout(
    kind="interactions",
    columns=("user_id", "item_id", "timestamp", "type", "value"),
    required=("user_id", "item_id", "timestamp", "type"),
    keeps_extra=False,
)


LAYOUTS = {layout.kind: layout for layout in (ITEMS, OFFERS, USERS, INTERACTIONS)}  # as merged
Names = Mapping[str, str]  # column of a file → the name that it is to have; '' = left out


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read or stored."""

    line: int  # of the file, the first is 1; in Parquet the row
    field: str  # '' = the row as a whole
    told: str  # why, in English, with %(name)s for each of the values
    values: Mapping[str, object] | None = None

    @property
    def reason(self) -> str:
        """Why, in English: for reports and logs."""
        return self.told % self.values if self.values else self.told

    @property
    def words(self) -> str:
        """Why, in the language of the page."""
        words = _(self.told)
        return words % self.values if self.values else words


# line, the columns of the layout, the unknown columns as a JSON object; None = nothing there
StagedRow = tuple[int | str | None, ...]
Rows = Iterator[StagedRow | BadRow]


def check_names(names: Names, columns: Sequence[str], path: Path) -> None:
    """See that the columns that are renamed are there. Errors: CatalogError."""
    check_columns(names, columns, path)


def check_columns(wanted: Iterable[str], columns: Sequence[str], path: Path) -> None:
    """See that these columns are there. Errors: CatalogError."""
    missing = [name for name in wanted if name not in columns]
    if missing:
        told = {
            "file": path,
            "columns": ", ".join(missing),
            "header": ", ".join(columns)[:200],
        }
        raise CatalogError(
            ngettext(
                "%(file)s has no column %(columns)s; its header is %(header)s.",
                "%(file)s has no columns %(columns)s; its header is %(header)s.",
                len(missing),
            )
            % told
        )


def check_once(columns: Sequence[str], path: Path) -> None:
    """See that no column comes twice. Errors: CatalogError."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        told = {"file": path, "columns": ", ".join(twice)}
        raise CatalogError(_("%(file)s has the column %(columns)s more than once.") % told)


def as_text(value: object) -> str | None:
    """One value as the staging table holds it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int | float | Decimal):
        return None if value != value else str(value)  # NaN is how some writers say "nothing"
    if isinstance(value, bytes):
        return value.decode()
    return json.dumps(value, ensure_ascii=False, default=as_text)


def as_category(value: object) -> str | None:
    """A category path, also when it comes as a list of its parts."""
    if isinstance(value, list | tuple):
        return " > ".join(str(part) for part in value)
    return as_text(value)


def staged(line: int, values: Mapping[str, object], layout: Layout) -> StagedRow:
    """One row of named values as the staging table holds it."""
    known = [
        as_category(values.get(name)) if name == "category" else as_text(values.get(name))
        for name in layout.columns
    ]
    extra = None
    if layout.keeps_extra:
        rest = {
            name: value
            for name, value in values.items()
            if name not in layout.columns and value is not None and value != ""
        }
        extra = json.dumps(rest, ensure_ascii=False, default=as_text) if rest else None
    return (line, *known, extra)
