"""/api/v1/health: what is ready and what is not; needs no key."""

from typing import Any

from django.db import InterfaceError, OperationalError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from recsite import health as parts_of_site
from recsite.outage import RETRY_AFTER_SECONDS


class PartView(serializers.Serializer[Any]):
    """One part of the installation."""

    ready = serializers.BooleanField()
    detail = serializers.CharField(required=False)


class PartsView(serializers.Serializer[Any]):
    """Every part."""

    database = PartView()
    broker = PartView()
    worker = PartView()
    encoder = PartView()


class LoadView(serializers.Serializer[Any]):
    """How far one stage of a load has come."""

    stage = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    finished = serializers.BooleanField()
    message = serializers.CharField()


class CatalogView(serializers.Serializer[Any]):
    """One catalog."""

    slug = serializers.SlugField()
    name = serializers.CharField()
    ready = serializers.BooleanField(help_text="It holds items, and nothing is still loading.")
    items = serializers.IntegerField()
    vectors = serializers.IntegerField(help_text="Items that the language model has read.")
    bundle_id = serializers.CharField(allow_null=True, help_text="The live model; null: none yet.")
    loads = LoadView(many=True)


class HealthView(serializers.Serializer[Any]):
    """What is ready and what is not."""

    ready = serializers.BooleanField(help_text="Every part and every catalog is ready.")
    serving = serializers.BooleanField(help_text="Requests are answered, whatever else is missing.")
    parts = PartsView()
    catalogs = CatalogView(many=True)


@extend_schema(
    operation_id="health",
    tags=["health"],
    summary="What is ready",
    description="200 as long as requests are answered; 503 without the database. Broker, worker, "
    "encoder and models may be missing: the site serves and logs without them.",
    auth=[],
    responses={200: HealthView, 503: HealthView},
)
@api_view(["GET"])
@authentication_classes([])
@permission_classes([])
def health(request: Request) -> Response:
    """The state of every part."""
    backstage = parts_of_site.backstage.parts()
    try:
        parts = {
            "database": parts_of_site.database_part(),
            **backstage,
            "encoder": parts_of_site.encoder_part(),
        }
        catalogs = parts_of_site.catalogs()
    except (OperationalError, InterfaceError):
        return _without_database(backstage)
    body = {
        "ready": all(part.ready for part in parts.values())
        and bool(catalogs)
        and all(catalog.ready for catalog in catalogs),
        "serving": True,
        "parts": {name: part.as_dict() for name, part in parts.items()},
        "catalogs": [_catalog(catalog) for catalog in catalogs],
    }
    return Response(body, headers={"Cache-Control": "no-store"})


def _without_database(backstage: dict[str, parts_of_site.Part]) -> Response:
    """What can still be said."""
    away = parts_of_site.Part(False, "The database cannot be reached.")
    parts = {"database": away, **backstage, "encoder": parts_of_site.Part(False, "Not known.")}
    body = {
        "ready": False,
        "serving": False,
        "parts": {name: part.as_dict() for name, part in parts.items()},
        "catalogs": [],
    }
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"}
    return Response(body, status=503, headers=headers)


def _catalog(catalog: parts_of_site.CatalogHealth) -> dict[str, Any]:
    return {
        "slug": catalog.slug,
        "name": catalog.name,
        "ready": catalog.ready,
        "items": catalog.items,
        "vectors": catalog.vectors,
        "bundle_id": catalog.bundle_id or None,
        "loads": catalog.loads,
    }
