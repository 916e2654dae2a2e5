import json

import pytest

from catalog.creation import create_catalog
from catalog.events import Event, log_interactions, log_slate
from catalog.models import Catalog, Follow, Interaction, Item, SlateLog, User
from catalog.privacy import export, forget

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(db: None) -> Catalog:
    return create_catalog("paper", kind="article")


@pytest.fixture
def history(catalog: Catalog, other: Catalog, items: list[Item], user: User) -> None:
    """Two things done, a slate and a follow in the shop, one thing done elsewhere."""
    article = Item.objects.create(catalog=other, external_id="a", title="News <b>")
    log_interactions(
        catalog, [Event(user.pk, items[0].pk, "click"), Event(user.pk, items[1].pk, "purchase")]
    )
    log_interactions(other, [Event(user.pk, article.pk, "read", value=30.0)])
    log_slate(
        SlateLog(
            catalog=catalog,
            user=user,
            surface="shop-home",
            item_ids=[items[0].pk],
            scores=[0.5],
            propensities=[1.0],
            sources=["popular"],
        )
    )
    Follow.objects.create(user=user, catalog=catalog, category="Tea")


@pytest.mark.usefixtures("history")
def test_one_catalog_is_forgotten_and_the_other_stays(
    catalog: Catalog, other: Catalog, items: list[Item], user: User
) -> None:
    stranger = User.objects.create(username="eve")
    log_interactions(catalog, [Event(stranger.pk, items[0].pk, "click")])
    assert forget(user, catalog) == {"interactions": 2, "slates": 1, "follows": 1}
    assert Interaction.objects.get(user=user).catalog == other
    assert Interaction.objects.filter(user=stranger).exists()


@pytest.mark.usefixtures("history")
def test_everything_is_forgotten_and_the_account_stays(user: User) -> None:
    assert forget(user) == {"interactions": 3, "slates": 1, "follows": 1}
    assert forget(user) == {"interactions": 0, "slates": 0, "follows": 0}
    assert User.objects.filter(pk=user.pk).exists()
    assert not SlateLog.objects.exists()


@pytest.mark.usefixtures("history")
def test_the_export_holds_everything_and_is_json(user: User) -> None:
    told = json.loads(json.dumps(export(user)))
    assert told["person"]["username"] == "ann"
    assert "password" not in told["person"]
    assert [row["type"] for row in told["interactions"]] == ["click", "purchase", "read"]
    assert told["interactions"][2]["title"] == "News <b>"
    assert told["interactions"][2]["value"] == 30.0
    assert told["slates"][0]["surface"] == "shop-home"
    assert told["follows"][0]["category"] == "Tea"


@pytest.mark.usefixtures("history")
def test_the_export_takes_a_bounded_number_of_queries(
    user: User, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        export(user)
