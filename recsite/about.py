"""The front door and the page about the data."""

from dataclasses import dataclass

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_GET

from catalog.models import Catalog, Item, LoadState
from training.models import TrainingRun


@dataclass(frozen=True)
class CatalogState:
    """One catalog on the front door: what it holds, where it is shown, what still loads."""

    catalog: Catalog
    items: int
    url: str  # '' = no pages of its own: the API serves it
    loading: list[LoadState]
    trains: bool  # a model of it is being made, or will be as soon as a worker is free


def _pages_of(catalog: Catalog) -> str:
    """Where this catalog is shown: the demos' slugs are the names of their sites."""
    try:
        return reverse(f"{catalog.slug}:home")
    except NoReverseMatch:
        return ""


def catalog_states() -> list[CatalogState]:
    """Every catalog, with its number of available items, and what of it is on its way."""
    counted = Item.objects.filter(available=True).values("catalog").annotate(n=Count("pk"))
    items = dict(counted.order_by().values_list("catalog", "n"))
    loads: dict[int, list[LoadState]] = {}
    for load in LoadState.objects.filter(finished_at__isnull=True).order_by("pk"):
        loads.setdefault(load.catalog_id, []).append(load)
    training = set(TrainingRun.objects.trainings().going_on().values_list("catalog", flat=True))
    return [
        CatalogState(
            catalog,
            items.get(catalog.pk, 0),
            _pages_of(catalog),
            loads.get(catalog.pk, []),
            catalog.pk in training,
        )
        for catalog in Catalog.objects.order_by("pk")
    ]


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What this is, where to go, and what is still loading."""
    return render(request, "home.html", {"states": catalog_states()})


@require_GET
def about(request: HttpRequest) -> HttpResponse:
    """Where the data comes from, its licences, and what is simulated."""
    return render(request, "about.html", {"catalogs": Catalog.objects.order_by("pk")})
