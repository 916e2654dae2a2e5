"""① The demo shop: shelves, aisles, products, search."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from catalog.models import Catalog, Interaction, InteractionType, Item
from ranking.types import Query
from recsite import facets, facts, feedback, shop_cart, shop_people, suggestions
from recsite.account import SiteRequest
from recsite.aisles import aisles_of
from recsite.shelves import Card, Shelf, device_of, recommended, with_catalog
from recsite.shopfront import (
    SHELF_SIZE,
    SLUG,
    doors,
    for_you,
    not_open_yet,
    shelf,
    shop_catalog,
    shop_page,
)

PAGE_SIZE = 40  # items
MOST_FOUND = 8 * 24  # a search shows no more; further down nobody looks
FOUND_PAGE = 24
LONGEST_QUERY = 200  # characters
ALIKE = ("similar", "covisit")  # sources that start from one item


@never_cache
@require_GET
def home(request: SiteRequest) -> HttpResponse:
    """Shelves for this person."""
    catalog = Catalog.objects.filter(slug=SLUG).first()
    if catalog is None or not aisles_of(catalog).departments:
        return not_open_yet(request)
    shelves = [for_you(request, catalog)]
    shelves += because_shelves(request, catalog, shelves)
    staples = shelf(request, catalog, "staples", _("Your staples"), shelves, only=("staples",))
    shelves.append(staples)
    popular = shelf(request, catalog, "popular", _("Popular now"), shelves, only=("popular",))
    shelves.append(popular)
    context = {
        "shelves": [row for row in shelves if row.cards],
        "doors": doors(aisles_of(catalog)),
    }
    return shop_page(request, "shop/home.html", catalog, context)


def because_shelves(request: SiteRequest, catalog: Catalog, above: list[Shelf]) -> list[Shelf]:
    """Because you looked at …, for somebody who has looked at something; else nothing."""
    if request.person.pk is None:
        return []
    looked = [InteractionType.VIEW, InteractionType.CLICK, InteractionType.ADD]
    last = (
        Interaction.objects.history_of(request.person.pk, catalog.pk)
        .counted()
        .filter(type__in=looked)
        .with_items()
        .first()
    )
    if last is None:
        return []
    title = _("Because you looked at %(title)s") % {"title": last.item.title}
    return [shelf(request, catalog, "because", title, above, anchor=last.item, only=ALIKE)]


@never_cache
@require_GET
def for_you_fragment(request: SiteRequest) -> HttpResponse:
    """The "for you" shelf alone, for htmx after the cart has changed."""
    catalog = shop_catalog()
    if not request.htmx:
        return redirect("shop:home")
    return render(request, "_slate.html", {"shelf": for_you(request, catalog), "catalog": catalog})


@never_cache
@require_GET
def aisle(request: SiteRequest, slug: str) -> HttpResponse:
    """A department or category, with facets."""
    catalog = shop_catalog()
    here = aisles_of(catalog).by_slug.get(slug)
    if here is None:
        raise Http404("No such aisle.")
    narrowing = facets.Narrowing.from_address(request.GET)
    inside = Item.objects.filter(catalog=catalog, available=True).in_category(here.path)
    items = facets.with_facets(inside)
    matching = items.filter(narrowing.filters())
    in_order = facets.ordered(matching, narrowing.sort).with_offers(timezone.now())
    page = page_of(request, in_order.defer("body", "search", "words"), matching.count())
    picked = None
    if page.number == 1 and not narrowing.chosen:
        query = Query(
            catalog.slug,
            request.person.pk,
            surface="shop-category",
            size=SHELF_SIZE // 2,
            category=here.path,
            device=device_of(request),
        )
        title = _("Picked for you in %(aisle)s") % {"aisle": here.name}
        picked = recommended(catalog, query, key="picked", title=title)
    context = {
        "aisle": here,
        "picked": picked,
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "cards": [Card(item, None) for item in with_catalog(catalog, list(page.object_list))],
        "facets": facets.facets(items, narrowing),
        "narrowing": narrowing,
        "removals": [
            (facets.label(name, value), narrowing.address((name, value)))
            for name, value in narrowing.chosen
        ],
        "sorts": facets.SORTS,
        "query": narrowing.address(),
    }
    return shop_page(request, "shop/aisle.html", catalog, context)


class CountedPaginator(Paginator[Item]):
    """Pages of a list whose length is known, so that no join is made only to count."""

    def __init__(self, items: QuerySet[Item], per_page: int, count: int) -> None:
        super().__init__(items, per_page)
        self.count = count


def page_of(request: HttpRequest, items: QuerySet[Item], count: int) -> Any:
    """The page that the address asks for; a number that is nonsense leads to the nearest page."""
    return CountedPaginator(items, PAGE_SIZE, count).get_page(request.GET.get("page"))


@never_cache
@require_GET
def product(request: SiteRequest, item_id: int) -> HttpResponse:
    """One product, and what goes with it."""
    items = Item.objects.with_offers(timezone.now()).select_related("catalog")
    item = get_object_or_404(items, pk=item_id, catalog__slug=SLUG)
    catalog = item.catalog
    was_click = feedback.log_click(request, item)
    together = shelf(
        request, catalog, "together", _("Often bought together"), [], anchor=item, only=("covisit",)
    )
    similar = shelf(
        request,
        catalog,
        "similar",
        _("Similar products"),
        [together],
        anchor=item,
        only=("similar",),
    )
    aisles = aisles_of(catalog)
    context = {
        "item": item,
        "aisle": aisles.by_path.get(item.category),
        "facts": facts_of(item),
        "was_click": was_click,
        "shelves": [row for row in (together, similar) if row.cards],
    }
    return shop_page(request, "shop/product.html", catalog, context)


def facts_of(item: Item) -> list[tuple[str, str]]:
    """What the data says about a product, in words for a table."""
    return [*facts.of(item.attributes), (_("Article number"), item.external_id)]


@never_cache
@require_GET
def search(request: SiteRequest) -> HttpResponse:
    """What the words find, ordered for this person."""
    catalog = shop_catalog()
    text = query_text(request)
    if not text:
        return shop_page(request, "shop/search.html", catalog, {"text": ""})
    number = request.GET.get("page", "1")[:9]  # more digits than that are no page either
    last = MOST_FOUND // FOUND_PAGE
    page = min(int(number), last) if number.isdecimal() and int(number) > 0 else 1
    query = Query(
        catalog.slug,
        request.person.pk,
        surface="shop-search",
        size=page * FOUND_PAGE,
        text=text,
        device=device_of(request),
    )
    found = recommended(
        catalog, query, key="found", title=_("“%(text)s”") % {"text": text}, reasons=False
    )
    context = {
        "text": text,
        "found": found,
        "cards": found.cards[(page - 1) * FOUND_PAGE :],
        "number": page,
        "has_next": page < last and found.total > page * FOUND_PAGE,
        "is_being_read": not found.cards and catalog.items.filter(vectors=None).exists(),
    }
    return shop_page(request, "shop/search.html", catalog, context)


def query_text(request: HttpRequest) -> str:
    """What was typed, in one line and of a sane length."""
    return " ".join(request.GET.get("q", "").replace("\x00", " ").split())[:LONGEST_QUERY]


@never_cache
@require_GET
def suggest(request: SiteRequest) -> HttpResponse:
    """What the search box offers while somebody types; a fragment for htmx."""
    text = query_text(request)
    catalog = shop_catalog()
    aisles, items = suggestions.suggest(catalog, text)
    context = {"text": text, "aisles": aisles, "items": items}
    return render(request, "shop/_suggestions.html", context)


urlpatterns = [
    path("", home, name="home"),
    path("for-you/", for_you_fragment, name="for-you"),
    path("aisles/<path:slug>/", aisle, name="aisle"),
    path("products/<int:item_id>/", product, name="product"),
    path("search/", search, name="search"),
    path("search/suggest/", suggest, name="suggest"),
    *shop_cart.urlpatterns,
    *shop_people.urlpatterns,
]
