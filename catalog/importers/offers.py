"""Staged offers → the times at which a catalog's items are promoted."""

from catalog.events import EARLIEST
from catalog.importers import checks
from catalog.importers.merging import Merged, faults, noted, run
from catalog.importers.rows import OFFERS
from catalog.importers.staging import table_of
from catalog.models import Catalog

CHECKED = f"{table_of(OFFERS)}_checked"
KIND = "^[a-z0-9][a-z0-9_-]{0,31}$"
NO_TIME = "is neither ISO 8601 nor seconds or milliseconds since 1970"

CLEANED = f"""
CREATE TEMPORARY TABLE {CHECKED} ON COMMIT DROP AS
WITH cleaned AS MATERIALIZED (
    SELECT line, {checks.trimmed("item_id")} AS item_id, lower({checks.trimmed("kind")}) AS kind,
        {checks.trimmed("starts_at")} AS starts_at, {checks.trimmed("ends_at")} AS ends_at
    FROM {table_of(OFFERS)}
), judged AS MATERIALIZED (
    SELECT cleaned.*, item.id AS stored_id, {
    checks.fault(
        ("item_id IS NULL", "item_id", "is missing"),
        ("item.id IS NULL", "item_id", "no such item in this catalog"),
        ("kind IS NULL", "kind", "is missing"),
        (
            f"kind !~ '{KIND}'",
            "kind",
            "is not 1 to 32 letters a to z, digits, hyphens and underscores",
        ),
        ("starts_at IS NULL", "starts_at", "is missing"),
        ("NOT " + checks.is_moment("starts_at"), "starts_at", NO_TIME),
        ("ends_at IS NULL", "ends_at", "is missing"),
        ("NOT " + checks.is_moment("ends_at"), "ends_at", NO_TIME),
    )
} AS fault
    FROM cleaned LEFT JOIN catalog_item AS item
        ON item.catalog_id = %(catalog)s AND item.external_id = cleaned.item_id
), parsed AS MATERIALIZED (
    SELECT line, stored_id, kind, fault,
        CASE WHEN fault IS NULL THEN {checks.moment("starts_at")} END AS starts_at,
        CASE WHEN fault IS NULL THEN {checks.moment("ends_at")} END AS ends_at
    FROM judged
), timed AS MATERIALIZED (
    SELECT line, stored_id, kind, starts_at, ends_at, COALESCE(fault, {
    checks.fault(
        ("starts_at < %(earliest)s", "starts_at", "is before 1990"),
        ("ends_at <= starts_at", "ends_at", "is not after starts_at"),
        ("extract(year FROM ends_at) > 9999", "ends_at", "is after the year 9999"),
    )
}) AS fault
    FROM parsed
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY stored_id, kind, starts_at, fault IS NULL ORDER BY line DESC
    ) AS place
    FROM timed
)
SELECT line, stored_id, kind, starts_at, ends_at,
    COALESCE(
        fault,
        CASE WHEN place > 1
            THEN ARRAY['item_id', 'comes again further down; the last row counts'] END
    ) AS fault
FROM ranked
"""

MERGE = noted(
    f"""
INSERT INTO catalog_offer AS stored (catalog_id, item_id, kind, starts_at, ends_at)
SELECT %(catalog)s, stored_id, kind, starts_at, ends_at
FROM {CHECKED} WHERE fault IS NULL ORDER BY line
ON CONFLICT (item_id, kind, starts_at) DO UPDATE SET ends_at = excluded.ends_at
WHERE stored.ends_at <> excluded.ends_at
""",
    "offers",
    "catalog_offer",
    ("ends_at",),
    keep_after=True,
)


def merge(catalog: Catalog, number: int | None = None) -> Merged:
    """Check the staged offers, add those that are new, and move the ends that differ.

    Call it in a transaction, after the items are there. `number` is the import's, for its undo.
    """
    parameters = {"catalog": catalog.pk, "earliest": EARLIEST, "import": number}
    run(CLEANED, parameters)
    added = [is_new for (is_new,) in run(MERGE, parameters)]
    return Merged(sum(added), len(added) - sum(added), faults(CHECKED))
