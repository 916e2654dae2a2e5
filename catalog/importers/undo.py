"""Take an import back: remove what it added, give back what it changed, leave what has moved on.

A row that was added goes, unless something that came later refers to it: an item that somebody has
clicked since, a person who has done more. A row that was changed gets its former values, unless it
has been changed again. What stays is counted, and said.
"""

from collections.abc import Collection
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.errors import CatalogError, database_faults
from catalog.importers.files import lock
from catalog.importers.items import COLUMNS
from catalog.models import KEEP_UNDO, Import, ImportedRow, Item, ItemVector, User
from catalog.words import index_words

OF_IMPORT = "row.part_of_id = %(import)s AND row.kind = "

REMOVE_INTERACTIONS = f"""
DELETE FROM catalog_interaction AS stored USING catalog_importedrow AS row
WHERE {OF_IMPORT} 'interactions' AND stored.id = row.row_id AND stored."timestamp" = row.at
"""
OFFER_IS_AS_WRITTEN = f"""
{OF_IMPORT} 'offers' AND stored.id = row.row_id
AND stored.ends_at = (row.after->>'ends_at')::timestamptz
"""
REMOVE_OFFERS = f"""
DELETE FROM catalog_offer AS stored USING catalog_importedrow AS row
WHERE {OFFER_IS_AS_WRITTEN} AND row.before IS NULL
"""
RESTORE_OFFERS = f"""
UPDATE catalog_offer AS stored SET ends_at = (row.before->>'ends_at')::timestamptz
FROM catalog_importedrow AS row
WHERE {OFFER_IS_AS_WRITTEN} AND row.before IS NOT NULL
"""
ITEM_IS_AS_WRITTEN = f"""
{OF_IMPORT} 'items' AND stored.id = row.row_id AND stored.updated_at = %(made_at)s
"""
RESTORE_ITEMS = f"""
UPDATE catalog_item AS stored SET
    ({", ".join(COLUMNS)}) = ROW ({", ".join(f"former.{column}" for column in COLUMNS)}),
    updated_at = now()
FROM catalog_importedrow AS row
CROSS JOIN LATERAL jsonb_populate_record(NULL::catalog_item, row.before) AS former
WHERE {ITEM_IS_AS_WRITTEN} AND row.before IS NOT NULL
"""
USER_IS_AS_WRITTEN = f"""
{OF_IMPORT} 'users' AND stored.id = row.row_id AND stored.attributes = row.after->'attributes'
"""
RESTORE_USERS = f"""
UPDATE catalog_user AS stored SET attributes = row.before->'attributes'
FROM catalog_importedrow AS row
WHERE {USER_IS_AS_WRITTEN} AND row.before IS NOT NULL
"""


@database_faults()
def undo(number: int, who: str) -> Import:
    """Undo an import, in one transaction.

    Returns
    -------
    Import
        Its `undone` says, for each kind of row, how many were removed, restored and kept.

    Raises
    ------
    CatalogError
        There is no such import, it was undone before, or too long ago.
    """
    with transaction.atomic():
        made = Import.objects.select_related("catalog").filter(pk=number).first()
        if made is None:
            raise CatalogError(
                _("There is no import %(number)d; the dashboard's Data page lists them.")
                % {"number": number}
            )
        lock(made.catalog)
        made = (
            Import.objects.select_for_update(of=("self",)).select_related("catalog").get(pk=number)
        )
        if made.undone_at:
            told = {"number": number, "day": f"{made.undone_at:%Y-%m-%d}"}
            raise CatalogError(_("Import %(number)d was undone already, on %(day)s.") % told)
        if not made.can_be_undone:
            raise CatalogError(
                _(
                    "Import %(number)d is older than %(days)d days: what it changed is not known"
                    " any more."
                )
                % {"number": number, "days": KEEP_UNDO.days}
            )
        made.undone = _take_back(made)
        made.undone_at, made.undone_by = timezone.now(), who
        made.save(update_fields=["undone", "undone_at", "undone_by"])
        ImportedRow.objects.filter(part_of=made).delete()
    return made


def forget_old() -> None:
    """Drop the records of rows that no undo will ask for."""
    ImportedRow.objects.filter(part_of__in=Import.objects.too_old_to_undo()).delete()


def _take_back(made: Import) -> dict[str, dict[str, int]]:
    """Run the statements; kind → how many rows were removed, restored and kept."""
    values = {"import": made.pk, "made_at": made.made_at}
    removed = {"interactions": _count(REMOVE_INTERACTIONS, values)}
    restored = {"offers": _count(RESTORE_OFFERS, values)}
    removed["offers"] = _count(REMOVE_OFFERS, values)
    restored["items"] = _count(RESTORE_ITEMS, values)
    removed["items"] = _count(_remove_items(), values)
    restored["users"] = _count(RESTORE_USERS, values)
    removed["users"] = _count(_remove_users(), values)
    if removed["items"] + restored["items"] + removed["offers"] + restored["offers"]:
        made.catalog.touch_items()
        index_words(made.catalog)
    total = ImportedRow.objects.filter(part_of=made).values("kind").annotate(n=models.Count("pk"))
    return {
        row["kind"]: {
            "removed": (gone := removed[row["kind"]]),
            "restored": (back := restored.get(row["kind"], 0)),
            "kept": row["n"] - gone - back,
        }
        for row in total.order_by("kind")
    }


def _remove_items() -> str:
    """Items that it added, with the vectors made of them."""
    return f"""
    WITH gone AS MATERIALIZED (
        SELECT stored.id FROM catalog_item AS stored, catalog_importedrow AS row
        WHERE {ITEM_IS_AS_WRITTEN} AND row.before IS NULL AND {_unreferred(Item, {ItemVector})}
    ), vectors AS (
        DELETE FROM catalog_itemvector USING gone WHERE item_id = gone.id
    )
    DELETE FROM catalog_item USING gone WHERE catalog_item.id = gone.id
    """


def _remove_users() -> str:
    """People that it added, who have done nothing else and never logged in."""
    return f"""
    DELETE FROM catalog_user AS stored USING catalog_importedrow AS row
    WHERE {USER_IS_AS_WRITTEN} AND row.before IS NULL AND stored.last_login IS NULL
        AND NOT stored.is_staff AND {_unreferred(User, set())}
    """


def _unreferred(model: type[models.Model], derived: Collection[type[models.Model]]) -> str:
    """That no row of any table refers to `stored`, but for tables that are made from it."""
    relations: list[Any] = [
        relation
        for relation in model._meta.get_fields(include_hidden=True)
        if relation.auto_created and (relation.one_to_many or relation.one_to_one)
    ]
    return " AND ".join(
        f"NOT EXISTS (SELECT FROM {relation.related_model._meta.db_table}"
        f" WHERE {relation.field.column} = stored.id)"
        for relation in relations
        if relation.related_model not in derived
    )


def _count(sql: str, values: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)
