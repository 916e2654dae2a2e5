"""What is stored: catalogs, items, their vectors and offers, people, interactions, slates."""

from catalog.models.audit import AuditEntry, AuditEntryQuerySet
from catalog.models.behaviour import Interaction, InteractionQuerySet, SlateLog
from catalog.models.catalogs import (
    EVENT_WEIGHTS,
    ApiKey,
    Catalog,
    CatalogQuerySet,
    InteractionType,
    LoadState,
)
from catalog.models.items import (
    EncoderVersion,
    EncoderVersionQuerySet,
    Item,
    ItemQuerySet,
    ItemVector,
    Offer,
    OfferQuerySet,
)
from catalog.models.people import Follow, Role, User
from catalog.models.rules import Rule, RuleQuerySet

__all__ = [
    "EVENT_WEIGHTS",
    "ApiKey",
    "AuditEntry",
    "AuditEntryQuerySet",
    "Catalog",
    "CatalogQuerySet",
    "EncoderVersion",
    "EncoderVersionQuerySet",
    "Follow",
    "Interaction",
    "InteractionQuerySet",
    "InteractionType",
    "Item",
    "ItemQuerySet",
    "ItemVector",
    "LoadState",
    "Offer",
    "OfferQuerySet",
    "Role",
    "Rule",
    "RuleQuerySet",
    "SlateLog",
    "User",
]
