"""The shop: shelves, aisles with facets, search, cart, people; as guest, household and stranger."""

import html
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, Catalog, Interaction, Item, Offer, SlateLog, User
from recsite import cart, tiles
from recsite.aisles import aisles_of
from tests.recsite.ranking_stub import RankingStub, install

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
MOST_QUERIES = 25  # a page; the ranking's own are not in it


@pytest.fixture(autouse=True)
def ranking(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    return install(monkeypatch)


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(
        slug="shop",
        name="Larder",
        item_kind="product",
        repeat_consumption=True,
        event_weights=EVENT_WEIGHTS["product"],
    )


@pytest.fixture
def items(shop: Catalog) -> list[Item]:
    """Sixty cheeses and milks: price 0.50 … 30, sizes and brands in turn."""
    return Item.objects.bulk_create(
        Item(
            catalog=shop,
            external_id=f"item-{number:02}",
            title=f"Product {number:02}",
            category="Dairy > Cheese" if number % 2 else "Dairy > Milk & cream",
            price=f"{(number + 1) / 2:.2f}",
            attributes={
                "brand": "Store brand" if number % 3 == 0 else "National brand",
                "size": ("8 oz", "1 gal")[number % 2],
            },
        )
        for number in range(60)
    )


def titles(answer: Any) -> list[str]:
    return re.findall(r"Product \d\d(?=</a>)", answer.content.decode())


def buy(user: User, item: Item, times: int = 1) -> None:
    events = [
        Event(user.pk, item.pk, "purchase", timezone.now(), 1.0, uuid.uuid4()) for _ in range(times)
    ]
    log_interactions(item.catalog, events)


# Shelves


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
    assert "Nothing found" in client.get(reverse("shop:search"), {"q": "zzz"}).content.decode()


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


# Cart and checkout


def test_adding_is_logged_with_its_slate_and_counts_once_a_form(
    client: Client, items: list[Item]
) -> None:
    slate = uuid.uuid4()
    form = {
        "item": items[4].pk,
        "event_id": str(uuid.uuid4()),
        "slate": str(slate),
        "position": 4,
        "next": "/shop/",
    }
    assert client.post(reverse("shop:cart-add"), form)["Location"] == "/shop/"
    client.post(reverse("shop:cart-add"), form)
    added = Interaction.objects.get()
    assert (added.type, added.slate_id, added.position) == ("add", slate, 4)
    assert added.user.is_guest


def test_htmx_gets_the_new_count_and_the_shelf_is_told(client: Client, items: list[Item]) -> None:
    answer = client.post(
        reverse("shop:cart-add"), {"item": items[0].pk, "quantity": 3}, headers=HTMX
    )
    page = answer.content.decode()
    assert answer["HX-Trigger"] == "cart-changed"
    assert 'id="cart-button"' in page
    assert "</span>3</span>" in page
    assert "is in your cart" in page
    shelf = client.get(reverse("shop:for-you"), headers=HTMX)
    assert 'id="shelf-for-you"' in shelf.content.decode()
    assert "<html" not in shelf.content.decode()
    assert client.get(reverse("shop:for-you")).status_code == 302  # a person sees the whole page


@pytest.mark.parametrize("quantity", ["0", "-1", "100", "x", "1e3"])
def test_an_odd_quantity_adds_nothing(client: Client, items: list[Item], quantity: str) -> None:
    form = {"item": items[0].pk, "quantity": quantity}
    assert client.post(reverse("shop:cart-add"), form).status_code == 404
    assert not Interaction.objects.exists()


def test_quantities_change_and_lines_go(client: Client, items: list[Item]) -> None:
    for item in items[:2]:
        client.post(reverse("shop:cart-add"), {"item": item.pk})
    client.post(reverse("shop:cart-update"), {"item": items[0].pk, "quantity": 5})
    client.post(reverse("shop:cart-update"), {"item": items[1].pk, "quantity": 0})
    client.post(reverse("shop:cart-update"), {"item": items[9].pk, "quantity": 7})  # isn't in it
    page = client.get(reverse("shop:cart"))
    lines = page.context["cart"].lines
    assert [(line.item, line.quantity) for line in lines] == [(items[0], 5)]
    assert page.context["cart"].total == 5 * lines[0].item.price


def test_what_is_sold_out_leaves_the_cart(client: Client, items: list[Item]) -> None:
    for item in items[:2]:
        client.post(reverse("shop:cart-add"), {"item": item.pk})
    Item.objects.filter(pk=items[0].pk).update(available=False)
    page = client.get(reverse("shop:cart"))
    assert [line.item for line in page.context["cart"].lines] == [items[1]]
    assert page.context["cart_count"] == 1


def test_a_full_cart_takes_no_further_item(
    client: Client, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cart, "MOST_LINES", 2)
    for item in items[:3]:
        client.post(reverse("shop:cart-add"), {"item": item.pk})
    page = client.get(reverse("shop:cart")).content.decode()
    assert "Your cart is full" in page
    assert Interaction.objects.filter(type="add").count() == 2


def test_checking_out_records_purchases_once(client: Client, items: list[Item]) -> None:
    client.post(reverse("shop:cart-add"), {"item": items[0].pk, "quantity": 2})
    client.post(reverse("shop:cart-add"), {"item": items[1].pk})
    order = client.get(reverse("shop:cart")).context["order_id"]
    for _ in range(2):  # a double click
        answer = client.post(reverse("shop:checkout"), {"order_id": str(order)})
        assert answer["Location"] == reverse("shop:receipt", args=[order])
    bought = Interaction.objects.filter(type="purchase").order_by("item_id")
    assert [(row.item, row.value) for row in bought] == [(items[0], 2.0), (items[1], 1.0)]
    page = client.get(reverse("shop:receipt", args=[order]))
    assert page.context["order"].count == 3
    assert client.get(reverse("shop:cart")).context["cart"].lines == []
    assert Client().get(reverse("shop:receipt", args=[order])).status_code == 404


@pytest.mark.parametrize("order", ["", "x", str(uuid.uuid4())])
def test_an_empty_cart_cannot_be_checked_out(client: Client, items: list[Item], order: str) -> None:
    answer = client.post(reverse("shop:checkout"), {"order_id": order})
    assert answer["Location"] == reverse("shop:cart")
    assert not Interaction.objects.exists()


# People


@pytest.fixture
def household(items: list[Item]) -> User:
    person = User.objects.create(
        username="~household-12", external_id="household-12", attributes={"age": "35-44"}
    )
    buy(person, items[3], 2)
    return person


def test_a_demo_visitor_looks_through_a_household(
    client: Client, household: User, items: list[Item], ranking: RankingStub, settings: LazySettings
) -> None:
    settings.DEMO = True
    client.post(reverse("shop:cart-add"), {"item": items[0].pk})
    found = client.get(reverse("shop:people"), {"q": "35-44"}).content.decode()
    assert "household-12" in found
    assert "2 interactions" in found
    client.post(reverse("look-as"), {"external_id": "household-12", "next": "/shop/"})
    ranking.queries.clear()
    client.get(reverse("shop:home"))
    assert {query.user_id for query in ranking.queries} == {household.pk}
    assert client.get(reverse("shop:cart")).context["cart"].lines == []  # their cart, not mine
    assert "household-12" in client.get(reverse("shop:profile")).content.decode()
    assert client.post(reverse("shop:forget")).status_code == 403
    assert Interaction.objects.filter(user=household).count() == 2
    client.post(reverse("stop-looking"))
    assert len(client.get(reverse("shop:cart")).context["cart"].lines) == 1


def test_outside_a_demo_nobody_is_shown(
    client: Client, household: User, settings: LazySettings
) -> None:
    settings.DEMO = False
    assert "household-12" not in client.get(reverse("shop:people")).content.decode()


@pytest.mark.parametrize(("back_to", "first"), [("/shop/", "household-12"), ("/news/", "reader-1")])
def test_the_people_of_the_page_that_one_came_from_are_first(
    client: Client, household: User, settings: LazySettings, back_to: str, first: str
) -> None:
    settings.DEMO = True
    User.objects.create(username="~reader-1", external_id="reader-1", is_simulated=True)
    offered = client.get(reverse("shop:people"), {"next": back_to}).context["people"]
    assert offered[0][0].external_id == first
    assert len(offered) == 2


def test_staff_and_members_are_never_offered(
    client: Client, household: User, settings: LazySettings
) -> None:
    settings.DEMO = True
    User.objects.create(username="member")
    User.objects.create(username="chief", is_staff=True, external_id="household-99")
    offered = client.get(reverse("shop:people")).context["people"]
    assert [person.pk for person, _, _ in offered] == [household.pk]


def test_the_profile_shows_what_is_known_and_forgets_it(
    client: Client, items: list[Item], household: User
) -> None:
    client.post(reverse("shop:cart-add"), {"item": items[5].pk})
    page = client.get(reverse("shop:profile")).content.decode()
    assert "Product 05" in page
    assert "Put in the cart" in page
    answer = client.post(reverse("shop:forget"), follow=True).content.decode()
    assert "Forgotten: 1 thing" in answer
    assert "Nothing yet" in answer
    assert Interaction.objects.count() == 2  # the household's own


def test_a_visitor_without_a_row_has_nothing_to_forget(client: Client, items: list[Item]) -> None:
    assert "Nothing yet" in client.get(reverse("shop:profile")).content.decode()
    assert client.post(reverse("shop:forget")).status_code == 302


# What holds everywhere


def test_a_hostile_title_stays_text(client: Client, shop: Catalog) -> None:
    title = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    item = Item.objects.create(
        catalog=shop, external_id="<b>", title=title, category="<i>x</i> > y", price=1
    )
    client.post(reverse("shop:cart-add"), {"item": item.pk})
    pages = [
        reverse("shop:home"),
        reverse("shop:product", args=[item.pk]),
        reverse("shop:cart"),
        reverse("shop:profile"),
        reverse("shop:search") + "?q=%3Cscript%3E",
        reverse("shop:suggest") + "?q=%3Cscript%3E",
        reverse("shop:aisle", args=[aisles_of(shop).departments[0].slug]),
    ]
    for address in pages:
        page = client.get(address).content.decode()
        assert "<script>alert" not in page, address
        assert "<img src=x" not in page, address
        assert "<i>x</i>" not in page, address


@pytest.mark.parametrize("name", ["cart-add", "cart-update", "checkout", "forget"])
def test_writes_need_post_and_the_csrf_token(items: list[Item], name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.get(reverse(f"shop:{name}")).status_code == 405
    assert strict.post(reverse(f"shop:{name}")).status_code == 403


def test_every_page_of_the_shop_is_free_of_inline_styles_and_handlers(
    client: Client, items: list[Item]
) -> None:
    client.post(reverse("shop:cart-add"), {"item": items[5].pk})
    for name, arguments in (
        ("home", []),
        ("aisle", ["dairy"]),
        ("product", [items[0].pk]),
        ("cart", []),
        ("profile", []),
        ("people", []),
    ):
        page = client.get(reverse(f"shop:{name}", args=arguments)).content.decode()
        assert not re.search(r"<[^>]+\s(style|on\w+)=", page), name
        assert not re.search(r"<style|javascript:", page), name


@pytest.mark.parametrize(
    ("category", "drawing"),
    [
        ("Grocery > Cheese > Shredded cheese", "cheese"),
        ("Grocery > Milk > White milk", "milk"),
        ("Grocery > Frozen pizza > Premium", "pizza"),
        ("Meat > Beef > Lean", "steak"),
        ("Fruit & vegetables > Apples > Red delicious", "apple"),
        ("Health & home > Oral hygiene products > Toothbrushes", "tube"),
        ("Something unheard of", "basket"),
        ("", "basket"),
    ],
)
def test_tiles_show_what_the_category_says(category: str, drawing: str) -> None:
    item = Item(external_id="7", title="x", category=category)
    assert tiles.tile_for(item).drawing == drawing


def test_every_drawing_and_colour_of_the_rules_exists() -> None:
    icons = finders.find("icons.svg")
    styles = finders.find("css/site.css")
    assert icons
    assert styles
    with open(icons) as file:
        symbols = set(re.findall(r'<symbol id="([^"]+)"', file.read()))
    with open(styles) as file:
        sheet = file.read()
    used = {drawing for _, drawing, _ in tiles.RULES}
    assert used | {"basket"} | {f"motif-{n}" for n in range(tiles.BACKDROPS)} <= symbols
    for hue in {hue for _, _, hue in tiles.RULES}:
        assert f".hue-{hue}{{" in sheet
