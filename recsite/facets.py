"""Facets of a category page: what can be narrowed, how many items each choice leaves, the order.

The whole state stands in the address, so that a page can be kept, shared and gone back to.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

from django.db.models import Count, FilteredRelation, Q
from django.db.models.fields.json import KT
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models import ItemQuerySet

PRICES: dict[str, tuple[str, Decimal | None, Decimal | None]] = {
    # address → label, from (included), to (excluded)
    "0-1": (gettext_noop("Under $1"), None, Decimal(1)),
    "1-2": (gettext_noop("$1 to $2"), Decimal(1), Decimal(2)),
    "2-5": (gettext_noop("$2 to $5"), Decimal(2), Decimal(5)),
    "5-10": (gettext_noop("$5 to $10"), Decimal(5), Decimal(10)),
    "10-": (gettext_noop("$10 and more"), Decimal(10), None),
}
SORTS = {
    "popular": gettext_noop("Most bought"),
    "price": gettext_noop("Price, lowest first"),
    "-price": gettext_noop("Price, highest first"),
    "title": gettext_noop("Name"),
}
POPULAR_DAYS = 56  # days of interactions that "most bought" looks at
MOST_SIZES = 14  # sizes on offer; the chosen ones always are


@dataclass(frozen=True)
class Choice:
    """One line of a facet."""

    value: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class Facet:
    """One thing to narrow by."""

    name: str  # of the address's parameter
    title: str
    choices: list[Choice]


@dataclass(frozen=True)
class Narrowing:
    """What the address asks for; anything it doesn't know is left out."""

    brands: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    sort: str = "popular"
    chosen: tuple[tuple[str, str], ...] = field(default=())  # (parameter, value) of all the above

    @classmethod
    def from_address(cls, parameters: QueryDict) -> "Narrowing":
        """Read the parameters brand, size, price (each may repeat) and sort."""
        brands = _clean(parameters.getlist("brand"))
        sizes = _clean(parameters.getlist("size"))
        prices = tuple(price for price in _clean(parameters.getlist("price")) if price in PRICES)
        sort = parameters.get("sort", "popular")
        chosen = [("brand", brand) for brand in brands]
        chosen += [("size", size) for size in sizes]
        chosen += [("price", price) for price in prices]
        return cls(brands, sizes, prices, sort if sort in SORTS else "popular", tuple(chosen))

    def address(self, without: tuple[str, str] | None = None) -> str:
        """The parameters again, but for one; empty or ending in '&'."""
        pairs = [pair for pair in self.chosen if pair != without]
        if self.sort != "popular":
            pairs.append(("sort", self.sort))
        return f"{urlencode(pairs)}&" if pairs else ""

    def filters(self, leave_out: str = "") -> Q:
        """The conditions of every facet but one."""
        conditions = Q()
        if self.brands and leave_out != "brand":
            conditions &= Q(brand__in=self.brands)
        if self.sizes and leave_out != "size":
            conditions &= Q(size__in=self.sizes)
        if self.prices and leave_out != "price":
            within = Q()
            for price in self.prices:
                within |= price_range(price)
            conditions &= within
        return conditions


def price_range(name: str) -> Q:
    """The condition of one price range."""
    lowest, limit = PRICES[name][1:]
    condition = Q(price__isnull=False)
    if lowest is not None:
        condition &= Q(price__gte=lowest)
    if limit is not None:
        condition &= Q(price__lt=limit)
    return condition


def label(name: str, value: str) -> str:
    """A choice as it stands on the page."""
    return _(PRICES[value][0]) if name == "price" else value


def with_facets(items: ItemQuerySet) -> ItemQuerySet:
    """Items with the attributes that facets narrow by."""
    return items.annotate(brand=KT("attributes__brand"), size=KT("attributes__size"))


def facets(items: ItemQuerySet, narrowing: Narrowing) -> list[Facet]:
    """The facets with their counts, three queries; each counts under the choices of the others."""
    return [
        _by_attribute(items, narrowing, "brand", _("Brand"), narrowing.brands, 12),
        _by_price(items, narrowing),
        _by_attribute(items, narrowing, "size", _("Size"), narrowing.sizes, MOST_SIZES),
    ]


def ordered(items: ItemQuerySet, sort: str) -> ItemQuerySet:
    """Items in the asked order; ties by name, then id, so that pages never overlap."""
    if sort == "price":
        return items.order_by("price", "title", "pk")
    if sort == "-price":
        return items.order_by("-price", "title", "pk")
    if sort == "title":
        return items.order_by("title", "pk")
    since = timezone.now() - timedelta(days=POPULAR_DAYS)
    recent = FilteredRelation(
        "interactions",
        condition=Q(interactions__timestamp__gte=since, interactions__type="purchase"),
    )
    counted = items.annotate(recent=recent).annotate(bought=Count("recent"))
    return counted.order_by("-bought", "title", "pk")


def _by_attribute(
    items: ItemQuerySet,
    narrowing: Narrowing,
    name: str,
    title: str,
    chosen: tuple[str, ...],
    most: int,
) -> Facet:
    """A facet over the values of one attribute, most items first."""
    counts = dict(
        items.filter(narrowing.filters(leave_out=name), **{f"{name}__gt": ""})
        .values_list(name)
        .annotate(items=Count("pk"))
        .order_by("-items", name)
    )
    values = list(counts)[:most]
    values += [value for value in chosen if value not in values]
    return Facet(
        name,
        title,
        [Choice(value, value, counts.get(value, 0), value in chosen) for value in values],
    )


def _by_price(items: ItemQuerySet, narrowing: Narrowing) -> Facet:
    """The facet over price ranges."""
    counted = {
        f"range_{index}": Count("pk", filter=price_range(name)) for index, name in enumerate(PRICES)
    }
    counts = items.filter(narrowing.filters(leave_out="price")).aggregate(**counted)
    choices = [
        Choice(name, label("price", name), counts[f"range_{index}"], name in narrowing.prices)
        for index, name in enumerate(PRICES)
    ]
    left = [choice for choice in choices if choice.count or choice.chosen]
    return Facet("price", _("Price"), left)


def _clean(values: list[str]) -> tuple[str, ...]:
    """Each value once, in order; a NUL never reaches the database, nor a thousand choices."""
    return tuple(dict.fromkeys(value for value in values if value and "\x00" not in value))[:20]
