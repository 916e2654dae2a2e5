"""The pages of the shop's cart and checkout. Nothing is paid: a demo records the purchase."""

import uuid

from django.contrib import messages
from django.forms import Form, IntegerField, UUIDField
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from catalog.events import Event, log_interactions
from catalog.models import InteractionType, Item
from recsite import account, cart
from recsite.account import SiteRequest
from recsite.shopfront import for_you, shop_catalog, shop_page


class AddForm(Form):
    """One press of "add"; where from, if it was on a slate."""

    item = IntegerField(min_value=1, max_value=2**63 - 1)
    quantity = IntegerField(min_value=1, max_value=cart.MOST_OF_ONE, required=False)
    event_id = UUIDField(required=False)
    slate = UUIDField(required=False)
    position = IntegerField(min_value=0, max_value=999, required=False)


class QuantityForm(Form):
    """How many of an item there shall be."""

    item = IntegerField(min_value=1, max_value=2**63 - 1)
    quantity = IntegerField(min_value=0, max_value=cart.MOST_OF_ONE)


@never_cache
@require_GET
def cart_page(request: SiteRequest) -> HttpResponse:
    """What is in the cart."""
    catalog = shop_catalog()
    context = {"cart": cart.read(request, catalog), "order_id": uuid.uuid4()}
    return shop_page(request, "shop/cart.html", catalog, context)


@require_POST
def cart_add(request: SiteRequest) -> HttpResponse:
    """Put something in the cart, and log that."""
    form = AddForm(request.POST)
    if not form.is_valid():
        raise Http404("No such product.")
    catalog = shop_catalog()
    item = get_object_or_404(Item, pk=form.cleaned_data["item"], catalog=catalog, available=True)
    person = account.guest_for_write(request)
    added = cart.add(request, item, form.cleaned_data["quantity"] or 1)
    if added:
        log_interactions(catalog, [add_event(person.pk, item, form)])
        messages.success(request, _("%(title)s is in your cart.") % {"title": item.title})
    else:
        messages.error(request, _("Your cart is full: take something out first."))
    if request.htmx:
        context = {"cart_count": cart.count(request), "oob": True}
        headers = {"HX-Trigger": "cart-changed"}
        return HttpResponse(
            render(request, "shop/_cart_answer.html", context).content, headers=headers
        )
    return redirect(account.next_url(request, "shop:cart"))


def add_event(user_id: int, item: Item, form: AddForm) -> Event:
    """The interaction behind one press of "add"."""
    return Event(
        user_id=user_id,
        item_id=item.pk,
        type=InteractionType.ADD,
        value=float(form.cleaned_data["quantity"] or 1),
        event_id=form.cleaned_data["event_id"],
        slate_id=form.cleaned_data["slate"],
        position=form.cleaned_data["position"],
    )


@require_POST
def cart_update(request: SiteRequest) -> HttpResponse:
    """Change a quantity, or take something out."""
    form = QuantityForm(request.POST)
    if form.is_valid():
        cart.set_quantity(request, form.cleaned_data["item"], form.cleaned_data["quantity"])
    else:
        wanted = _("A quantity is a number from 0 to %(most)s.") % {"most": cart.MOST_OF_ONE}
        messages.error(request, wanted)
    return redirect("shop:cart")


@require_POST
def checkout(request: SiteRequest) -> HttpResponse:
    """Record the purchase; nothing is paid in a demo."""
    try:
        order_id = uuid.UUID(request.POST.get("order_id", ""))
    except ValueError:
        return redirect("shop:cart")
    bought = cart.check_out(request, shop_catalog(), order_id)
    if not bought.lines and cart.receipt(request, shop_catalog(), order_id) is None:
        messages.error(request, _("Your cart is empty: there is nothing to check out."))
        return redirect("shop:cart")
    return redirect("shop:receipt", order_id)


@never_cache
@require_GET
def receipt(request: SiteRequest, order_id: uuid.UUID) -> HttpResponse:
    """What was bought, and what the shop now thinks comes next."""
    catalog = shop_catalog()
    order = cart.receipt(request, catalog, order_id)
    if order is None:
        raise Http404("No such order of yours.")
    context = {"order": order, "shelf": for_you(request, catalog)}
    return shop_page(request, "shop/receipt.html", catalog, context)


urlpatterns = [
    path("cart/", cart_page, name="cart"),
    path("cart/add/", cart_add, name="cart-add"),
    path("cart/update/", cart_update, name="cart-update"),
    path("checkout/", checkout, name="checkout"),
    path("orders/<uuid:order_id>/", receipt, name="receipt"),
]
