"""What admins changed: written by triggers of the database, read by the audit page."""

from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from django.db import connection, models
from django.utils.timezone import get_current_timezone

EMPTY: tuple[Any, ...] = (None, "", {}, [])


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Reads of the audit log."""

    def matching(
        self,
        *,
        who: str = "",
        kind: str = "",
        catalog: str = "",
        since: date | None = None,
        until: date | None = None,
    ) -> "AuditEntryQuerySet":
        """The entries that fit all of this, newest first; `until` is the last day of them."""
        found = self.order_by("-at", "-pk")
        if who:
            found = found.filter(who=who)
        if kind:
            found = found.filter(kind=kind)
        if catalog:
            found = found.filter(catalog=catalog)
        if since:
            found = found.filter(at__gte=_midnight(since))
        if until:
            found = found.filter(at__lt=_midnight(until + timedelta(days=1)))
        return found

    def known(self, column: str) -> list[str]:
        """What stands in an indexed column, `who` or `kind`; a few looks however many entries.

        PostgreSQL reads every row for a DISTINCT; this jumps from each value to the next one.
        """
        table, name = self.model._meta.db_table, connection.ops.quote_name(column)
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH RECURSIVE found AS (SELECT min({name}) AS value FROM {table} UNION ALL "
                f"SELECT (SELECT min({name}) FROM {table} WHERE {name} > found.value) FROM found "
                "WHERE found.value IS NOT NULL) SELECT value FROM found WHERE value IS NOT NULL"
            )
            return [value for (value,) in cursor.fetchall()]


class AuditEntry(models.Model):
    """One change of one row: who, when, what, before and after.

    Only the database's function `catalog_audit()` writes it, called by triggers of the tables that
    are watched, and an entry cannot be changed or deleted. It refers to nothing, so that what it
    tells outlives what it tells of.
    """

    class Action(models.TextChoices):
        CREATED = "created"
        CHANGED = "changed"
        DELETED = "deleted"

    at = models.DateTimeField()
    who = models.CharField(max_length=150)  # a username, or the name of the process
    through = models.CharField(max_length=64)  # the process: web, manage.py promote, celery worker
    action = models.CharField(max_length=8, choices=Action)
    kind = models.CharField(max_length=32)  # of the thing: run, model, catalog …
    row_id = models.CharField(max_length=64)
    label = models.TextField()  # what people call the thing
    catalog = models.CharField(max_length=50, blank=True)  # slug; '' = of no catalog
    before = models.JSONField(default=dict)  # column → value; of a change, only what differs
    after = models.JSONField(default=dict)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-at", "-id"], name="audit_newest_first"),
            models.Index(fields=["who", "-at"], name="audit_by_who"),
            models.Index(fields=["kind", "-at"], name="audit_by_kind"),
        ]

    @property
    def differences(self) -> list[tuple[str, Any, Any]]:
        """(column, before, after) of what differs; of a thing that came or went, what it held."""
        names = sorted(self.before.keys() | self.after.keys())
        told = [(name, self.before.get(name), self.after.get(name)) for name in names]
        if self.action == self.Action.CHANGED:
            return [row for whole in told for row in _parts(*whole)]
        return [
            (name, before, after)
            for name, before, after in told
            if name != "catalog_id" and (before not in EMPTY or after not in EMPTY)
        ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), tzinfo=get_current_timezone())


def _parts(name: str, before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Of two JSON objects, the entries that differ; anything else as it is."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [(name, before, after)]
    return [
        (f"{name}, {key}", before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
