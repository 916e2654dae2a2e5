"""What pages report back: clicks, reads, likes, "less like this", and what was really in view.

Two ways in. Scripts send batches as form data, `csrfmiddlewaretoken` and `payload` (JSON), because
`sendBeacon` cannot set a header and CSRF protection stays on. Plain forms send one interaction as
fields. A click on a link of a slate needs neither: the link carries slate and position, and the
page that it leads to calls `log_click`.

Everything may arrive twice: a click's event id is derived from slate, position and type, so that
the script's report and the link's are one click.
"""

import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest, ValidationError
from django.forms import FloatField, IntegerField, UUIDField
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST

from catalog.events import Event, LogResult, Refusal, log_impressions, log_interactions
from catalog.models import Catalog, InteractionType, Item, SlateLog, User
from recsite import account, inspector
from recsite.account import SiteRequest

EVENT_NAMESPACE = uuid.UUID("6f6b1e0c-4f0e-5a44-9d0a-0f6a5c1d7e21")
# What a page may say happened. Adds and purchases are logged by the cart, not on a page's word.
PAGE_TYPES = frozenset({"view", "click", "read", "like", "hide", "rate"})
ANSWERS = {  # to a form; scripts show their own
    "like": gettext_noop("Noted: more like this."),
    "hide": gettext_noop("Noted: less like this. It will not be shown to you again."),
}
LARGEST_BATCH = 200  # events or slates in one payload
LONGEST_READ = 1800.0  # seconds; a tab left open is no longer reading

logger = logging.getLogger(__name__)


def slate_event_id(slate_id: uuid.UUID, position: int, kind: str) -> uuid.UUID:
    """The one event id of this kind for this place of this slate."""
    return uuid.uuid5(EVENT_NAMESPACE, f"{slate_id}/{position}/{kind}")


def log_click(request: HttpRequest, item: Item) -> bool:
    """Log the click that the address's ?s=<slate>&p=<position> tells of.

    Returns
    -------
    bool
        Whether it was a click: the slate exists, showed this item there, and is this person's.
    """
    try:
        slate_id = UUIDField().clean(request.GET.get("s"))
        position = IntegerField(min_value=0, max_value=999).clean(request.GET.get("p"))
    except ValidationError:
        return False
    slate = SlateLog.objects.filter(pk=slate_id, catalog_id=item.catalog_id).first()
    if slate is None or position >= len(slate.item_ids) or slate.item_ids[position] != item.pk:
        return False
    person: User = request.person  # type: ignore[attr-defined]
    if slate.user_id is not None and slate.user_id != person.pk:
        return False  # somebody passed the link on
    person = account.guest_for_write(request)
    click = Event(
        user_id=person.pk,
        item_id=item.pk,
        type=InteractionType.CLICK,
        event_id=slate_event_id(slate_id, position, "click"),
        slate_id=slate_id,
        position=position,
    )
    log_interactions(item.catalog, [click])
    # A slate of a visitor who had no row yet becomes theirs, and what was clicked was seen.
    log_impressions(slate_id, person.pk, [position])
    return True


@require_POST
def interactions(request: SiteRequest) -> HttpResponse:
    """Take a batch from a script, or one interaction from a form that then goes on to `next`."""
    from_script = "payload" in request.POST
    try:
        rows = _payload(request) if from_script else [request.POST.dict()]
        events = [_event(row) for row in rows]
    except (ValidationError, BadRequest) as fault:
        return HttpResponseBadRequest(_first_line(fault), content_type="text/plain")
    result = log_events(request, events)
    if from_script:
        return JsonResponse(
            {
                "accepted": result.accepted,
                "duplicates": result.duplicates,
                "refused": [vars(refusal) for refusal in result.refused],
            },
            status=202,
        )
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Trigger": "feedback-logged"})
    if answer := ANSWERS.get(events[0]["type"]):
        messages.success(request, _(answer))
    return redirect(account.next_url(request))


