"""Rules: pins, boosts, burials and exclusions of a catalog, in the filter grammar of the API."""

import json
from dataclasses import dataclass
from datetime import UTC

import numpy as np
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_POST

from catalog import rules
from catalog.errors import CatalogError
from catalog.item_filter import LONGEST, parse
from catalog.models import Catalog, Item, Role, Rule, SlateLog
from ranking.item_mask import mask
from ranking.serving import current
from recsite.dashboard.access import needs

EXAMPLES = 5  # titles of items that a filter means
NEWEST = 200  # slates that are looked through for names of surfaces


FIELDS = {  # of the form → how a fault names them
    "kind": gettext_noop("Kind"),
    "filter": gettext_noop("Filter"),
    "item": gettext_noop("Item"),
    "place": gettext_noop("Place"),
    "factor": gettext_noop("Factor"),
    "surface": gettext_noop("Surface"),
    "starts_at": gettext_noop("Starts at"),
    "ends_at": gettext_noop("Ends at"),
    "note": gettext_noop("Note"),
}


class RuleForm(forms.Form):
    """A new rule; which fields count depends on its kind."""

    kind = forms.CharField()
    filter = forms.CharField(required=False, max_length=LONGEST)
    item = forms.CharField(required=False, max_length=200)
    place = forms.IntegerField(required=False)
    factor = forms.FloatField(required=False)
    surface = forms.CharField(required=False, max_length=32)
    starts_at = forms.DateTimeField(required=False)
    ends_at = forms.DateTimeField(required=False)
    note = forms.CharField(required=False, max_length=200)

    def save(self, catalog: Catalog) -> Rule:
        """Add it.

        Raises
        ------
        CatalogError
            What was written makes no sense.
        """
        if not self.is_valid():
            name = next(iter(self.errors))
            fault = {"field": _(FIELDS[name]), "fault": self.errors[name][0]}
            raise CatalogError(_("%(field)s: %(fault)s") % fault)
        told = self.cleaned_data
        is_pin = told["kind"] == Rule.Kind.PIN
        return rules.add_rule(
            catalog,
            told["kind"],
            filter_text="" if is_pin else told["filter"],
            item_id=told["item"] if is_pin else "",
            place=1 if told["place"] is None else told["place"],
            factor=told["factor"],
            surface=told["surface"],
            starts_at=told["starts_at"] and told["starts_at"].replace(tzinfo=UTC),
            ends_at=told["ends_at"] and told["ends_at"].replace(tzinfo=UTC),
            note=told["note"],
        )


@dataclass(frozen=True)
class Row:
    """One rule in the list."""

    rule: Rule
    state: str  # on, off, coming, over
    means: int | None  # items, where the rule is loaded


@needs(Role.VIEWER)
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """To the rules of the first catalog; without one, how to make it."""
    first = Catalog.objects.order_by("pk").first()
    if first is not None:
        return redirect("dashboard:rules", first.slug)
    return render(request, "dashboard/rules.html", {"tab": "rules", "part": "rules"})


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """The rules of a catalog."""
    return _page(request, get_object_or_404(Catalog, slug=slug))


@needs(Role.ADMIN)
@require_POST
def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a rule."""
    catalog = get_object_or_404(Catalog, slug=slug)
    try:
        rule = RuleForm(request.POST).save(catalog)
    except CatalogError as fault:
        return _page(request, catalog, str(fault))
    messages.success(request, _("Added: %(rule)s. It holds within seconds.") % {"rule": rule})
    return redirect("dashboard:rules", slug)


@needs(Role.VIEWER)
@require_GET
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """How many items a filter means, and some of them; or where it cannot be read."""
    catalog = get_object_or_404(Catalog, slug=slug)
    text = request.GET.get("filter", "")
    context: dict[str, object] = {"text": text.strip()}
    if text.strip():
        try:
            wanted = parse(text)
        except CatalogError as fault:
            context["fault"] = str(fault)
        else:
            items = current(catalog)[0].items
            rows = np.flatnonzero(mask(wanted, items, timezone.now().timestamp()))
            some = Item.objects.filter(pk__in=items.ids[rows[:EXAMPLES]].tolist())
            titles = list(some.order_by("pk").values_list("title", flat=True))
            context |= {"count": len(rows), "whole": len(items), "titles": titles}
    return render(request, "dashboard/_filter_check.html", context)


@needs(Role.ADMIN)
@require_POST
def switch(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Let a rule hold, or not for now."""
    rule = _find(rule_id)
    is_on = request.POST.get("on") == "yes"
    rules.switch_rule(rule, on=is_on)
    told = _("Switched on: %(rule)s.") if is_on else _("Switched off: %(rule)s.")
    messages.success(request, told % {"rule": rule})
    return redirect("dashboard:rules", rule.catalog.slug)


@needs(Role.ADMIN)
@require_POST
def remove(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Forget a rule."""
    rule = _find(rule_id)
    rules.remove_rule(rule)
    messages.success(request, _("Removed: %(rule)s.") % {"rule": rule})
    return redirect("dashboard:rules", rule.catalog.slug)


def _find(rule_id: int) -> Rule:
    return get_object_or_404(Rule.objects.select_related("catalog", "item"), pk=rule_id)


def _example(catalog: Catalog) -> str:
    """A filter that means some items of this very catalog, where they have categories."""
    categories = (
        catalog.items.exclude(category="").order_by("pk").values_list("category", flat=True)
    )
    first = categories.first()
    return f"category = {json.dumps(first, ensure_ascii=False)}" if first else "price < 5"


def _page(request: HttpRequest, catalog: Catalog, fault: str = "") -> HttpResponse:
    now = timezone.now()
    found = list(catalog.rules.select_related("item").order_by("pk"))
    loaded = current(catalog)[0].rules.loaded if found else ()
    means = {rule.id: int(rule.rows.sum()) for rule in loaded}
    newest = SlateLog.objects.filter(catalog=catalog).order_by("-created_at")
    context = {
        "tab": "rules",
        "part": "rules",
        "example": _example(catalog),
        "catalog": catalog,
        "catalogs": Catalog.objects.order_by("pk"),
        "rows": [Row(rule, rule.state_at(now), means.get(rule.pk)) for rule in found],
        "kinds": Rule.Kind.choices,
        "surfaces": sorted(set(newest.values_list("surface", flat=True)[:NEWEST])),
        "values": {"kind": "boost", "place": 1} | (request.POST.dict() if fault else {}),
        "fault": fault,
    }
    return render(request, "dashboard/rules.html", context, status=422 if fault else 200)
