"""Which items a filter means, over the columns of an index and over attributes read on demand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from catalog.item_filter import parse
from catalog.models import Catalog, Item
from ranking.item_index import MOST_COLUMNS, ItemIndex
from ranking.item_mask import mask
from ranking.offers import Offers
from ranking.types import DAY
from tests.ranking.worlds import NOW, item_index


def world() -> ItemIndex:
    """Six items; categories a, b, b > c in turn, prices 1 … 6, the last one without much."""
    items = item_index(6)
    return replace(
        items,
        prices=np.array([1, 2, 3, 4.99, 5, np.nan], dtype=np.float32),
        published=NOW - DAY * np.array([1, 2, 8, 30, 400, np.nan]),
        offers=Offers.of(np.array([1]), np.array([NOW - 9]), np.array([NOW + 9])),
        columns={
            "brand": (("Acme", "Bolt"), np.array([0, 1, 0, 1, -1, -1])),
            "colour": (("Red", ["blue", "red"], 7, "12", True, None), np.arange(6)),
        },
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('category = "a"', [0, 3]),
        ('category = "B"', [1, 2, 4, 5]),  # and below, whatever the case
        ('category = "b > c"', [2, 5]),
        ('category != "b"', [0, 3]),
        ('category in ("a", "b > c")', [0, 2, 3, 5]),
        ('brand = "acme"', [0, 2]),
        ('brand != "acme"', [1, 3, 4, 5]),  # what has none is none of theirs
        ('not brand in ("Acme", "Bolt")', [4, 5]),
        ("price = 4.99", [3]),
        ("price < 2", [0]),
        ("price <= 2", [0, 1]),
        ("not price < 2", [1, 2, 3, 4, 5]),
        ("price in (1, 5)", [0, 4]),
        ("published > 7d ago", [0, 1]),
        ("published <= 1w ago", [2, 3, 4]),
        ("published > 30h ago", [0]),
        ("published < 2023-01-01", [4]),
        ("on_offer", [1]),
        ("not on_offer and price < 3", [0]),
        ("on_offer = false", [0, 2, 3, 4, 5]),
        ("on_offer or price = 1", [0, 1]),
        ('attributes.colour = "red"', [0, 1]),
        ("attributes.colour >= 7", [2, 3]),
        ("attributes.colour = 12", [3]),
        ("attributes.colour = true", [4]),
        ('attributes.colour != "red"', [2, 3, 4, 5]),
        ("attributes.colour in (7, true)", [2, 4]),
    ],
)
def test_means(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(mask(parse(text), world(), NOW)).tolist() == rows


def test_of_no_items(db: None) -> None:
    assert mask(parse('category = "a" or attributes.x = 1'), item_index(0), NOW).tolist() == []


def test_attributes_are_read_once_and_not_for_ever(
    db: None, django_assert_num_queries: Any
) -> None:
    shop = Catalog.objects.create(slug="shop", name="Shop", item_kind="product")
    for number, attributes in enumerate(({"size": 1}, {}, {"size": "XL"}, {"brand": "Acme"})):
        Item.objects.create(catalog=shop, external_id=str(number), title="T", attributes=attributes)
    items = ItemIndex.load(shop, None)
    with django_assert_num_queries(1):
        for _ in range(2):
            assert mask(parse('attributes.size = "xl"'), items, NOW).tolist() == [
                False, False, True, False,
            ]  # fmt: skip
    assert mask(parse('brand = "Acme"'), items, NOW).tolist() == [False, False, False, True]
    for number in range(MOST_COLUMNS):
        items.attribute(f"x{number}")
    assert len(items.columns) == MOST_COLUMNS
    assert "size" not in items.columns
