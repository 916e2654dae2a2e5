"""⑪ Logs → an immutable Parquet snapshot with a digest, split by time."""

import hashlib
import io
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
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
from ranking.types import DAY, InteractionLog
from training.errors import TrainingFault

LONGEST_WINDOW = 28 * DAY
LEAST_INTERACTIONS = 200
LEAST_PEOPLE = 10
EXPORT_SQL = """
COPY (
    SELECT user_id, item_id, type, extract(epoch FROM "timestamp")::float8
    FROM catalog_interaction WHERE catalog_id = {catalog:d} AND NOT is_suspected
    ORDER BY user_id, "timestamp", id
) TO STDOUT (FORMAT csv)
"""
COLUMNS = {
    "user_id": pa.int64(),
    "item_id": pa.int64(),
    "type": pa.string(),
    "timestamp": pa.float64(),  # seconds since the epoch
}


@dataclass(frozen=True)
class Snapshot:
    """A file that never changes: its name is its digest."""

    path: Path
    digest: str  # sha256, hex


@dataclass(frozen=True)
class Split:
    """Global points in time, seconds since the epoch: nothing later is known at each of them.

    begin … rank_start trains the tower; … valid_start stops the tower early and trains the ranker;
    … test_start stops the ranker early, then trains it, too; … end is for evaluation only.
    """

    begin: float
    rank_start: float
    valid_start: float
    test_start: float
    end: float

    def __str__(self) -> str:
        days = [
            datetime.fromtimestamp(moment, UTC).strftime("%-d %b %Y")
            for moment in (self.begin, self.rank_start, self.valid_start, self.test_start, self.end)
        ]
        return "from {}; ranker from {}; validation from {}; test from {} to {}".format(*days)


def take_snapshot(catalog: Catalog) -> Snapshot:
    """Write the counted interactions of a catalog to Parquet, sorted by user, then time."""
    buffer = io.BytesIO()
    sql = EXPORT_SQL.format(catalog=catalog.pk)
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


def read_log(snapshot: Snapshot, items: ItemIndex, catalog: Catalog) -> InteractionLog:
    """The snapshot in columns; interactions with items that are gone are left out."""
    table = pyarrow.parquet.read_table(snapshot.path)
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
    )
    return log.keep(rows >= 0)


def split_by_time(log: InteractionLog, catalog: Catalog) -> Split:
    """Test and validation: the last two windows of up to 28 days; the ranker's: two before them.

    Raises
    ------
    TrainingFault
        Too little to learn from; says how much there is and how much is needed.
    """
    people = len(np.unique(log.users))
    if len(log) < LEAST_INTERACTIONS or people < LEAST_PEOPLE:
        raise TrainingFault(
            f"{catalog.name} has {len(log):,} interactions by {people:,} people; training needs "
            f"{LEAST_INTERACTIONS} by {LEAST_PEOPLE}. Until then the site ranks by the encoder "
            "and popularity."
        )
    begin, end = float(log.timestamps.min()), float(log.timestamps.max()) + 1.0
    window = min(LONGEST_WINDOW, (end - begin) * 0.12)
    if window < 60.0:
        raise TrainingFault(
            f"All interactions of {catalog.name} happened at the same time, so nothing can be "
            "held back to test on: import them with their timestamps."
        )
    return Split(begin, end - 4 * window, end - 2 * window, end - window, end)