@require_POST
def impressions(request: SiteRequest) -> HttpResponse:
    """Take which positions of which slates were really in view."""
    try:
        seen = [_seen(row) for row in _payload(request)]
    except (ValidationError, BadRequest) as fault:
        return HttpResponseBadRequest(_first_line(fault), content_type="text/plain")
    known = [log_impressions(slate, request.person.pk, places) for slate, places in seen]
    return JsonResponse({"slates": sum(known), "unknown": len(known) - sum(known)}, status=202)


def log_events(request: SiteRequest, events: Iterable[Mapping[str, Any]]) -> LogResult:
    """Log the person's interactions, whichever catalogs the items belong to.

    The person's row is made only if there is something to write.
    """
    rows = list(events)
    ids = {row["item_id"] for row in rows}
    catalog_of = dict(Item.objects.filter(pk__in=ids).values_list("pk", "catalog_id"))
    by_catalog: dict[int, list[int]] = {}
    refused = []
    for index, row in enumerate(rows):
        if row["item_id"] in catalog_of:
            by_catalog.setdefault(catalog_of[row["item_id"]], []).append(index)
        else:
            refused.append(Refusal(index, "item_id", "no such item"))
    accepted = duplicates = 0
    for catalog in Catalog.objects.filter(pk__in=by_catalog):
        indexes = by_catalog[catalog.pk]
        user_id = account.guest_for_write(request).pk
        result = log_interactions(
            catalog, [Event(user_id=user_id, **rows[index]) for index in indexes]
        )
        accepted += result.accepted
        duplicates += result.duplicates
        refused += [
            Refusal(indexes[refusal.index], refusal.field, refusal.reason)
            for refusal in result.refused
        ]
    return LogResult(accepted, duplicates, refused)


def _payload(request: HttpRequest) -> list[dict[str, Any]]:
    """The JSON list of objects in the field `payload`."""
    try:
        rows = json.loads(request.POST.get("payload", ""))
    except (ValueError, RecursionError):
        raise BadRequest("payload is not JSON") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadRequest("payload is not a list of objects")
    if len(rows) > LARGEST_BATCH:
        raise BadRequest(f"payload holds more than {LARGEST_BATCH} rows")
    return rows


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    """One reported interaction, checked: what `Event` takes, but for the user."""
    kind = row.get("type")
    if not isinstance(kind, str) or kind not in PAGE_TYPES:
        raise ValidationError(f"type is not one of {', '.join(sorted(PAGE_TYPES))}")
    slate_id = UUIDField(required=False).clean(_text(row.get("slate")))
    position = IntegerField(required=False, min_value=0, max_value=999).clean(row.get("position"))
    value = FloatField(required=False).clean(_text(row.get("value")))
    event_id = UUIDField(required=False).clean(_text(row.get("event_id")))
    if kind == InteractionType.CLICK and slate_id is not None and position is not None:
        event_id = slate_event_id(slate_id, position, "click")
    if kind == InteractionType.READ and value is not None:
        value = min(value, LONGEST_READ)
    return {
        "item_id": IntegerField(min_value=1, max_value=2**63 - 1).clean(row.get("item")),
        "type": kind,
        "value": value,
        "event_id": event_id,
        "slate_id": slate_id,
        "position": position,
    }


def _seen(row: Mapping[str, Any]) -> tuple[uuid.UUID, list[int]]:
    """One reported slate, checked: its id and the positions that were in view."""
    positions = row.get("positions")
    if not isinstance(positions, list) or len(positions) > 1000:
        raise BadRequest("positions is not a list of numbers")
    slate_id: uuid.UUID = UUIDField().clean(_text(row.get("slate")))
    return slate_id, [IntegerField(min_value=0).clean(position) for position in positions]


def _text(value: object) -> str:
    """A JSON value as a form field would hold it."""
    return "" if value is None else str(value)


def _first_line(fault: ValidationError | BadRequest) -> str:
    return fault.messages[0] if isinstance(fault, ValidationError) else str(fault)


urlpatterns = [
    path("interactions", interactions, name="interactions"),
    path("impressions", impressions, name="impressions"),
    path("slates/<uuid:slate_id>/", inspector.slate, name="slate"),
]
