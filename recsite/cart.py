"""The cart: what a visitor is about to buy, kept in the session; and the checkout.

Whoever looks through a demo person's eyes has a cart of that person's besides their own.
"""

import uuid
from dataclasses import dataclass
from decimal import Decimal

from catalog.events import Event, log_interactions
from catalog.models import Catalog, InteractionType, Item
from recsite import account
from recsite.account import SiteRequest
from recsite.shelves import with_catalog

CARTS = "carts"  # session key: cart of each pair of eyes → item id → quantity
LAST_ORDER = "last_order"  # session key: what the receipt shows
MOST_OF_ONE = 99
MOST_LINES = 200
ORDER_NAMESPACE = uuid.UUID("0d7c2b52-3f5e-5c1e-8a65-5e1d4b1f7a90")


@dataclass(frozen=True)
class Line:
    """One item in the cart."""

    item: Item
    quantity: int

    @property
    def total(self) -> Decimal:
        """Price times quantity."""
        return (self.item.price or Decimal(0)) * self.quantity


@dataclass(frozen=True)
class Cart:
    """Lines, newest last."""

    lines: list[Line]

    @property
    def total(self) -> Decimal:
        """What it all costs."""
        return sum((line.total for line in self.lines), Decimal(0))

    @property
    def count(self) -> int:
        """How many pieces."""
        return sum(line.quantity for line in self.lines)


def count(request: SiteRequest) -> int:
    """How many pieces are in the cart; asks the session only."""
    return sum(_quantities(request).values())


def read(request: SiteRequest, catalog: Catalog) -> Cart:
    """The cart; items that are gone or sold out since leave it, so that its count stays right."""
    quantities = _quantities(request)
    lines = _lines(catalog, quantities)
    if len(lines) < len(quantities):
        _store(request, {str(line.item.pk): line.quantity for line in lines})
    return Cart(lines)


def add(request: SiteRequest, item: Item, quantity: int) -> int:
    """Put some of an item in the cart; returns how many of it there are now.

    A full cart (`MOST_LINES`) takes no further item and answers 0.
    """
    quantities = _quantities(request)
    if str(item.pk) not in quantities and len(quantities) >= MOST_LINES:
        return 0
    now = min(quantities.get(str(item.pk), 0) + quantity, MOST_OF_ONE)
    _store(request, {**quantities, str(item.pk): now})
    return now


def set_quantity(request: SiteRequest, item_id: int, quantity: int) -> None:
    """Say how many of an item there shall be; none takes it out."""
    quantities = _quantities(request)
    if str(item_id) not in quantities:
        return
    if quantity > 0:
        quantities = {**quantities, str(item_id): min(quantity, MOST_OF_ONE)}
    else:
        quantities = {key: value for key, value in quantities.items() if key != str(item_id)}
    _store(request, quantities)


def check_out(request: SiteRequest, catalog: Catalog, order_id: uuid.UUID) -> Cart:
    """Record the cart as purchases and empty it; nothing is paid.

    The event ids follow from the order's id, so that an order that is sent twice is one order.
    """
    cart = read(request, catalog)
    if not cart.lines:
        return cart
    person = account.guest_for_write(request)
    purchases = [
        Event(
            user_id=person.pk,
            item_id=line.item.pk,
            type=InteractionType.PURCHASE,
            value=float(line.quantity),
            event_id=uuid.uuid5(ORDER_NAMESPACE, f"{order_id}/{line.item.pk}"),
        )
        for line in cart.lines
    ]
    log_interactions(catalog, purchases)
    quantities = {str(line.item.pk): line.quantity for line in cart.lines}
    request.session[LAST_ORDER] = {"id": str(order_id), "quantities": quantities}
    _store(request, {})
    return cart


def receipt(request: SiteRequest, catalog: Catalog, order_id: uuid.UUID) -> Cart | None:
    """What the last order of this session held, if that is the one asked for."""
    order = request.session.get(LAST_ORDER)
    if not order or order["id"] != str(order_id):
        return None
    return Cart(_lines(catalog, order["quantities"]))


def _lines(catalog: Catalog, quantities: dict[str, int]) -> list[Line]:
    ids = [int(key) for key in quantities]
    found = Item.objects.filter(catalog=catalog, available=True).in_slate_order(ids)
    return [Line(item, quantities[str(item.pk)]) for item in with_catalog(catalog, found)]


def _eyes(request: SiteRequest) -> str:
    """Whose cart it is: this visitor's own, or that of the demo person looked through."""
    return str(request.person.pk) if account.is_looking_through(request) else "own"


def _quantities(request: SiteRequest) -> dict[str, int]:
    quantities: dict[str, int] = request.session.get(CARTS, {}).get(_eyes(request), {})
    return quantities


def _store(request: SiteRequest, quantities: dict[str, int]) -> None:
    request.session[CARTS] = {**request.session.get(CARTS, {}), _eyes(request): quantities}
