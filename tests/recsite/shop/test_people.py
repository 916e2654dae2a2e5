"""The shop: as household, member and stranger."""

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from catalog.models import Interaction, Item, User
from tests.recsite.ranking_stub import RankingStub
from tests.recsite.shop.visits import buy

pytestmark = pytest.mark.django_db


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
