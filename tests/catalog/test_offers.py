"""Offers as they are stored and asked for."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog.creation import create_catalog
from catalog.models import Catalog, Item, Offer

pytestmark = pytest.mark.django_db

MONDAY = datetime(2024, 5, 6, tzinfo=UTC)
WEEK = timedelta(weeks=1)


def offered(item: Item, kind: str = "mailer", start: datetime = MONDAY) -> Offer:
    """A week of offer."""
    return Offer.objects.create(
        catalog=item.catalog, item=item, kind=kind, starts_at=start, ends_at=start + WEEK
    )


def on_offer(items: list[Item], moment: datetime) -> list[bool]:
    """What each of these items says, asked for as a slate does."""
    found = Item.objects.with_offers(moment).in_slate_order([item.pk for item in items])
    return [vars(item)["on_offer"] for item in found]


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        (MONDAY - timedelta(microseconds=1), False),
        (MONDAY, True),
        (MONDAY + WEEK - timedelta(microseconds=1), True),
        (MONDAY + WEEK, False),
    ],
)
def test_an_offer_holds_from_its_start_until_before_its_end(
    items: list[Item], moment: datetime, holds: bool
) -> None:
    offered(items[0])
    assert Offer.objects.active(moment).exists() == holds
    assert on_offer(items, moment) == [holds, False, False, False, False]


def test_only_the_mailer_is_an_offer_and_many_items_are_one_query(items: list[Item]) -> None:
    offered(items[0], "display")
    offered(items[1])
    offered(items[1], start=MONDAY + timedelta(days=1))  # they overlap; the item stays one
    offered(items[2], start=MONDAY - WEEK)
    with CaptureQueriesContext(connection) as queries:
        found = on_offer(items, MONDAY + timedelta(days=2))
    assert found == [False, True, False, False, False]
    assert len(queries) == 1


def test_an_offer_ends_after_its_start_and_is_there_once(items: list[Item]) -> None:
    stored = offered(items[0])
    for kind, end in (("mailer", MONDAY + 2 * WEEK), ("display", MONDAY), ("x", MONDAY - WEEK)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Offer.objects.create(
                catalog=stored.catalog, item=stored.item, kind=kind, starts_at=MONDAY, ends_at=end
            )
    assert list(Offer.objects.all()) == [stored]


def test_offers_go_with_their_item_and_their_catalog(items: list[Item]) -> None:
    other = create_catalog("other", kind="product")
    kept = offered(Item.objects.create(catalog=other, external_id="x", title="X"))
    for item in items:
        offered(item)
    items[0].delete()
    assert Offer.objects.count() == 5
    Catalog.objects.get(slug="corner").delete()
    assert list(Offer.objects.all()) == [kept]
