"""Imports: what each brought, and what it takes to undo it."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models.catalogs import Catalog

KEEP_UNDO = timedelta(days=30)  # how long an import can be undone


class ImportQuerySet(models.QuerySet["Import"]):
    """Reads of imports."""

    def newest_first(self) -> "ImportQuerySet":
        """The last one first."""
        return self.order_by("-made_at", "-pk")

    def too_old_to_undo(self) -> "ImportQuerySet":
        """Those whose record of rows is of no use any more."""
        return self.filter(
            Q(made_at__lt=timezone.now() - KEEP_UNDO - timedelta(days=1))
            | Q(undone_at__isnull=False)
        )


class Import(models.Model):
    """One import that was written. Made by catalog/importers/files.py, ended by undo.py."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="imports")
    name = models.TextField()  # of its files, as people know them
    who = models.CharField(max_length=150, blank=True)  # a username; '' = a command
    run_id = models.UUIDField(null=True, unique=True)  # of training.TrainingRun; None = a command
    made_at = models.DateTimeField()  # of its transaction: what it wrote to items bears this time
    # a file each: kind, name, header, names, rows, added, changed, bad
    files = models.JSONField(default=list)
    report = models.CharField(max_length=120, blank=True)  # file name; '' = no row was bad
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=150, blank=True, default="")
    undone = models.JSONField(default=dict)  # kind → removed, restored, kept

    objects = ImportQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["catalog", "-made_at"], name="import_newest_first"),
        ]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.name}"

    @property
    def can_be_undone(self) -> bool:
        """Whether it is still known what it added and changed."""
        return self.undone_at is None and self.made_at > timezone.now() - KEEP_UNDO


class ImportedRow(models.Model):
    """A row that an import added or changed, written in the same statement; read by undo alone."""

    part_of = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rows")
    kind = models.CharField(max_length=12)  # items, offers, users, interactions
    row_id = models.BigIntegerField()
    at = models.DateTimeField(null=True)  # of an interaction: says which partition it is in
    before = models.JSONField(null=True)  # column → value; None = the row was not there
    after = models.JSONField(null=True)  # the same as written, where no time of change is kept
