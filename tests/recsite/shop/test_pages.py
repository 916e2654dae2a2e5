"""The shop: what holds on every page."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from catalog.models import Catalog, Item
from recsite import tiles
from recsite.aisles import aisles_of

pytestmark = pytest.mark.django_db


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
