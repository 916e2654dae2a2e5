"""Staged interactions → the partitioned table. Two steps, so that no lock is held for long."""

from catalog.events import CLOCK_SKEW, EARLIEST, ensure_months
from catalog.importers import checks, users
from catalog.importers.merging import Merged, faults, run
from catalog.importers.rows import INTERACTIONS
from catalog.importers.staging import table_of
from catalog.models import Catalog, InteractionType

CHECKED = f"{table_of(INTERACTIONS)}_checked"

CHECK = f"""
CREATE TEMPORARY TABLE {CHECKED} AS
WITH cleaned AS MATERIALIZED (
    SELECT line, {checks.trimmed("user_id")} AS user_id, {checks.trimmed("item_id")} AS item_id,
        {checks.trimmed("timestamp")} AS "timestamp", {checks.trimmed("type")} AS type,
        {checks.trimmed("value")} AS value
    FROM {table_of(INTERACTIONS)}
), judged AS MATERIALIZED (
    SELECT *, {
    checks.fault(
        ("user_id IS NULL", "user_id", "is missing"),
        ("length(user_id) > 200", "user_id", "is longer than 200 characters"),
        ("item_id IS NULL", "item_id", "is missing"),
        ("type IS NULL", "type", "is missing"),
        ("NOT type = ANY(%(types)s)", "type", "is none that this catalog counts"),
        ('"timestamp" IS NULL', "timestamp", "is missing"),
        (
            "NOT " + checks.is_moment('"timestamp"'),
            "timestamp",
            "is neither ISO 8601 nor seconds or milliseconds since 1970",
        ),
        (
            f"value IS NOT NULL AND NOT {checks.is_number('value')}",
            "value",
            "is not a number",
        ),
    )
} AS fault
    FROM cleaned
), parsed AS MATERIALIZED (
    SELECT line, user_id, item_id, type, fault,
        CASE WHEN fault IS NULL THEN {checks.moment('"timestamp"')} END AS moment,
        CASE WHEN fault IS NULL THEN value::float8 END AS value
    FROM judged
)
SELECT line, user_id, item_id, type, moment, value, COALESCE(fault, CASE
        WHEN moment > now() + %(skew)s
            THEN ARRAY['timestamp', 'is more than 5 minutes in the future']
        WHEN moment < %(earliest)s THEN ARRAY['timestamp', 'is before 1990']
    END) AS fault
FROM parsed
"""

MARK_UNKNOWN_ITEMS = f"""
UPDATE {CHECKED} SET fault = ARRAY['item_id', 'no such item in this catalog']
WHERE fault IS NULL AND NOT EXISTS (
    SELECT FROM catalog_item
    WHERE catalog_id = %(catalog)s AND external_id = {CHECKED}.item_id
)
"""

# Two rows alike in person, item, time and type are two interactions: their number tells them apart,
# so that a second run of the same file finds the same ids.
GOOD = f"""
good AS MATERIALIZED (
    SELECT *,
        md5(concat_ws(E'\\x1f', %(slug)s, user_id, item_id, extract(epoch FROM moment)::text, type,
            row_number() OVER (PARTITION BY user_id, item_id, moment, type ORDER BY line)
        ))::uuid AS event_id
    FROM {CHECKED}
    WHERE fault IS NULL
)"""
IS_NEW = """
NOT EXISTS (
    SELECT FROM catalog_interaction AS stored
    WHERE stored.event_id = row.event_id AND stored."timestamp" = moment
)"""
COUNT_NEW = f"WITH {GOOD} SELECT count(*) FROM good AS row WHERE {IS_NEW}"

INSERT = f"""
WITH {GOOD}, added AS (
    INSERT INTO catalog_interaction (
        event_id, catalog_id, user_id, item_id, type, "timestamp", value, is_simulated
    )
    SELECT row.event_id, %(catalog)s, catalog_user.id, catalog_item.id, row.type, moment, row.value,
        %(is_simulated)s
    FROM good AS row
    JOIN catalog_user ON catalog_user.external_id = row.user_id
    JOIN catalog_item
        ON catalog_item.catalog_id = %(catalog)s AND catalog_item.external_id = row.item_id
    WHERE {IS_NEW}
    ORDER BY moment, line
    ON CONFLICT (event_id, "timestamp") DO NOTHING
    RETURNING id, "timestamp"
), noted AS (
    INSERT INTO catalog_importedrow (part_of_id, kind, row_id, at)
    SELECT %(import)s::bigint, 'interactions', id, "timestamp"
    FROM added WHERE %(import)s::bigint IS NOT NULL
)
SELECT count(*) FROM added
"""


def check(catalog: Catalog) -> None:
    """Check what needs no other table. Call it outside of a transaction."""
    types = sorted(set(catalog.event_weights) & set(InteractionType.values))
    run(f"DROP TABLE IF EXISTS {CHECKED}", {})
    run(CHECK, {"types": types, "skew": CLOCK_SKEW, "earliest": EARLIEST})
    run(f"ANALYZE {CHECKED}", {})


def add_months() -> None:
    """Add the months that the checked interactions need. Call it outside of a transaction."""
    months = run(
        f"SELECT DISTINCT date_trunc('month', moment) FROM {CHECKED} WHERE fault IS NULL",
        {},
    )
    ensure_months([month for (month,) in months])


def merge(catalog: Catalog, *, is_simulated: bool = False, number: int | None = None) -> Merged:
    """Add the checked interactions that are new, and people whom nobody knew yet.

    Call it in a transaction, after `check` and `add_months` and after the items are there.
    `number` is the import's, for its undo.
    """
    parameters = {
        "catalog": catalog.pk,
        "slug": catalog.slug,
        "is_simulated": is_simulated,
        "import": number,
    }
    run(MARK_UNKNOWN_ITEMS, parameters)
    users.add_missing(CHECKED, is_simulated=is_simulated, number=number)
    [(added,)] = run(INSERT, parameters)
    return Merged(added, 0, faults(CHECKED))


def try_merge(catalog: Catalog) -> Merged:
    """What `merge` would add; it needs no months, and locks nothing that visitors write."""
    parameters = {"catalog": catalog.pk, "slug": catalog.slug}
    run(MARK_UNKNOWN_ITEMS, parameters)
    [(added,)] = run(COUNT_NEW, parameters)
    return Merged(added, 0, faults(CHECKED))
