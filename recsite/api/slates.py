"""/api/v1/recommendations and /api/v1/search: slates for a program."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Catalog, Item
from ranking import pipeline
from ranking.types import Query, Slate
from recsite.api.interactions import find_user
from recsite.api.items import ItemView, find_item, item_view
from recsite.api.keys import catalog_of
from recsite.api.parsing import FilterField, StrictSerializer, read_query
from recsite.api.schema import PROBLEMS

MOST_IN_A_SLATE = 100
MOST_FOUND = 500  # offset + n of a search


class RecommendationQuery(StrictSerializer):
    """Who asks for what."""

    catalog = serializers.SlugField(required=False)
    user_id = serializers.CharField(
        required=False, help_text="Whose history counts; leave it out for somebody new."
    )
    item_id = serializers.CharField(required=False, help_text="Items that go with this one.")
    n = serializers.IntegerField(min_value=1, max_value=MOST_IN_A_SLATE, default=10)
    category = serializers.CharField(required=False, help_text="This category and those below.")
    filter = FilterField(required=False)
    exclude = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        max_length=1000,
        help_text="Items that must not come back; repeat the parameter.",
    )
    surface = serializers.SlugField(
        max_length=32, default="api", help_text="Where it will be shown; it is logged."
    )
    device = serializers.SlugField(max_length=32, required=False, help_text="phone, desktop …")
    expand = serializers.ChoiceField(
        choices=["item"], required=False, help_text="`item`: each entry holds its item as well."
    )


class SearchQuery(StrictSerializer):
    """What is searched, and by whom."""

    catalog = serializers.SlugField(required=False)
    q = serializers.CharField(max_length=500, help_text="The text that was typed.")
    user_id = serializers.CharField(required=False, help_text="Whose history counts.")
    n = serializers.IntegerField(min_value=1, max_value=MOST_IN_A_SLATE, default=20)
    offset = serializers.IntegerField(min_value=0, default=0, help_text="How many to skip.")
    category = serializers.CharField(required=False, help_text="This category and those below.")
    filter = FilterField(required=False)
    device = serializers.SlugField(max_length=32, required=False, help_text="phone, desktop …")
    expand = serializers.ChoiceField(choices=["item"], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse to page deeper than a search looks."""
        if attrs["offset"] + attrs["n"] > MOST_FOUND:
            reason = f"offset + n may be {MOST_FOUND} at most."
            raise serializers.ValidationError({"offset": [reason]})
        return attrs


class SlateEntry(serializers.Serializer[Any]):
    """One item of a slate, and why it is there."""

    item_id = serializers.CharField()
    position = serializers.IntegerField(help_text="In the slate, 0 = first.")
    score = serializers.FloatField()
    propensity = serializers.FloatField(help_text="Probability that it stood here.")
    sources = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField(help_text="A sentence for the reader.")
    item = ItemView(required=False)


class SlateView(serializers.Serializer[Any]):
    """A slate. Send its id and an entry's position along with the interactions it leads to."""

    slate_id = serializers.UUIDField()
    catalog = serializers.SlugField()
    bundle_id = serializers.CharField(
        allow_null=True, help_text="Which model answered; null: none is trained yet."
    )
    items = SlateEntry(many=True)


class SearchView(SlateView):
    """What a search found."""

    total = serializers.IntegerField(help_text="How many items match.")
    next_offset = serializers.IntegerField(allow_null=True)


@extend_schema(
    operation_id="recommendations",
    tags=["recommendations"],
    summary="Recommend items",
    parameters=[RecommendationQuery],
    responses={200: SlateView, **PROBLEMS},
)
@api_view(["GET"])
def recommendations(request: Request) -> Response:
    """A slate for a person, for an item, or for somebody new."""
    wanted = read_query(RecommendationQuery, request)
    catalog = catalog_of(request, wanted.get("catalog", ""))
    query = Query(
        catalog_slug=catalog.slug,
        user_id=find_user(wanted["user_id"]) if "user_id" in wanted else None,
        surface=wanted["surface"],
        size=wanted["n"],
        anchor_item_id=find_item(catalog, wanted["item_id"]).pk if "item_id" in wanted else None,
        category=wanted.get("category", ""),
        filter=wanted.get("filter"),
        exclude=_exclude(catalog, wanted.get("exclude", [])),
        device=wanted.get("device", ""),
    )
    slate = pipeline.recommend(query)
    return Response(_view(catalog, slate, expand="expand" in wanted))


@extend_schema(
    operation_id="search",
    tags=["search"],
    summary="Search items",
    parameters=[SearchQuery],
    responses={200: SearchView, **PROBLEMS},
)
@api_view(["GET"])
def search(request: Request) -> Response:
    """What a text finds, in the order that suits the person."""
    wanted = read_query(SearchQuery, request)
    catalog = catalog_of(request, wanted.get("catalog", ""))
    end = wanted["offset"] + wanted["n"]
    query = Query(
        catalog_slug=catalog.slug,
        user_id=find_user(wanted["user_id"]) if "user_id" in wanted else None,
        surface="api",
        size=end,
        text=wanted["q"],
        category=wanted.get("category", ""),
        filter=wanted.get("filter"),
        device=wanted.get("device", ""),
    )
    slate = pipeline.search(query)
    found = _view(catalog, slate, start=wanted["offset"], expand="expand" in wanted)
    has_more = len(slate.items) == end and slate.total > end and end < MOST_FOUND
    return Response(found | {"total": slate.total, "next_offset": end if has_more else None})


def _exclude(catalog: Catalog, item_ids: list[str]) -> tuple[int, ...]:
    """Database ids of the items that must not come back; unknown ones cannot come back anyway."""
    if not item_ids:
        return ()
    found = Item.objects.filter(catalog=catalog, external_id__in=item_ids)
    return tuple(found.values_list("pk", flat=True))


def _view(catalog: Catalog, slate: Slate, *, start: int = 0, expand: bool) -> dict[str, Any]:
    """A slate from `start` on, with external ids; items deleted meanwhile are left out."""
    shown = slate.items[start:]
    rows = Item.objects.filter(pk__in=[entry.item_id for entry in shown])
    rows = rows.defer("search", "words") if expand else rows.only("external_id")
    stored = {row.pk: row for row in rows}
    entries: list[dict[str, Any]] = []
    for entry in shown:
        if (item := stored.get(entry.item_id)) is None:
            continue
        row = {
            "item_id": item.external_id,
            "position": entry.position,
            "score": entry.score,
            "propensity": entry.propensity,
            "sources": entry.sources,
            "reason": entry.reason,
        }
        entries.append(row | ({"item": item_view(item)} if expand else {}))
    return {
        "slate_id": slate.id,
        "catalog": catalog.slug,
        "bundle_id": slate.bundle_id or None,
        "items": entries,
    }
