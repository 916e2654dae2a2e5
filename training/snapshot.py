"""⑪ Logs → an immutable Parquet snapshot with a digest."""

import hashlib
import io
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from django.conf import settings
from django.db import connection

from catalog.models import Catalog
from ranking.context import TYPE_CODES
from ranking.item_index import ItemIndex
from ranking.traits import NOBODY, People, Traits
from ranking.types import InteractionLog
from training.errors import TrainingFault
from training.handle import RunHandle

# The types of rows that are no interactions: an item in view on a slate; a trait of somebody.
IMPRESSION, TRAIT = "impression", "trait"
TRAITS = b"traits"  # of the file's metadata: what the traits are, JSON
EXPORT_SQL = """
COPY (
    SELECT user_id, item_id, type, moment, position FROM (
        SELECT user_id, item_id, type, extract(epoch FROM "timestamp")::float8 AS moment,
               NULL::smallint AS position, id
        FROM catalog_interaction WHERE catalog_id = {catalog:d} AND NOT is_suspected
        UNION ALL
        SELECT user_id, item_ids[place + 1], '{impression}',
               extract(epoch FROM created_at)::float8, place, NULL
        FROM catalog_slatelog CROSS JOIN unnest(seen_positions) AS place
        WHERE catalog_id = {catalog:d} AND user_id IS NOT NULL
    ) AS done_and_seen
    ORDER BY user_id, moment, id, position
) TO STDOUT (FORMAT csv)
"""
ATTRIBUTES_SQL = """
SELECT id, attributes::text FROM catalog_user
WHERE attributes <> '{}' AND id IN (
    SELECT user_id FROM catalog_interaction WHERE catalog_id = %s AND NOT is_suspected
)
"""
COLUMNS = {
    "user_id": pa.int64(),
    "item_id": pa.int64(),
    "type": pa.string(),
    "timestamp": pa.float64(),  # seconds since the epoch
    "position": pa.int16(),  # on its slate, 0 = first, of impressions; which one, of traits
}


@dataclass(frozen=True)
class Snapshot:
    """A file that never changes: its name is its digest."""

    path: Path
    digest: str  # sha256, hex


def take_snapshot(catalog: Catalog) -> Snapshot:
    """Write the counted interactions and the impressions of a catalog, by user, then time.

    Then who has which traits; of attributes nothing else.
    """
    buffer = io.BytesIO()
    sql = EXPORT_SQL.format(catalog=catalog.pk, impression=IMPRESSION)
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        for block in copy:
            buffer.write(block)
    if buffer.tell() == 0:
        raise TrainingFault(
            f"{catalog.name} has no interactions yet: import some, or let people click."
        )
    buffer.seek(0)
    table = pyarrow.csv.read_csv(
        buffer,
        read_options=pyarrow.csv.ReadOptions(column_names=list(COLUMNS)),
        convert_options=pyarrow.csv.ConvertOptions(column_types=COLUMNS),
    )
    table = _with_people(table, _people_of(catalog))
    folder = Path(settings.SNAPSHOT_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        path = Path(staging) / "interactions.parquet"
        pyarrow.parquet.write_table(table, path, compression="zstd")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shutil.move(path, folder / f"{digest}.parquet")
    return Snapshot(folder / f"{digest}.parquet", digest)


def open_snapshot(digest: str) -> Snapshot:
    """A snapshot that was taken before."""
    path = Path(settings.SNAPSHOT_DIR) / f"{digest}.parquet"
    if not path.exists():
        raise TrainingFault(f"Snapshot {digest[:12]} is gone: start a new run.")
    return Snapshot(path, digest)


def snapshot_of(handle: RunHandle) -> Snapshot:
    """A run's snapshot; the one it began with if it is resumed."""
    if digest := handle.run.snapshot_digest:
        return open_snapshot(digest)
    snapshot = take_snapshot(handle.catalog)
    handle.record(snapshot_digest=snapshot.digest)
    return snapshot


def read_log(snapshot: Snapshot, items: ItemIndex, catalog: Catalog) -> InteractionLog:
    """The snapshot in columns; interactions with items that are gone are left out."""
    table = pyarrow.parquet.read_table(
        snapshot.path, filters=[("type", "not in", [IMPRESSION, TRAIT])]
    )
    rows = items.rows_of(table["item_id"].to_numpy())
    chunk = table["type"].combine_chunks().dictionary_encode()
    words = chunk.dictionary.to_pylist()
    codes = np.array([TYPE_CODES[word] for word in words], dtype=np.int8)
    weights = np.array([catalog.event_weights.get(word, 0.0) for word in words], dtype=np.float32)
    index = chunk.indices.to_numpy()
    log = InteractionLog(
        table["user_id"].to_numpy(),
        rows,
        codes[index],
        table["timestamp"].to_numpy(),
        weights[index],
        read_people(snapshot, catalog),
    )
    return log.keep(rows >= 0)


def _people_of(catalog: Catalog) -> People:
    """Who of those who did something here has which traits, as their attributes are today."""
    with connection.cursor() as cursor:
        cursor.execute(ATTRIBUTES_SQL, [catalog.pk])
        attributes = {user_id: json.loads(text) for user_id, text in cursor.fetchall()}
    return People.of(attributes, catalog.ignored_attributes)


def _with_people(table: pa.Table, people: People) -> pa.Table:
    """The rows of a snapshot, and one for each trait of each person."""
    person, trait = people.has.nonzero()
    nothing = pa.nulls(len(trait))
    columns = {
        "user_id": people.user_ids[person],
        "item_id": nothing,
        "type": [TRAIT] * len(trait),
        "timestamp": nothing,
        "position": trait,
    }
    arrays = [pa.array(columns[name]).cast(kind) for name, kind in COLUMNS.items()]
    rows = pa.table(arrays, names=list(COLUMNS))
    told = json.dumps(asdict(people.traits)).encode()
    return pa.concat_tables([table, rows]).replace_schema_metadata({TRAITS: told})


def read_people(snapshot: Snapshot, catalog: Catalog) -> People:
    """The traits of the snapshot's people, but those that the catalog ignores by now.

    Nobody's in snapshots of before they were kept.
    """
    told = pyarrow.parquet.read_schema(snapshot.path).metadata or {}
    if TRAITS not in told:
        return NOBODY
    table = pyarrow.parquet.read_table(snapshot.path, filters=[("type", "==", TRAIT)])
    users, rows = table["user_id"].to_numpy(), table["position"].to_numpy().astype(np.int64)
    people = People.from_pairs(Traits.read(json.loads(told[TRAITS])), users, rows)
    return people.without(catalog.ignored_attributes)
