"""Addresses of the API."""

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from recsite.api import health, interactions, items, slates
from recsite.outage import problem


def not_there(request: HttpRequest, rest: str) -> HttpResponse:
    """An address of the API that leads nowhere, as a problem document."""
    return problem(404, "Not found", f"There is no /api/v1/{rest}; see /api/docs.")


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="api:docs"), name="home"),
    path("v1/recommendations", slates.recommendations, name="recommendations"),
    path("v1/search", slates.search, name="search"),
    path("v1/items", items.items, name="items"),
    path("v1/items/<path:item_id>", items.item, name="item"),
    path("v1/interactions", interactions.interactions, name="interactions"),
    path("v1/health", health.health, name="health"),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs",
        SpectacularSwaggerSplitView.as_view(
            url_name="api:schema", template_name="api/docs.html", title="Recsite API"
        ),
        name="docs",
    ),
    re_path(r"^v1/(?P<rest>.*)$", not_there),
]
