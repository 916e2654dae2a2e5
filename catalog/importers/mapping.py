"""Which column of a file is which of our fields: guessed by name, or said by a person."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from django.utils.translation import gettext as _

from catalog.errors import CatalogError
from catalog.importers.rows import LAYOUTS, Layout
from catalog.models import Catalog, Import

LEAVE_OUT = ""  # as the name of a column: its values go nowhere
REMEMBERED = 50  # imports that are looked through
OTHER_NAMES: dict[str, tuple[str, ...]] = {  # field → what others call it, letters and digits only
    "item_id": ("id", "item", "sku", "productid", "product", "articleid", "contentid", "asin"),
    "user_id": ("user", "customerid", "customer", "visitorid", "personid", "reader", "memberid"),
    "title": ("name", "productname", "itemname", "headline"),
    "body": ("description", "text", "content", "abstract", "summary"),
    "category": ("categories", "section", "department", "genre", "genres", "producttype"),
    "price": ("cost", "amount", "unitprice"),
    "image": ("imageurl", "imagelink", "picture", "photo", "img"),
    "published_at": ("published", "date", "publishedat", "createdat", "releasedate", "pubdate"),
    "available": ("instock", "isavailable", "availability", "active"),
    "timestamp": ("time", "date", "datetime", "at", "createdat", "eventtime", "ts"),
    "type": ("event", "eventtype", "action", "behavior", "interaction"),
    "value": ("rating", "quantity", "qty", "score", "weight"),
    "kind": ("type", "offertype", "promotion"),
    "starts_at": ("start", "from", "begins", "validfrom", "startdate"),
    "ends_at": ("end", "until", "to", "validto", "enddate"),
}


def guess(columns: Sequence[str], layout: Layout) -> dict[str, str]:
    """Column → field, where a name says so; a field is given once, to the likeliest column."""
    found: dict[str, str] = {}
    plain = {column: re.sub(r"[^a-z0-9]", "", column.lower()) for column in columns}
    for field in layout.columns:
        own = field.replace("_", "")
        for name in (own, *OTHER_NAMES.get(field, ())):
            fits = [column for column in columns if plain[column] == name and column not in found]
            if fits:
                found[field if field in fits else fits[0]] = field
                break
    return {column: field for column, field in found.items() if column != field}


def remembered(catalog: Catalog, kind: str, columns: Iterable[str]) -> dict[str, str] | None:
    """What was said the last time that a file of this kind had these columns; None = never."""
    header = header_digest(columns)
    for one in Import.objects.filter(catalog=catalog).newest_first()[:REMEMBERED]:
        for file in one.files:
            if file["kind"] == kind and file.get("header") == header:
                return dict(file["names"])
    return None


def header_digest(columns: Iterable[str]) -> str:
    """Says whether two files have the same columns, in whatever order."""
    return hashlib.sha256("\x1f".join(sorted(columns)).encode()).hexdigest()


def parse(pairs: Iterable[str]) -> dict[str, str]:
    """COLUMN=FIELD, as a command gets them; COLUMN= leaves the column out.

    Raises
    ------
    CatalogError
        One isn't of that form.
    """
    names = {}
    for pair in pairs:
        column, equals, field = pair.partition("=")
        if not equals or not column:
            raise CatalogError(f"--map {pair!r} is not COLUMN=FIELD.")
        names[column.strip()] = field.strip()
    return names


def check(names: Mapping[str, str], kind: str) -> None:
    """See that fields exist and get one column each.

    Raises
    ------
    CatalogError
        Otherwise.
    """
    layout = LAYOUTS[kind]
    for column, field in names.items():
        if field not in layout.columns and field != LEAVE_OUT and field != column:
            told = {"kind": _(kind), "field": repr(field), "known": ", ".join(layout.columns)}
            raise CatalogError(_("%(kind)s have no field %(field)s; they have %(known)s.") % told)
    given = [field for field in names.values() if field != LEAVE_OUT]
    for field in given:
        if given.count(field) > 1:
            told = {"field": field}
            raise CatalogError(_("Two columns are to be %(field)s; choose one of them.") % told)
