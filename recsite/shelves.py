"""A slate as pages show it: a shelf with a title and a card an item."""

import uuid
from dataclasses import dataclass

from django.utils import timezone

from catalog.models import Catalog, Item
from ranking import pipeline
from ranking.types import Query
from recsite.account import SiteRequest


@dataclass(frozen=True)
class Card:
    """One place of a shelf."""

    item: Item
    position: int | None  # in the slate, 0 = first; None = not part of a slate
    reason: str = ""  # a sentence for the reader


@dataclass(frozen=True)
class Shelf:
    """A titled row of cards, and the slate that it came from."""

    key: str  # id of the element; also names its refresh address
    title: str
    cards: tuple[Card, ...]
    slate_id: uuid.UUID | None = None
    note: str = ""  # a line below the title
    refresh_url: str = ""  # where htmx asks for it again after the cart or the taste has changed
    total: int = 0  # how many were found, for a search

    @property
    def item_ids(self) -> tuple[int, ...]:
        """The items on it, so that the next shelf leaves them out."""
        return tuple(card.item.pk for card in self.cards)


def device_of(request: SiteRequest) -> str:
    """The kind of device, as the browser names itself."""
    return "phone" if "Mobi" in request.headers.get("User-Agent", "") else "desktop"


def recommended(
    catalog: Catalog,
    query: Query,
    *,
    key: str,
    title: str,
    note: str = "",
    refresh_url: str = "",
    reasons: bool = True,
) -> Shelf:
    """Ask for a slate and put it on a shelf; a search where the query has text.

    `reasons` is False where the title already says why.
    """
    slate = pipeline.search(query) if query.text else pipeline.recommend(query)
    places = {place.item_id: place for place in slate.items}
    items = Item.objects.with_offers(timezone.now()).in_slate_order(slate.item_ids)
    cards = tuple(
        Card(item, places[item.pk].position, places[item.pk].reason if reasons else "")
        for item in with_catalog(catalog, items)
    )
    return Shelf(key, title, cards, slate.id, note, refresh_url, slate.total)


def with_catalog(catalog: Catalog, items: list[Item]) -> list[Item]:
    """The same items, knowing their catalog, so that no template asks for it one by one."""
    for item in items:
        item.catalog = catalog
    return items
