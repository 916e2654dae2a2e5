"""What people did, and what they were shown."""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from catalog.models.catalogs import Catalog, InteractionType
from catalog.models.items import Item
from catalog.models.people import User


class InteractionQuerySet(models.QuerySet["Interaction"]):
    """Reads of interactions."""

    def counted(self) -> "InteractionQuerySet":
        """Those that count: suspected bots are kept, and left out here."""
        return self.filter(is_suspected=False)

    def history_of(self, user_id: int, catalog_id: int) -> "InteractionQuerySet":
        """One person's interactions in one catalog, newest first."""
        return self.filter(user_id=user_id, catalog_id=catalog_id).order_by("-timestamp", "-id")

    def with_items(self) -> "InteractionQuerySet":
        """Each with its item, in one query."""
        return self.select_related("item")


class Interaction(models.Model):
    """Who did what with which item, when. Written by catalog/events.py and the importers only.

    The table is partitioned by month of `timestamp`, so its real primary key is (id, timestamp) and
    the idempotency key is (event_id, timestamp): see migration 0002.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(default=uuid.uuid4)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="interactions")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="interactions")
    type = models.CharField(max_length=16, choices=InteractionType)
    timestamp = models.DateTimeField()
    value = models.FloatField(null=True, blank=True)  # quantity, rating, or seconds of reading
    slate_id = models.UUIDField(null=True, blank=True)
    position = models.SmallIntegerField(null=True, blank=True)  # 0 = first
    is_simulated = models.BooleanField(default=False)
    is_suspected = models.BooleanField(default=False)  # looks like a bot

    objects = InteractionQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "catalog_interaction"


class SlateLog(models.Model):
    """What was shown and why; one row a slate, arrays inside, all in slate order."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True)
    surface = models.CharField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)
    bundle_id = models.CharField(max_length=80, blank=True)  # '' = answered without a bundle
    experiment_arm = models.CharField(max_length=80, blank=True, default="")
    query_text = models.TextField(blank=True, default="")
    context = models.JSONField(default=dict)  # hour, weekday, device, session length, anchor item
    item_ids = ArrayField(models.BigIntegerField())
    scores = ArrayField(models.FloatField())
    propensities = ArrayField(models.FloatField())
    sources = ArrayField(models.TextField())  # names joined by '+', one entry an item
    trace = models.JSONField(default=dict)  # stages: name, in, out, ms; sources: name, found, kept
    seen_positions = ArrayField(models.SmallIntegerField(), default=list)  # were really in view

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["catalog", "-created_at"], name="slatelog_by_catalog"),
            models.Index(fields=["user", "-created_at"], name="slatelog_by_user"),
        ]
