"""What every news page needs, and the page while the paper is being printed."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from catalog.models import Catalog, Follow, LoadState
from ranking.types import Query
from recsite import stories
from recsite.account import SiteRequest
from recsite.shelves import device_of
from recsite.stories import Shelf

SLUG = "news"


class Edition:
    """What every news page needs: the catalog, its sections, the person and what they said."""

    def __init__(self, request: SiteRequest, catalog: Catalog) -> None:
        self.request = request
        self.catalog = catalog
        self.person = request.person
        self.sections = stories.sections_of(catalog)
        self.opinions = stories.opinions_of(catalog, self.person)
        self.followed = (
            set(
                Follow.objects.filter(user=self.person, catalog=catalog).values_list(
                    "category", flat=True
                )
            )
            if self.person.pk
            else set()
        )

    def query(self, surface: str, size: int, **wanted: Any) -> Query:
        """A request to the ranking in this person's name; what they hid never comes back."""
        exclude = {*wanted.pop("exclude", ()), *self.opinions.hidden}
        return Query(
            catalog_slug=self.catalog.slug,
            user_id=self.person.pk,
            surface=surface,
            size=size,
            exclude=tuple(exclude),
            device=device_of(self.request),
            **wanted,
        )

    def recommended(self, surface: str, size: int, **wanted: Any) -> Shelf:
        """A shelf that the ranking filled."""
        return stories.recommended(self.query(surface, size, **wanted), self.opinions)

    def render(self, template: str, **context: Any) -> HttpResponse:
        """A news page."""
        frame = {
            "catalog": self.catalog,
            "sections": self.sections,
            "followed": self.followed,
            "today": timezone.now(),
        }
        return render(self.request, template, frame | context)


def edition_of(request: SiteRequest) -> Edition | None:
    """The paper, or None while it holds no article."""
    catalog = Catalog.objects.ready().filter(slug=SLUG).first()
    return Edition(request, catalog) if catalog else None


def not_printed_yet(request: SiteRequest) -> HttpResponse:
    """The page while the articles load."""
    loads = LoadState.objects.filter(catalog__slug=SLUG, finished_at__isnull=True)
    response = render(request, "news/loading.html", {"loads": loads}, status=503)
    response["Retry-After"] = response["Refresh"] = "5"  # seconds; browsers look again themselves
    return response
