"""/api/v1/interactions: log what people did, and read it back."""

import math
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import events, people
from catalog.models import Catalog, Interaction, Item
from recsite.api.cursors import read_cursor, read_id, write_cursor
from recsite.api.keys import catalog_of
from recsite.api.parsing import StrictSerializer, read_body, read_query
from recsite.api.schema import PROBLEMS

MOST_INTERACTIONS = 5000  # in one batch
NO_SUCH_ITEM = -1  # a database id that nothing has: events.py refuses the row and says why
PAGE = 100


class InteractionRow(StrictSerializer):
    """What one person did with one item."""

    user_id = serializers.CharField(
        max_length=200, help_text="The id in your own system; a new one is added."
    )
    item_id = serializers.CharField(max_length=200)
    type = serializers.CharField(
        max_length=40, help_text="One that the catalog counts: view, click, add, purchase …"
    )
    timestamp = serializers.DateTimeField(
        required=False, allow_null=True, default_timezone=UTC, help_text="Default: now."
    )
    value = serializers.FloatField(
        required=False, allow_null=True, help_text="Quantity, rating, or seconds of reading."
    )
    event_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="Makes sending the same row again harmless."
    )
    slate_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="The slate that it came from."
    )
    position = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=events.LAST_POSITION,
        help_text="In the slate, 0 = first.",
    )

    def validate_value(self, value: float | None) -> float | None:
        """Refuse what a text like 'nan' would smuggle in."""
        if value is not None and not math.isfinite(value):
            raise serializers.ValidationError("Not a finite number.")
        return value


class InteractionBatch(StrictSerializer):
    """Interactions to log."""

    catalog = serializers.SlugField(required=False)
    interactions: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=InteractionRow(), max_length=MOST_INTERACTIONS, allow_empty=False
    )


class RefusedRow(serializers.Serializer[Any]):
    """A row that was not stored, and why."""

    index = serializers.IntegerField(help_text="In the batch, 0 = first.")
    field = serializers.CharField()
    reason = serializers.CharField()


class InteractionBatchResult(serializers.Serializer[Any]):
    """What became of a batch; the three parts add up to its length."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField(help_text="Event ids that were stored before.")
    refused = RefusedRow(many=True)


class InteractionQuery(StrictSerializer):
    """Whose interactions, and which page of them."""

    catalog = serializers.SlugField(required=False)
    user_id = serializers.CharField()
    type = serializers.CharField(required=False)
    n = serializers.IntegerField(min_value=1, max_value=1000, default=PAGE)
    cursor = serializers.CharField(required=False, help_text="`next_cursor` of the page before.")


class InteractionPage(serializers.Serializer[Any]):
    """One page of a person's interactions, newest first."""

    interactions = InteractionRow(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


@extend_schema(
    methods=["GET"],
    operation_id="interactions_list",
    tags=["interactions"],
    summary="A person's interactions, newest first",
    parameters=[InteractionQuery],
    responses={200: InteractionPage, **PROBLEMS},
)
@extend_schema(
    methods=["POST"],
    operation_id="interactions_log",
    tags=["interactions"],
    summary="Log interactions",
    description=f"Up to {MOST_INTERACTIONS:,} rows. A malformed body is refused as a whole (422). "
    "In a well-formed one each row stands alone: unknown types and items and times in the future "
    "are refused with a reason, the other rows are stored.",
    request=InteractionBatch,
    responses={200: InteractionBatchResult, **PROBLEMS},
)
@api_view(["GET", "POST"])
def interactions(request: Request) -> Response:
    """The interactions of a catalog."""
    return _log(request) if request.method == "POST" else _list(request)


def _log(request: Request) -> Response:
    """Store a batch row by row."""
    body = read_body(InteractionBatch, request)
    catalog = catalog_of(request, body.get("catalog", ""))
    result = events.log_interactions(catalog, _events(catalog, body["interactions"]))
    refused = [
        {"index": row.index, "field": row.field, "reason": row.reason} for row in result.refused
    ]
    return Response(
        {"accepted": result.accepted, "duplicates": result.duplicates, "refused": refused}
    )


def _events(catalog: Catalog, rows: list[dict[str, Any]]) -> list[events.Event]:
    """Rows with external ids as events with database ids; people of good rows are added."""
    wanted = {row["item_id"] for row in rows}
    known = Item.objects.filter(catalog=catalog, external_id__in=wanted)
    item_ids = dict(known.values_list("external_id", "pk"))
    good = {row["user_id"] for row in rows if _is_storable(catalog, row, item_ids)}
    user_ids = people.users_by_external_id(good)
    return [
        events.Event(
            user_id=user_ids.get(row["user_id"], NO_SUCH_ITEM),
            item_id=item_ids.get(row["item_id"], NO_SUCH_ITEM),
            **{name: row[name] for name in row if name not in {"user_id", "item_id"}},
        )
        for row in rows
    ]


def _is_storable(catalog: Catalog, row: dict[str, Any], item_ids: dict[str, int]) -> bool:
    """Whether it is worth adding the row's person: its item and type are known."""
    return row["item_id"] in item_ids and row["type"] in catalog.event_weights


def _list(request: Request) -> Response:
    """A page of one person's interactions."""
    wanted = read_query(InteractionQuery, request)
    catalog = catalog_of(request, wanted.get("catalog", ""))
    history = Interaction.objects.history_of(find_user(wanted["user_id"]), catalog.pk).with_items()
    if kind := wanted.get("type"):
        history = history.filter(type=kind)
    if cursor := wanted.get("cursor"):
        moment, pk = read_cursor(cursor, _last_row)
        history = history.filter(timestamp__lte=moment).exclude(Q(timestamp=moment) & Q(pk__gte=pk))
    rows = list(history[: wanted["n"] + 1])
    page, has_more = rows[: wanted["n"]], len(rows) > wanted["n"]
    return Response(
        {
            "interactions": [_view(row, wanted["user_id"]) for row in page],
            "next_cursor": _cursor(page[-1]) if has_more else None,
            "has_more": has_more,
        }
    )


def _view(row: Interaction, user_id: str) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "item_id": row.item.external_id,
        "type": row.type,
        "timestamp": row.timestamp,
        "value": row.value,
        "event_id": row.event_id,
        "slate_id": row.slate_id,
        "position": row.position,
    }


def _cursor(last: Interaction) -> str:
    return write_cursor(last.timestamp.isoformat(), last.pk)


def _last_row(parts: list[str]) -> tuple[datetime, int]:
    """Time and database id of the last row of the page before. Errors: ValueError."""
    moment, number = parts
    timestamp = datetime.fromisoformat(moment)
    if timestamp.tzinfo is None:
        raise ValueError("a time without a zone")
    return timestamp, read_id(number)


def find_user(user_id: str) -> int:
    """Database id of the person with this external id. Errors: NotFound (404)."""
    found = people.users_by_external_id([user_id], create=False)
    if user_id not in found:
        raise NotFound(f"No user '{user_id}'. Leave user_id out for somebody without a history.")
    return found[user_id]
