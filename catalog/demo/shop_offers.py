"""What the demo shop promoted in each week: in its mailer, or on a display.

The file says it for every product, store and week. The shop here has no stores, so a product counts
as promoted where many of the stores that promoted anything in that very week did so; no row of
another week is looked at.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.demo import shop_data
from catalog.importers.rows import StagedRow

# kind → where it is placed (a column of the file), and n: more than one in n stores must do it
KINDS = {"mailer": ("mailer_location", 2), "display": ("display_location", 5)}
NOWHERE = "0"
HOUR = 3600  # seconds
WEEK = 7 * 24 * HOUR  # seconds
ROWS_AT_ONCE = 500_000  # about 1.3 weeks; the whole file would take more than a gigabyte


def rows(items: NDArray[np.int64], shift: int) -> Iterator[StagedRow]:
    """When these items were promoted, moved on by `shift` seconds; weeks in a row are one row.

    So whether an item is promoted at a moment follows from that week alone; how long it goes on
    from there is more than anybody knew at its beginning.
    """
    times = weeks()
    wanted = set(items.tolist())
    runs = _runs((week, promoted(table)) for week, table in _week_by_week())
    kept = (run for run in runs if run[0] in wanted)
    for line, (product, kind, first, last) in enumerate(kept, start=1):
        start, end = times[first][0] + shift, times[last][1] + shift
        yield (line, str(product), kind, str(start), str(end), None)


def _runs(
    weekly: Iterable[tuple[int, Mapping[str, NDArray[np.int64]]]],
) -> Iterator[tuple[int, str, int, int]]:
    """Product, kind, first and last week of each offer, in the order of their last weeks."""
    running: dict[tuple[int, str], int] = {}  # product, kind → its first week
    before = 0
    for week, kinds in weekly:
        now = {(product, kind) for kind, products in kinds.items() for product in products.tolist()}
        for product, kind in sorted(running.keys() - now):
            yield product, kind, running.pop((product, kind)), before
        running |= dict.fromkeys(now - running.keys(), week)
        before = week
    for (product, kind), first in sorted(running.items()):
        yield product, kind, first, before


def promoted(table: "pa.Table") -> dict[str, NDArray[np.int64]]:
    """Kind → the products that more than so many of the week's stores promoted, by number.

    Parameters
    ----------
    table
        One week's rows: product_id, store_id and the columns of KINDS. Some products stand twice
        in a store; that counts once.
    """
    product = pc.dictionary_encode(table["product_id"].combine_chunks())
    store = pc.dictionary_encode(table["store_id"].combine_chunks())
    numbers, stores = product.dictionary.to_numpy(), len(store.dictionary)
    place = product.indices.to_numpy(), store.indices.to_numpy()
    found = {}
    for kind, (column, one_in) in KINDS.items():
        here = pc.not_equal(table[column].cast(pa.string()), NOWHERE).to_numpy()
        does = np.zeros((len(numbers), stores), dtype=bool)
        does[place[0][here], place[1][here]] = True
        found[kind] = np.sort(numbers[does.sum(axis=1) * one_in > stores])
    return found


def weeks() -> dict[int, tuple[int, int]]:
    """When each week of the data began and ended (excluded), in seconds since 1970.

    A week begins in the hour of its first purchase, and ends where the next one begins. The last
    one goes on until a week after the last purchase: into the days in which the demo is loaded.
    """
    table = pq.read_table(
        shop_data.folder() / "transactions.parquet", columns=["week", "transaction_timestamp"]
    )
    first = table.group_by("week").aggregate([("transaction_timestamp", "min")]).sort_by("week")
    starts = (_seconds(first["transaction_timestamp_min"]) // HOUR * HOUR).tolist()
    last = int(_seconds(table["transaction_timestamp"]).max())
    ends = [*starts[1:], last + WEEK]
    return dict(zip(first["week"].to_pylist(), zip(starts, ends, strict=True), strict=True))


def _seconds(column: "pa.ChunkedArray") -> NDArray[np.int64]:
    seconds: NDArray[np.int64] = column.to_numpy().astype("datetime64[s]").astype(np.int64)
    return seconds


def _week_by_week() -> Iterator[tuple[int, "pa.Table"]]:
    """Each week's rows, whole; the file is in the order of its weeks."""
    columns = [column for column, _ in KINDS.values()]
    path = shop_data.folder() / "promotions.parquet"
    rest: list[pa.Table] = []  # the beginning of a week whose end is still to come
    before = 0
    with pq.ParquetFile(path, read_dictionary=columns) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            table = pa.concat_tables([*rest, pa.Table.from_batches([batch])])
            week = table["week"].to_numpy()
            start = 0
            for end in [*(np.flatnonzero(np.diff(week)) + 1).tolist(), len(week)]:
                if week[start] < before:
                    raise ValueError(f"{path} is not in the order of its weeks")
                before = int(week[start])
                rest = [table.slice(start, end - start)]
                if end < len(week):
                    yield before, rest[0]
                start = end
    if rest:
        yield before, rest[0]
