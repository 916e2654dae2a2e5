"""/api/v1/items: write, list, read, change and delete the items of a catalog."""

import logging
from datetime import UTC
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from kombu.exceptions import OperationalError as BrokerAway
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Catalog, Item
from catalog.words import index_words
from recsite.api.cursors import read_cursor, read_id, write_cursor
from recsite.api.keys import catalog_of
from recsite.api.parsing import StrictSerializer, read_body, read_query
from recsite.api.schema import PROBLEMS
from training import tasks

MOST_ITEMS = 5000  # in one batch
PAGE = 100  # items in one page of a list, unless told otherwise
FIELDS = (
    "title",
    "body",
    "category",
    "attributes",
    "price",
    "image",
    "published_at",
    "available",
)

logger = logging.getLogger(__name__)


class ItemFields(StrictSerializer):
    """What an item says about itself; all of it may be changed."""

    title = serializers.CharField(max_length=1000)
    body = serializers.CharField(max_length=100_000, allow_blank=True, default="")
    category = serializers.CharField(
        max_length=500, allow_blank=True, default="", help_text="A path, parts joined by ' > '."
    )
    attributes = serializers.DictField(default=dict)
    price = serializers.DecimalField(
        max_digits=12, decimal_places=2, min_value=0, allow_null=True, default=None
    )
    image = serializers.CharField(max_length=2000, allow_blank=True, default="")
    published_at = serializers.DateTimeField(
        allow_null=True, default=None, default_timezone=UTC, help_text="Without a zone: UTC."
    )
    available = serializers.BooleanField(default=True)


class ItemRow(ItemFields):
    """An item with its id, as it is written."""

    item_id = serializers.CharField(max_length=200, help_text="The id in your own system.")


