"""The shop: aisles with facets, products, search."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pgvector import HalfVector

from catalog.models import Catalog, EncoderVersion, Item, ItemVector, User
from recsite.aisles import aisles_of
from tests.recsite.ranking_stub import RankingStub
from tests.recsite.shop.visits import buy, titles

pytestmark = pytest.mark.django_db


# Aisles


def test_facets_narrow_count_and_stay_in_the_address(client: Client, items: list[Item]) -> None:
    address = reverse("shop:aisle", args=["dairy/cheese"])
    everything = client.get(address)
    assert everything.context["page"].paginator.count == 30
    brand, price, size = everything.context["facets"]
    assert {choice.value: choice.count for choice in brand.choices} == {
        "National brand": 20,
        "Store brand": 10,
    }
    assert {choice.value: choice.count for choice in size.choices} == {"1 gal": 30}
    # Odd numbers cost (n + 1) / 2 = 1, 2, 3 … 30 dollars.
    assert [(choice.value, choice.count) for choice in price.choices] == [
        ("1-2", 1),
        ("2-5", 3),
        ("5-10", 5),
        ("10-", 21),
    ]
    narrow = client.get(address, {"brand": "Store brand", "price": ["1-2", "5-10"]})
    # Store brand: every third number; odd ones 3, 9, 15 … cost 2, 5, 8, 11 …
    assert titles(narrow) == ["Product 09", "Product 15"]
    chips = [label for label, _ in narrow.context["removals"]]
    assert chips == ["Store brand", "$1 to $2", "$5 to $10"]
    brand = narrow.context["facets"][0]
    assert {choice.value: choice.count for choice in brand.choices} == {
        "National brand": 4,  # within the prices, whatever the brand
        "Store brand": 2,
    }
    assert 'value="Store brand" data-submit checked' in narrow.content.decode()


@pytest.mark.parametrize(
    ("sort", "first"), [("price", "Product 01"), ("-price", "Product 59"), ("title", "Product 01")]
)
def test_sorting(client: Client, items: list[Item], sort: str, first: str) -> None:
    parameters: dict[str, Any] = {
        "sort": sort,
        "brand": ["Store brand", "National brand"],
    }  # no shelf above
    answer = client.get(reverse("shop:aisle", args=["dairy/cheese"]), parameters)
    assert titles(answer)[0] == first


def test_most_bought_comes_first(client: Client, items: list[Item]) -> None:
    buyer = User.objects.create(username="buyer")
    buy(buyer, items[41], 3)
    buy(buyer, items[7], 2)
    both = {"brand": ["Store brand", "National brand"]}
    answer = client.get(reverse("shop:aisle", args=["dairy"]), both)
    assert titles(answer)[:3] == ["Product 41", "Product 07", "Product 00"]


def test_pages_do_not_overlap_and_keep_the_facets(client: Client, items: list[Item]) -> None:
    address = reverse("shop:aisle", args=["dairy"])
    both: dict[str, Any] = {"brand": ["Store brand", "National brand"]}
    first = client.get(address, both)
    second = client.get(address, {**both, "page": 2})
    shown = titles(first) + titles(second)
    assert len(shown) == len(set(shown)) == 60
    assert "brand=Store+brand&amp;brand=National+brand&amp;page=2" in first.content.decode()


@pytest.mark.parametrize("page", ["0", "-1", "99", "x", "9" * 40, "9" * 5000, "2\x00"])
def test_a_page_that_does_not_exist_leads_to_the_nearest(
    client: Client, items: list[Item], page: str
) -> None:
    answer = client.get(reverse("shop:aisle", args=["dairy"]), {"page": page})
    assert answer.status_code == 200
    assert client.get(reverse("shop:search"), {"q": "Product", "page": page}).status_code == 200


def test_nothing_matches_and_no_such_aisle(client: Client, items: list[Item]) -> None:
    empty = client.get(reverse("shop:aisle", args=["dairy"]), {"size": "9 tons"})
    assert "Nothing matches all of that" in empty.content.decode()
    assert client.get(reverse("shop:aisle", args=["nowhere"])).status_code == 404


def test_names_that_give_the_same_address_are_both_found(shop: Catalog) -> None:
    for number, name in enumerate(("Milk & Cream", "Milk, cream", "牛奶", "!!!")):
        Item.objects.create(catalog=shop, external_id=str(number), title="x", category=name)
    slugs = {aisle.path: slug for slug, aisle in aisles_of(shop).by_slug.items()}
    assert slugs == {
        "Milk & Cream": "milk-cream",
        "Milk, cream": "milk-cream-2",
        "牛奶": "牛奶",
        "!!!": "aisle",
    }


# Product, search


def test_a_product_that_is_sold_out_cannot_be_bought(client: Client, items: list[Item]) -> None:
    Item.objects.filter(pk=items[0].pk).update(available=False)
    page = client.get(reverse("shop:product", args=[items[0].pk])).content.decode()
    assert "Not on sale right now" in page
    answer = client.post(reverse("shop:cart-add"), {"item": items[0].pk})
    assert answer.status_code == 404


def test_a_product_of_another_catalog_is_not_sold_here(client: Client, items: list[Item]) -> None:
    other = Catalog.objects.create(slug="other", name="O", item_kind="product")
    item = Item.objects.create(catalog=other, external_id="x", title="X", price=1)
    assert client.get(reverse("shop:product", args=[item.pk])).status_code == 404
    assert client.post(reverse("shop:cart-add"), {"item": item.pk}).status_code == 404


def test_search_pages(client: Client, items: list[Item], ranking: RankingStub) -> None:
    first = client.get(reverse("shop:search"), {"q": "  Product \x00 "})
    assert ranking.queries[-1].text == "Product"
    second = client.get(reverse("shop:search"), {"q": "Product", "page": "2"})
    shown = titles(first) + titles(second)
    assert len(shown) == len(set(shown)) == 48
    assert 'data-position="24"' in second.content.decode()  # positions go on across pages


def test_search_without_words_and_without_a_find(
    client: Client, items: list[Item], ranking: RankingStub
) -> None:
    assert "What are you looking for?" in client.get(reverse("shop:search")).content.decode()
    assert ranking.queries == []
    page = client.get(reverse("shop:search"), {"q": "zzz"}).content.decode()
    assert "Nothing found yet" in page  # no item has a vector
    version = EncoderVersion.objects.create(name="e", digest="e" * 64, dimensions=2)
    ItemVector.objects.bulk_create(
        ItemVector(item=item, encoder=version, text_digest="", vector=HalfVector([1, 0]))
        for item in Item.objects.all()
    )
    page = client.get(reverse("shop:search"), {"q": "zzz"}).content.decode()
    assert "Nothing found" in page
    assert "Nothing found yet" not in page


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("product 07", ["Product 07"]),
        ("07 prod", ["Product 07"]),
        ("prodct", ["Product"]),  # a typing error is forgiven
        ("chees", ["Cheese"]),
        ("%", []),
        ("", []),
        ("zzzzzz", []),
    ],
)
def test_suggestions(client: Client, items: list[Item], typed: str, expected: list[str]) -> None:
    page = client.get(reverse("shop:suggest"), {"q": typed}).content.decode()
    for text in expected:
        assert text in page
    assert ('role="option"' in page) == bool(expected)
