"""What is stored about one person: hand it out, or erase it."""

from typing import Any

from django.db import transaction

from catalog.models import Catalog, Follow, Interaction, SlateLog, User


def forget(user: User, catalog: Catalog | None = None) -> dict[str, int]:
    """Erase what a person did and saw, in one catalog or in all; the account itself stays.

    One transaction: all of it goes, or nothing. Suspected and simulated rows go as well.

    Returns
    -------
    dict
        How many rows of each kind went: interactions, slates, follows.
    """
    within = {} if catalog is None else {"catalog": catalog}
    kinds = {"interactions": Interaction, "slates": SlateLog, "follows": Follow}
    with transaction.atomic():
        return {
            kind: model._default_manager.filter(user=user, **within).delete()[0]
            for kind, model in kinds.items()
        }


def export(user: User) -> dict[str, Any]:
    """Everything stored about a person, made of JSON's own types; times are ISO 8601 in UTC.

    Items are named by catalog, external id and title, so that the export can be read without us.
    """
    return {
        "person": {
            "username": user.username,
            "external_id": user.external_id,
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "is_guest": user.is_guest,
            "is_simulated": user.is_simulated,
            "date_joined": user.date_joined.isoformat(),
            "last_login": user.last_login.isoformat() if user.last_login else None,
            "attributes": user.attributes,
        },
        "interactions": _interactions(user),
        "slates": _slates(user),
        "follows": [
            {"catalog": slug, "category": category, "since": created_at.isoformat()}
            for slug, category, created_at in Follow.objects.filter(user=user)
            .order_by("created_at", "pk")
            .values_list("catalog__slug", "category", "created_at")
        ],
    }


def _interactions(user: User) -> list[dict[str, Any]]:
    rows = (
        Interaction.objects.filter(user=user)
        .select_related("item", "catalog")
        .order_by("timestamp", "pk")
    )
    return [
        {
            "event_id": str(row.event_id),
            "catalog": row.catalog.slug,
            "item_id": row.item.external_id,
            "title": row.item.title,
            "type": row.type,
            "timestamp": row.timestamp.isoformat(),
            "value": row.value,
            "slate_id": str(row.slate_id) if row.slate_id else None,
            "position": row.position,
            "is_simulated": row.is_simulated,
            "is_suspected": row.is_suspected,
        }
        for row in rows.iterator(chunk_size=5000)
    ]


def _slates(user: User) -> list[dict[str, Any]]:
    rows = SlateLog.objects.filter(user=user).select_related("catalog").order_by("created_at", "pk")
    return [
        {
            "id": str(row.pk),
            "catalog": row.catalog.slug,
            "surface": row.surface,
            "created_at": row.created_at.isoformat(),
            "query_text": row.query_text,
            "context": row.context,
            "bundle_id": row.bundle_id,
            "experiment_arm": row.experiment_arm,
            "item_ids": row.item_ids,
            "scores": row.scores,
            "propensities": row.propensities,
            "sources": row.sources,
            "seen_positions": row.seen_positions,
        }
        for row in rows.iterator(chunk_size=1000)
    ]
