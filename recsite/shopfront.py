"""What every page of the demo shop shares: its catalog, its frame, its shelves."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models import Catalog, Interaction, Item, LoadState
from ranking.types import Query
from recsite import cart
from recsite.account import SiteRequest
from recsite.aisles import Aisle, Aisles, aisles_of
from recsite.shelves import Shelf, device_of, recommended

SLUG = "shop"
SHELF_SIZE = 12  # items
SMALLEST_DEPARTMENT = 10  # items
DOORS = 12
FOLLOWS = gettext_noop("It follows every click, every add and every purchase.")
NEW = gettext_noop(
    "You are new here, so this is a bit of everything. After your first click it follows you."
)


def shop_catalog() -> Catalog:
    """The catalog that this shop sells."""
    return get_object_or_404(Catalog, slug=SLUG)


def not_open_yet(request: SiteRequest) -> HttpResponse:
    """The page while the products load."""
    loads = LoadState.objects.filter(catalog__slug=SLUG, finished_at__isnull=True)
    response = render(request, "shop/loading.html", {"loads": loads}, status=503)
    response["Retry-After"] = response["Refresh"] = "5"  # seconds; browsers look again themselves
    return response


def shop_page(
    request: SiteRequest,
    template: str,
    catalog: Catalog,
    context: dict[str, Any],
    status: int = 200,
) -> HttpResponse:
    """A page of the shop: what every one needs, and its own context."""
    whole = {
        "catalog": catalog,
        "departments": departments(aisles_of(catalog)),
        "cart_count": cart.count(request),
        **context,
    }
    return render(request, template, whole, status=status)


def departments(aisles: Aisles) -> list[Aisle]:
    """The departments worth a door; the few items of a stray one are found by search."""
    large = [aisle for aisle in aisles.departments if aisle.count >= SMALLEST_DEPARTMENT]
    return large or aisles.departments


def doors(aisles: Aisles) -> list[Aisle]:
    """The largest aisles for the front page; a department that holds most of the shop opens up."""
    everything = sum(aisle.count for aisle in aisles.departments)
    found: list[Aisle] = []
    for aisle in departments(aisles):
        found += aisle.children if aisle.children and aisle.count > everything / 2 else [aisle]
    return sorted(found, key=lambda aisle: -aisle.count)[:DOORS]


def for_you(request: SiteRequest, catalog: Catalog) -> Shelf:
    """The shelf that follows every click."""
    own = Interaction.objects.filter(catalog=catalog, user_id=request.person.pk)
    return recommended(
        catalog,
        Query(
            catalog.slug,
            request.person.pk,
            surface="shop-home",
            size=SHELF_SIZE,
            device=device_of(request),
        ),
        key="for-you",
        title=_("For you"),
        note=_(FOLLOWS if request.person.pk and own.exists() else NEW),
        refresh_url=reverse("shop:for-you"),
    )


def shelf(
    request: SiteRequest,
    catalog: Catalog,
    key: str,
    title: str,
    above: list[Shelf],
    *,
    anchor: Item | None = None,
    only: tuple[str, ...] = (),
) -> Shelf:
    """A further shelf, without what stands on those above."""
    query = Query(
        catalog.slug,
        request.person.pk,
        surface=f"shop-{key}",
        size=SHELF_SIZE,
        anchor_item_id=anchor.pk if anchor else None,
        exclude=tuple(item_id for row in above for item_id in row.item_ids),
        device=device_of(request),
        only_sources=only,
    )
    return recommended(catalog, query, key=key, title=title, reasons=False)
