"""The shop: cart and checkout."""

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import Interaction, Item
from recsite import cart
from tests.recsite.shop.visits import HTMX

pytestmark = pytest.mark.django_db


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
