"""Staged users → people known by their external id."""

from catalog.importers import checks
from catalog.importers.merging import Merged, faults, run
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

MERGE = f"""
{INSERT} FROM {CHECKED} WHERE fault IS NULL ORDER BY line
ON CONFLICT (external_id) DO UPDATE SET attributes = stored.attributes || excluded.attributes
WHERE stored.attributes || excluded.attributes <> stored.attributes
RETURNING (xmax = 0)
"""

ADD_MISSING = f"""
{INSERT} FROM (SELECT user_id, '{{}}'::jsonb AS attributes FROM people_named) AS people
ON CONFLICT (external_id) DO NOTHING
"""


def merge(*, is_simulated: bool = False) -> Merged:
    """Check the staged users, add those who are new, and add new attributes to the others'.

    People belong to no catalog, so what another file said of them stays. Call it in a transaction.
    """
    run(CLEANED, {})
    added = [is_new for (is_new,) in run(MERGE, {"is_simulated": is_simulated})]
    return Merged(sum(added), len(added) - sum(added), faults(CHECKED))


def add_missing(query: str, *, is_simulated: bool = False) -> None:
    """Add the people whom this query names in its column `user_id`, if they are not there yet."""
    run(f"WITH people_named AS ({query}) {ADD_MISSING}", {"is_simulated": is_simulated})
