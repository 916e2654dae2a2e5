"""SQL expressions over text columns of a staging table: is it valid, and what does it mean."""

from django.utils.translation import gettext_noop

ISO_8601 = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?$"
PLAIN_NUMBER = r"^[+-]?\d{1,18}(\.\d{1,18})?(e[+-]?\d{1,3})?$"
EPOCH = r"^-?\d{1,13}(\.\d{1,9})?$"  # in milliseconds until the year 2286
MILLISECONDS_FROM = "1e11"  # an epoch value as large as this counts milliseconds, not seconds
REASONS = (  # what SQL says of bad rows: marked here, translated by the page that shows one
    gettext_noop("is missing"),
    gettext_noop("is longer than 200 characters"),
    gettext_noop("is not a number"),
    gettext_noop("is negative"),
    gettext_noop("is too large"),
    gettext_noop("is neither an http address nor a path"),
    gettext_noop("is neither ISO 8601 nor seconds or milliseconds since 1970"),
    gettext_noop("is not one of true, false, yes, no, 1, 0"),
    gettext_noop("is not a JSON object"),
    gettext_noop("hold a character that cannot be stored"),
    gettext_noop("is none that this catalog counts"),
    gettext_noop("is before 1990"),
    gettext_noop("is more than 5 minutes in the future"),
    gettext_noop("comes again further down; the last row counts"),
    gettext_noop("no such item in this catalog"),
    gettext_noop("is not 1 to 32 letters a to z, digits, hyphens and underscores"),
    gettext_noop("is not after starts_at"),
    gettext_noop("is after the year 9999"),
    gettext_noop("holds a NUL character"),
    gettext_noop("holds half of a surrogate pair, which is no character"),
)
TRUE_WORDS = "('true', 't', '1', 'yes', 'y')"
FALSE_WORDS = "('false', 'f', '0', 'no', 'n')"


def trimmed(column: str) -> str:
    """The text without blanks around it; NULL if nothing is left."""
    return f"NULLIF(btrim(\"{column}\", E' \\t\\r\\n'), '')"


def is_moment(column: str) -> str:
    """Whether it is ISO 8601, or seconds or milliseconds since 1970."""
    return (
        f"(({column} ~* '{ISO_8601}' AND pg_input_is_valid({column}, 'timestamptz'))"
        f" OR {column} ~ '{EPOCH}')"
    )


def moment(column: str) -> str:
    """The moment; without a time zone it is UTC, which is the connection's zone. Check it first."""
    return f"""
        CASE WHEN {column} ~ '{EPOCH}' THEN to_timestamp(
            CASE WHEN abs({column}::float8) >= {MILLISECONDS_FROM}
                 THEN {column}::float8 / 1000 ELSE {column}::float8 END)
        ELSE {column}::timestamptz END"""


def is_number(column: str) -> str:
    """Whether it is a finite decimal number."""
    return f"({column} ~* '{PLAIN_NUMBER}' AND pg_input_is_valid({column}, 'float8'))"


def is_object(column: str) -> str:
    """Whether it is a JSON object."""
    return f"""
        CASE WHEN pg_input_is_valid({column}, 'jsonb')
             THEN jsonb_typeof({column}::jsonb) = 'object' ELSE false END"""


def fault(*cases: tuple[str, str, str]) -> str:
    """The first of (condition, field, reason) whose condition holds, as ARRAY[field, reason].

    The order matters: a later condition may cast what an earlier one has found valid.
    """
    whens = " ".join(
        f"WHEN {condition} THEN ARRAY['{field}', '{reason}']" for condition, field, reason in cases
    )
    return f"CASE {whens} END"
