"""The database as it is now: its size, the largest tables, vector indexes, slow queries."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from catalog.models import EncoderVersion

TABLES = 10
QUERIES = 8
SLOW = 0.5  # seconds that a statement under way has taken, to be called slow
LONGEST = 400  # characters of a statement on the page
INDEX = "itemvector_hnsw_"  # ranking/encoder_store.py names them

SIZES = """
SELECT coalesce(parent.relname, own.relname) AS name,
       sum(greatest(own.reltuples, 0))::bigint AS rows,
       sum(pg_table_size(own.oid))::bigint AS data,
       sum(pg_indexes_size(own.oid))::bigint AS indexes,
       count(parent.oid) AS parts
FROM pg_class own
LEFT JOIN pg_inherits ON inhrelid = own.oid
LEFT JOIN pg_class parent ON parent.oid = inhparent
WHERE own.relkind = 'r' AND own.relnamespace = current_schema()::regnamespace
GROUP BY 1
ORDER BY sum(pg_total_relation_size(own.oid)) DESC, 1
LIMIT %s
"""
VECTOR_INDEXES = """
SELECT own.relname, pg_relation_size(own.oid), indisvalid, coalesce(idx_scan, 0), amname
FROM pg_index
JOIN pg_class own ON own.oid = indexrelid
JOIN pg_am ON pg_am.oid = own.relam
LEFT JOIN pg_stat_user_indexes used ON used.indexrelid = own.oid
WHERE amname IN ('hnsw', 'ivfflat') AND own.relnamespace = current_schema()::regnamespace
ORDER BY pg_relation_size(own.oid) DESC
"""
COUNTED = """
SELECT calls, mean_exec_time, total_exec_time, left(query, %s)
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY mean_exec_time DESC
LIMIT %s
"""
UNDER_WAY = """
SELECT 1, 1000 * extract(epoch FROM clock_timestamp() - query_start),
       1000 * extract(epoch FROM clock_timestamp() - query_start), left(query, %s)
FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
    AND clock_timestamp() - query_start > make_interval(secs => %s)
ORDER BY query_start
LIMIT %s
"""


@dataclass(frozen=True)
class Table:
    """One table with its partitions."""

    name: str
    rows: int  # as the planner estimates them
    data: int  # bytes, with what is stored out of line
    indexes: int  # bytes
    parts: int  # partitions; 0 = it has none


@dataclass(frozen=True)
class VectorIndex:
    """One index over vectors."""

    name: str
    size: int  # bytes
    is_valid: bool  # false while it is built, or when that failed
    scans: int
    method: str
    encoder: str  # whose vectors; '' = unknown


@dataclass(frozen=True)
class Statement:
    """One slow statement."""

    calls: int
    mean: float  # ms
    total: float  # ms
    text: str


@dataclass(frozen=True)
class Database:
    """What the page shows."""

    version: str
    size: int  # bytes
    sessions: int
    most_sessions: int
    tables: list[Table]
    indexes: list[VectorIndex]
    counts_statements: bool  # whether pg_stat_statements is there; else: what runs at this moment
    slow: list[Statement]


def database() -> Database:
    """Look at it, in eight queries whatever is stored."""
    version, size, sessions, most, counts = _rows(
        "SELECT current_setting('server_version'), pg_database_size(current_database()),"
        " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),"
        " current_setting('max_connections')::int,"
        " EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')"
    )[0]
    slow = _rows(COUNTED, LONGEST, QUERIES) if counts else _rows(UNDER_WAY, LONGEST, SLOW, QUERIES)
    return Database(
        version=version.split()[0],
        size=size,
        sessions=sessions,
        most_sessions=most,
        tables=[Table(*row) for row in _rows(SIZES, TABLES)],
        indexes=_indexes(),
        counts_statements=counts,
        slow=[
            Statement(calls, float(mean), float(total), text) for calls, mean, total, text in slow
        ],
    )


def _indexes() -> list[VectorIndex]:
    rows = _rows(VECTOR_INDEXES)
    names = {f"{INDEX}{version.pk}": str(version) for version in EncoderVersion.objects.all()}
    return [
        VectorIndex(name, size, is_valid, scans, method, names.get(name, ""))
        for name, size, is_valid, scans, method in rows
    ]


def _rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
