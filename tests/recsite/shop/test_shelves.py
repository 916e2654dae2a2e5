"""The shop: shelves and tiles."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog, Interaction, Item, Offer, SlateLog, User
from tests.recsite.ranking_stub import RankingStub
from tests.recsite.shop.visits import MOST_QUERIES, buy, titles

pytestmark = pytest.mark.django_db


def test_before_the_products_are_there(client: Client) -> None:
    answer = client.get(reverse("shop:home"))
    assert answer.status_code == 503
    assert "opens in a moment" in answer.content.decode()
    assert answer["Retry-After"] == answer["Refresh"] == "5"


def test_a_guest_sees_shelves_and_leaves_no_row(
    client: Client, items: list[Item], ranking: RankingStub
) -> None:
    answer = client.get(reverse("shop:home"))
    assert answer.status_code == 200
    assert [query.surface for query in ranking.queries] == [
        "shop-home",
        "shop-staples",
        "shop-popular",
    ]
    assert {query.user_id for query in ranking.queries} == {None}
    assert not User.objects.exists()


def test_no_product_stands_on_two_shelves(
    client: Client, items: list[Item], ranking: RankingStub
) -> None:
    shown = titles(client.get(reverse("shop:home")))
    assert len(shown) == len(set(shown)) == 36


def test_after_a_click_there_is_a_because_shelf(
    client: Client, items: list[Item], ranking: RankingStub
) -> None:
    page = client.get(reverse("shop:home")).content.decode()
    link = html.unescape(re.findall(r'href="(/shop/products/[^"]+s=[^"]+)"', page)[3])
    client.get(link)
    ranking.queries.clear()
    page = client.get(reverse("shop:home")).content.decode()
    clicked = Interaction.objects.get(type="click").item
    assert f"Because you looked at {clicked.title}" in page
    because = next(query for query in ranking.queries if query.surface == "shop-because")
    assert because.anchor_item_id == clicked.pk
    assert because.user_id is not None


def test_who_did_something_on_another_site_is_still_new_in_the_shop(
    client: Client, items: list[Item], ranking: RankingStub
) -> None:
    new, known = "You are new here", "It follows every click"
    assert new in client.get(reverse("shop:home")).content.decode()
    page = client.get(reverse("shop:home")).content.decode()
    link = html.unescape(re.findall(r'href="(/shop/products/[^"]+s=[^"]+)"', page)[3])
    client.get(link)
    assert known in client.get(reverse("shop:home")).content.decode()
    elsewhere = Catalog.objects.create(slug="kiosk", name="Kiosk", item_kind="article")
    Interaction.objects.update(catalog=elsewhere)
    assert new in client.get(reverse("shop:home")).content.decode()


def test_cards_carry_slate_position_and_reason(
    client: Client, items: list[Item], ranking: RankingStub
) -> None:
    page = client.get(reverse("shop:home")).content.decode()
    slate = SlateLog.objects.get(surface="shop-home")
    assert f'data-slate-id="{slate.pk}"' in page
    assert f"/shop/products/{slate.item_ids[5]}/?s={slate.pk}&amp;p=5" in page
    assert page.count(ranking.reason) == len(slate.item_ids)  # only where the title doesn't say it


@pytest.mark.parametrize(("days", "is_on_offer"), [(-8, False), (-1, True), (1, False)])
def test_tiles_and_products_say_what_is_on_offer(
    client: Client, items: list[Item], ranking: RankingStub, days: int, is_on_offer: bool
) -> None:
    def pages() -> tuple[list[str], int]:
        """The front page, an aisle in two orders, a product; and the number of queries."""
        aisle = reverse("shop:aisle", args=["dairy"])
        addresses = [reverse("shop:home"), aisle, f"{aisle}?sort=price"]
        addresses.append(reverse("shop:product", args=[items[2].pk]))
        with CaptureQueriesContext(connection) as queries:
            found = [client.get(address).content.decode() for address in addresses]
        return found, len(queries)

    pages()
    without, queries = pages()
    assert not [page for page in without if "On offer" in page]
    start = timezone.now() + timedelta(days=days)
    for item, kind in ((items[2], "mailer"), (items[4], "mailer"), (items[6], "display")):
        Offer.objects.create(
            catalog=item.catalog,
            item=item,
            kind=kind,
            starts_at=start,
            ends_at=start + timedelta(days=7),
        )
    found, queries_now = pages()
    tile = r'Product (\d\d)</a></h3>[^$]*\$[\d.]+ <span class="tag">On offer</span>'
    expected = [{"02", "04"}] * 3 + [{"04"}]  # a product stands on no tile of its own page
    assert [set(re.findall(tile, page)) for page in found] == (
        expected if is_on_offer else [set()] * 4
    )
    assert ("In the shop’s mailer now" in found[3]) == is_on_offer
    assert queries_now == queries


@pytest.mark.parametrize(
    "name", ["shop:home", "shop:cart", "shop:profile", "shop:people", "shop:product", "shop:aisle"]
)
def test_pages_ask_the_database_a_bounded_number_of_times(
    client: Client, items: list[Item], name: str, settings: LazySettings
) -> None:
    settings.DEMO = True
    household = User.objects.create(username="~household-1", external_id="household-1")
    for item in items[:30]:
        buy(household, item)
    client.post(reverse("look-as"), {"external_id": "household-1"})
    for item in items[:9]:
        client.post(reverse("shop:cart-add"), {"item": item.pk})
    arguments: dict[str, list[Any]] = {"shop:product": [items[3].pk], "shop:aisle": ["dairy"]}
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(reverse(name, args=arguments.get(name))).status_code == 200
    assert len(queries) <= MOST_QUERIES + 6 * 4  # the stub's own: at most four slates of six