class ItemView(ItemRow):
    """An item, as it is read."""

    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class ItemBatch(StrictSerializer):
    """Items to write; each is written as a whole."""

    catalog = serializers.SlugField(required=False)
    items: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=ItemRow(), max_length=MOST_ITEMS, allow_empty=False
    )

    def validate_items(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Refuse a batch that says two things about one item."""
        seen: set[str] = set()
        faults: dict[str, Any] = {}
        for index, row in enumerate(rows):
            if row["item_id"] in seen:
                faults[str(index)] = {"item_id": ["Stands twice in this batch."]}
            seen.add(row["item_id"])
        if faults:
            raise serializers.ValidationError(faults)
        return rows


class ItemBatchResult(serializers.Serializer[Any]):
    """What became of a batch of items."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class ItemQuery(StrictSerializer):
    """Which page of the items."""

    catalog = serializers.SlugField(required=False)
    n = serializers.IntegerField(min_value=1, max_value=1000, default=PAGE)
    cursor = serializers.CharField(required=False, help_text="`next_cursor` of the page before.")
    category = serializers.CharField(required=False, help_text="This category and those below.")


class ItemPage(serializers.Serializer[Any]):
    """One page of items."""

    items = ItemView(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


class OneCatalog(StrictSerializer):
    """The catalog, for calls that need nothing else."""

    catalog = serializers.SlugField(required=False)


def item_view(item: Item) -> dict[str, Any]:
    """An item, as the API shows it."""
    shown: dict[str, Any] = {"item_id": item.external_id}
    shown |= {field: getattr(item, field) for field in FIELDS}
    shown["price"] = None if item.price is None else str(item.price)
    shown |= {"created_at": item.created_at, "updated_at": item.updated_at}
    return shown


@extend_schema(
    methods=["GET"],
    operation_id="items_list",
    tags=["items"],
    summary="List items",
    parameters=[ItemQuery],
    responses={200: ItemPage, **PROBLEMS},
)
@extend_schema(
    methods=["POST"],
    operation_id="items_write",
    tags=["items"],
    summary="Write items",
    description=f"Up to {MOST_ITEMS:,} items. An item that is there is overwritten as a whole: a "
    "field that is left out gets its default. All of the batch is written, or none of it.",
    request=ItemBatch,
    responses={200: ItemBatchResult, **PROBLEMS},
)
@api_view(["GET", "POST"])
def items(request: Request) -> Response:
    """The items of a catalog."""
    return _write(request) if request.method == "POST" else _list(request)


def _list(request: Request) -> Response:
    """A page of items in a fixed order, so that nothing is skipped while others write."""
    wanted = read_query(ItemQuery, request)
    found = Item.objects.filter(catalog=catalog_of(request, wanted.get("catalog", "")))
    if category := wanted.get("category"):
        found = found.in_category(category)
    if cursor := wanted.get("cursor"):
        found = found.filter(pk__gt=read_cursor(cursor, _last_id))
    rows = list(found.order_by("pk").defer("search", "words")[: wanted["n"] + 1])
    page, has_more = rows[: wanted["n"]], len(rows) > wanted["n"]
    return Response(
        {
            "items": [item_view(item) for item in page],
            "next_cursor": write_cursor("after", page[-1].pk) if has_more else None,
            "has_more": has_more,
        }
    )


def _last_id(parts: list[str]) -> int:
    """Database id of the last item of the page before. Errors: ValueError."""
    word, number = parts
    if word != "after":
        raise ValueError("a cursor of another list")
    return read_id(number)


def _write(request: Request) -> Response:
    """Create or overwrite a batch of items."""
    body = read_body(ItemBatch, request)
    catalog = catalog_of(request, body.get("catalog", ""))
    return Response(write_items(catalog, body["items"]))


def write_items(catalog: Catalog, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Create the items that are new, overwrite those that differ; all or nothing."""
    with transaction.atomic():
        found = Item.objects.select_for_update().filter(
            catalog=catalog, external_id__in=[row["item_id"] for row in rows]
        )
        stored = {item.external_id: item for item in found.defer("search", "words")}
        new = [_item(catalog, row) for row in rows if row["item_id"] not in stored]
        changed = [
            item
            for row in rows
            if (item := stored.get(row["item_id"])) is not None and _apply(item, row)
        ]
        Item.objects.bulk_create(
            new,
            batch_size=1000,
            update_conflicts=True,  # somebody else may have added one meanwhile
            unique_fields=["catalog", "external_id"],
            update_fields=[*FIELDS, "updated_at"],
        )
        for item in changed:
            item.updated_at = timezone.now()
        Item.objects.bulk_update(changed, [*FIELDS, "updated_at"], batch_size=500)
        if new or changed:
            announce(catalog)
    unchanged = len(rows) - len(new) - len(changed)
    return {"created": len(new), "updated": len(changed), "unchanged": unchanged}


def _item(catalog: Catalog, row: dict[str, Any]) -> Item:
    return Item(
        catalog=catalog, external_id=row["item_id"], **{field: row[field] for field in FIELDS}
    )


def _apply(item: Item, values: dict[str, Any]) -> bool:
    """Set the fields that were sent; whether one of them differs from what was there."""
    differs = False
    for field in FIELDS:
        if field in values and getattr(item, field) != values[field]:
            setattr(item, field, values[field])
            differs = True
    return differs


def announce(catalog: Catalog) -> None:
    """Tell serving processes at commit that items changed, and wake a worker to encode them."""
    index_words(catalog)
    catalog.touch_items()
    transaction.on_commit(lambda: _wake_encoder(catalog.pk))


def _wake_encoder(catalog_id: int) -> None:
    """Ask a worker for the new vectors; without a broker its own schedule finds them later."""
    try:
        tasks.refresh_vectors.delay(catalog_id)
    except BrokerAway as error:
        logger.warning("broker away, vectors of catalog %s wait: %s", catalog_id, error)


@extend_schema(
    methods=["GET"],
    operation_id="items_read",
    tags=["items"],
    summary="Read an item",
    parameters=[OneCatalog],
    responses={200: ItemView, **PROBLEMS},
)
@extend_schema(
    methods=["PATCH"],
    operation_id="items_change",
    tags=["items"],
    summary="Change some fields of an item",
    parameters=[OneCatalog],
    request=ItemFields,
    responses={200: ItemView, **PROBLEMS},
)
@extend_schema(
    methods=["DELETE"],
    operation_id="items_delete",
    tags=["items"],
    summary="Delete an item and its interactions",
    description="To keep the history and only stop showing it, set `available` to false instead.",
    parameters=[OneCatalog],
    request=None,
    responses={204: OpenApiResponse(description="It is gone."), **PROBLEMS},
)
@api_view(["GET", "PATCH", "DELETE"])
def item(request: Request, item_id: str) -> Response:
    """One item."""
    catalog = catalog_of(request, read_query(OneCatalog, request).get("catalog", ""))
    if request.method == "PATCH":
        return Response(_change(request, catalog, item_id))
    found = find_item(catalog, item_id)
    if request.method == "DELETE":
        with transaction.atomic():
            found.delete()
            catalog.touch_items()
        return Response(status=status.HTTP_204_NO_CONTENT)
    return Response(item_view(found))


def _change(request: Request, catalog: Catalog, item_id: str) -> dict[str, Any]:
    """Set the fields that were sent."""
    values = read_body(ItemFields, request, partial=True)
    with transaction.atomic():
        found = find_item(catalog, item_id, for_update=True)
        if _apply(found, values):
            found.save()
            announce(catalog)
    return item_view(found)


def find_item(catalog: Catalog, item_id: str, *, for_update: bool = False) -> Item:
    """The item with this external id. Errors: NotFound (404)."""
    rows = Item.objects.select_for_update() if for_update else Item.objects.all()
    found = rows.filter(catalog=catalog, external_id=item_id).first()
    if found is None:
        raise NotFound(f"No item '{item_id}' in the catalog '{catalog.slug}'.")
    return found
