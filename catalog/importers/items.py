"""Staged items → the catalog."""

from catalog.importers import checks
from catalog.importers.merging import Merged, faults, noted, run
from catalog.importers.rows import ITEMS
from catalog.importers.staging import table_of
from catalog.models import Catalog
from catalog.words import index_words

CHECKED = f"{table_of(ITEMS)}_checked"

# A column that is empty in the whole file leaves alone what is stored.
CLEANED = f"""
CREATE TEMPORARY TABLE {CHECKED} ON COMMIT DROP AS
WITH present AS (
    SELECT bool_or(title <> '') IS TRUE AS title, bool_or(body <> '') IS TRUE AS body,
        bool_or(category <> '') IS TRUE AS category, bool_or(price <> '') IS TRUE AS price,
        bool_or(image <> '') IS TRUE AS image, bool_or(available <> '') IS TRUE AS available,
        bool_or(published_at <> '') IS TRUE AS published_at,
        bool_or(attributes <> '' OR extra <> '') IS TRUE AS attributes
    FROM {table_of(ITEMS)}
), cleaned AS MATERIALIZED (
    SELECT line, {checks.trimmed("item_id")} AS item_id, {checks.trimmed("title")} AS title,
        {checks.trimmed("body")} AS body,
        regexp_replace({checks.trimmed("category")}, '\\s*>\\s*', ' > ', 'g') AS category,
        {checks.trimmed("price")} AS price, {checks.trimmed("image")} AS image,
        {checks.trimmed("published_at")} AS published_at,
        lower({checks.trimmed("available")}) AS available,
        {checks.trimmed("attributes")} AS attributes, extra
    FROM {table_of(ITEMS)}
), judged AS MATERIALIZED (
    SELECT cleaned.*, stored.id AS stored_id, {
    checks.fault(
        ("item_id IS NULL", "item_id", "is missing"),
        ("length(item_id) > 200", "item_id", "is longer than 200 characters"),
        ("cleaned.title IS NULL AND (present.title OR stored.id IS NULL)", "title", "is missing"),
        (
            f"cleaned.price IS NOT NULL AND NOT {checks.is_number('cleaned.price')}",
            "price",
            "is not a number",
        ),
        ("cleaned.price::numeric < 0", "price", "is negative"),
        ("cleaned.price::numeric >= 9999999999.995", "price", "is too large"),
        (
            "cleaned.image ~* '^[a-z][a-z0-9+.-]*:' AND cleaned.image !~* '^https?://'",
            "image",
            "is neither an http address nor a path",
        ),
        (
            "cleaned.published_at IS NOT NULL AND NOT " + checks.is_moment("cleaned.published_at"),
            "published_at",
            "is neither ISO 8601 nor seconds or milliseconds since 1970",
        ),
        (
            f"cleaned.available NOT IN {checks.TRUE_WORDS}"
            f" AND cleaned.available NOT IN {checks.FALSE_WORDS}",
            "available",
            "is not one of true, false, yes, no, 1, 0",
        ),
        (
            "cleaned.attributes IS NOT NULL AND NOT " + checks.is_object("cleaned.attributes"),
            "attributes",
            "is not a JSON object",
        ),
        (
            "extra IS NOT NULL AND NOT pg_input_is_valid(extra, 'jsonb')",
            "attributes",
            "hold a character that cannot be stored",
        ),
    )
} AS fault
    FROM cleaned CROSS JOIN present
    LEFT JOIN catalog_item AS stored
        ON stored.catalog_id = %(catalog)s AND stored.external_id = cleaned.item_id
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY item_id, fault IS NULL ORDER BY line DESC) AS place
    FROM judged
)
SELECT ranked.line, ranked.item_id, ranked.stored_id,
    COALESCE(
        ranked.fault,
        CASE WHEN place > 1
            THEN ARRAY['item_id', 'comes again further down; the last row counts'] END
    ) AS fault,
    COALESCE(ranked.title, stored.title) AS title,
    COALESCE(ranked.body, CASE WHEN present.body THEN '' ELSE stored.body END, '') AS body,
    COALESCE(
        ranked.category, CASE WHEN present.category THEN '' ELSE stored.category END, ''
    ) AS category,
    CASE WHEN present.price THEN CASE WHEN fault IS NULL THEN round(ranked.price::numeric, 2) END
        ELSE stored.price END AS price,
    COALESCE(ranked.image, CASE WHEN present.image THEN '' ELSE stored.image END, '') AS image,
    CASE WHEN present.published_at
        THEN CASE WHEN fault IS NULL THEN {checks.moment("ranked.published_at")} END
        ELSE stored.published_at END AS published_at,
    CASE WHEN present.available THEN COALESCE(ranked.available IN {checks.TRUE_WORDS}, true)
        ELSE COALESCE(stored.available, true) END AS available,
    CASE WHEN NOT present.attributes THEN COALESCE(stored.attributes, '{{}}')
        WHEN fault IS NULL
        THEN COALESCE(ranked.attributes, '{{}}')::jsonb || COALESCE(extra, '{{}}')::jsonb
        END AS attributes
FROM ranked CROSS JOIN present LEFT JOIN catalog_item AS stored ON stored.id = ranked.stored_id
"""

COLUMNS = ("title", "body", "category", "price", "image", "published_at", "available", "attributes")


def _of(table: str) -> str:
    """The columns, of this table."""
    return ", ".join(f"{table}.{column}" for column in COLUMNS)


MERGE = noted(
    f"""
INSERT INTO catalog_item (
    catalog_id, external_id, {", ".join(COLUMNS)}, created_at, updated_at
)
SELECT %(catalog)s, row.item_id, {_of("row")}, now(), now()
FROM {CHECKED} AS row LEFT JOIN catalog_item AS stored ON stored.id = row.stored_id
WHERE row.fault IS NULL
    AND (stored.id IS NULL OR ({_of("stored")}) IS DISTINCT FROM ({_of("row")}))
ORDER BY row.line
ON CONFLICT (catalog_id, external_id) DO UPDATE SET
    ({", ".join(COLUMNS)}) = ROW ({_of("excluded")}),
    updated_at = now()
""",
    "items",
    "catalog_item",
    COLUMNS,
    keep_after=False,  # updated_at says whether something has changed it since
)


def merge(catalog: Catalog, number: int | None = None) -> Merged:
    """Check the staged items and add or change those that differ. Call it in a transaction.

    `number` is the import's, for its undo.
    """
    parameters = {"catalog": catalog.pk, "import": number}
    run(CLEANED, parameters)
    added = [is_new for (is_new,) in run(MERGE, parameters)]
    index_words(catalog)
    return Merged(sum(added), len(added) - sum(added), faults(CHECKED))
