"""Staged users → people known by their external id."""

from catalog.importers import checks
from catalog.importers.merging import Merged, faults, noted, run
from catalog.importers.rows import USERS
from catalog.importers.staging import table_of
from catalog.people import LONGEST_USERNAME

CHECKED = f"{table_of(USERS)}_checked"

CLEANED = f"""
CREATE TEMPORARY TABLE {CHECKED} ON COMMIT DROP AS
WITH cleaned AS MATERIALIZED (
    SELECT line, {checks.trimmed("user_id")} AS user_id,
        {checks.trimmed("attributes")} AS attributes, extra
    FROM {table_of(USERS)}
), judged AS MATERIALIZED (
    SELECT *, {
    checks.fault(
        ("user_id IS NULL", "user_id", "is missing"),
        ("length(user_id) > 200", "user_id", "is longer than 200 characters"),
        (
            "attributes IS NOT NULL AND NOT " + checks.is_object("attributes"),
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
    FROM cleaned
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY user_id, fault IS NULL ORDER BY line DESC) AS place
    FROM judged
)
SELECT line, user_id,
    COALESCE(
        fault,
        CASE WHEN place > 1
            THEN ARRAY['user_id', 'comes again further down; the last row counts'] END
    ) AS fault,
    CASE WHEN fault IS NULL
        THEN COALESCE(attributes, '{{}}')::jsonb || COALESCE(extra, '{{}}')::jsonb
    END AS attributes
FROM ranked
"""

# The username is that of catalog.people.imported_username; '!' makes a password unusable.
INSERT = f"""
INSERT INTO catalog_user AS stored (
    external_id, username, password, attributes, is_simulated, is_guest, is_superuser, is_staff,
    is_active, first_name, last_name, email, date_joined
)
SELECT user_id,
    '~' || CASE WHEN length(user_id) < {LONGEST_USERNAME} THEN user_id
        ELSE encode(sha256(convert_to(user_id, 'UTF8')), 'hex') END,
    '!' || replace(gen_random_uuid()::text, '-', ''),
    attributes, %(is_simulated)s, false, false, false, true, '', '', '', now()
"""

MERGE = noted(
    f"""
{INSERT} FROM {CHECKED} WHERE fault IS NULL ORDER BY line
ON CONFLICT (external_id) DO UPDATE SET attributes = stored.attributes || excluded.attributes
WHERE stored.attributes || excluded.attributes <> stored.attributes
""",
    "users",
    "catalog_user",
    ("attributes",),
    keep_after=True,
)


def merge(*, is_simulated: bool = False, number: int | None = None) -> Merged:
    """Check the staged users, add those who are new, and add new attributes to the others'.

    People belong to no catalog, so what another file said of them stays. Call it in a transaction.
    `number` is the import's, for its undo.
    """
    run(CLEANED, {})
    added = [is_new for (is_new,) in run(MERGE, {"is_simulated": is_simulated, "import": number})]
    return Merged(sum(added), len(added) - sum(added), faults(CHECKED))


def add_missing(checked: str, *, is_simulated: bool = False, number: int | None = None) -> None:
    """Add the people whom the good rows of this table name, if they are not there yet."""
    people = f"SELECT DISTINCT user_id, '{{}}'::jsonb AS attributes FROM {checked}"
    insert = f"{INSERT} FROM ({people} WHERE fault IS NULL) AS people ON CONFLICT DO NOTHING"
    run(
        noted(insert, "users", "catalog_user", ("attributes",), keep_after=True),
        {"is_simulated": is_simulated, "import": number},
    )
