"""The person behind the shop's pages: their history, and whose eyes a visitor looks through."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Max, Min, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpResponse, HttpResponseForbidden
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from catalog import privacy
from catalog.models import Catalog, Interaction, User
from recsite import account, facts
from recsite.account import SiteRequest
from recsite.shelves import with_catalog
from recsite.shopfront import SLUG, shop_catalog, shop_page

HISTORY_PAGE = 40  # interactions
PEOPLE_PAGE = 24
TASTES = 8  # aisles shown as somebody's taste
TYPE_WORDS = {
    "view": gettext_noop("looked at"),
    "click": gettext_noop("opened"),
    "add": gettext_noop("put in the cart"),
    "purchase": gettext_noop("bought"),
    "like": gettext_noop("liked"),
    "rate": gettext_noop("rated"),
    "hide": gettext_noop("wants less of"),
    "read": gettext_noop("read"),
}


@never_cache
@require_GET
def profile(request: SiteRequest) -> HttpResponse:
    """What the shop knows about this person, and the button that forgets it."""
    catalog = shop_catalog()
    history = Interaction.objects.none()
    if request.person.pk is not None:
        history = Interaction.objects.history_of(request.person.pk, catalog.pk)
    page = Paginator(history.with_items(), HISTORY_PAGE).get_page(request.GET.get("page"))
    rows = list(page.object_list)
    with_catalog(catalog, [row.item for row in rows])
    context = {
        **_known(history),
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "rows": [(row, _(TYPE_WORDS.get(row.type, row.type))) for row in rows],
        "facts": facts.of(request.person.attributes),
        "may_forget": not account.is_looking_through(request),
    }
    return shop_page(request, "shop/profile.html", catalog, context)


def _known(history: QuerySet[Interaction]) -> dict[str, Any]:
    """Counts by type, the span of time, and the aisles most bought from."""
    by_type = history.order_by().values_list("type").annotate(rows=Count("pk"))
    span = history.aggregate(first=Min("timestamp"), last=Max("timestamp"))
    tastes = (
        history.order_by()
        .exclude(type="hide")
        .exclude(item__category="")
        .values_list("item__category")
        .annotate(rows=Count("pk"))
        .order_by("-rows", "item__category")
    )
    return {
        "counts": [
            (_(TYPE_WORDS.get(kind, kind)), rows) for kind, rows in by_type.order_by("-rows")
        ],
        "span": span,
        "tastes": list(tastes[:TASTES]),
    }


@require_POST
def forget(request: SiteRequest) -> HttpResponse:
    """Erase what this shop knows about the person."""
    if account.is_looking_through(request):
        return HttpResponseForbidden(_("This is a demo person's history, not yours to erase."))
    gone = privacy.forget(request.person, shop_catalog()) if request.person.pk else {}
    count = gone.get("interactions", 0)
    forgotten = ngettext(
        "Forgotten: %(count)s thing that you did here.",
        "Forgotten: %(count)s things that you did here.",
        count,
    )
    messages.success(request, forgotten % {"count": count})
    return redirect("shop:profile")


@never_cache
@require_GET
def people(request: SiteRequest) -> HttpResponse:
    """Demo people to look through, searched by number or by what is known about them.

    Households come first; on the way back to the news, its simulated readers.
    """
    catalog = Catalog.objects.filter(slug=SLUG).first()
    next_url = account.next_url(request, "shop:home")
    readers_first = next_url.startswith(reverse("news:home"))
    text = " ".join(request.GET.get("q", "").replace("\x00", " ").split())[:100]
    found = account.demo_people()
    for word in text.split()[:6]:
        known = Cast("attributes", TextField())
        found = found.annotate(known=known).filter(
            Q(external_id__icontains=word) | Q(known__icontains=word)
        )
    found = found.order_by("-is_simulated" if readers_first else "is_simulated", "pk")
    page = Paginator(found, PEOPLE_PAGE).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    context = {
        "people_text": text,
        "people_query": f"{urlencode({'q': text, 'next': next_url})}&",
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "people": [
            (person, rows, facts.of(person.attributes)[:3]) for person, rows in _with_counts(shown)
        ],
        "next": next_url,
    }
    if catalog is None:
        return render(request, "shop/people.html", context)
    return shop_page(request, "shop/people.html", catalog, context)


def _with_counts(shown: list[User]) -> list[tuple[User, int]]:
    """Each person with the number of their interactions, in one query."""
    counts = dict(
        Interaction.objects.filter(user__in=shown)
        .order_by()
        .values_list("user_id")
        .annotate(rows=Count("pk"))
    )
    return [(person, counts.get(person.pk, 0)) for person in shown]


urlpatterns = [
    path("profile/", profile, name="profile"),
    path("profile/forget/", forget, name="forget"),
    path("people/", people, name="people"),
]
