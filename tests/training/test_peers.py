"""What peers are given, and that their ranks are read as they were written."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ranking.worlds import log_of, state
from training.peers import PROGRAM, export, read_ranks
from training.splits import leave_last


def test_the_export_holds_what_was_known_and_no_more(tmp_path: Path) -> None:
    log = log_of(*((user, row, 20.0 - row, 1.0) for user in (7, 9) for row in range(8)))
    export(state(log), log, leave_last(log, 1, repeats=False), tmp_path)
    assert json.loads((tmp_path / "meta.json").read_text()) == {
        "items": 12,
        "users": 2,
        "repeats": True,
    }
    test = pq.read_table(tmp_path / "test" / "requests.parquet").to_pylist()
    assert [(row["user"], row["picked"]) for row in test] == [(0, [7]), (1, [7])]
    assert test[0]["history"] == [0, 1, 2, 3, 4, 5, 6]
    train = pq.read_table(tmp_path / "test" / "train.parquet")
    assert train["item"].to_pylist() == [0, 1, 2, 3, 4, 5] * 2
    valid = pq.read_table(tmp_path / "valid" / "requests.parquet").to_pylist()
    assert [row["picked"] for row in valid] == [[6], [6]]
    assert pq.read_table(tmp_path / "allowed.parquet")["item"].to_pylist() == list(range(12))


def test_ranks_are_read_request_by_request(tmp_path: Path) -> None:
    ranks = {"request": [1, 0, 1], "item": [4, 2, 3], "rank": [0, 5, 9]}
    pq.write_table(pa.table(ranks), tmp_path / "als.parquet")
    tops = {"request": [1, 0], "top": [[4, 1], [2, 0]]}
    pq.write_table(pa.table(tops), tmp_path / "als.top.parquet")
    told = {"library": "Implicit", "fit_seconds": 1.5, "score_ms_per_user": 0.2, "peak_mb": 300}
    ranked = read_ranks(tmp_path, "als", told)
    assert ranked.ranks.tolist() == [[5, -1], [0, 9]]
    assert ranked.tops.tolist() == [[2, 0], [4, 1]]
    assert (ranked.name, ranked.role, ranked.fit_seconds) == ("als", "baseline", 1.5)


def test_the_program_that_runs_the_peers_is_there() -> None:
    assert (Path(__file__).parents[2] / PROGRAM).is_file()


@pytest.mark.parametrize("request_order", [[0, 0, 1], [1, 0, 0]])
def test_several_targets_of_one_request_stay_together(
    tmp_path: Path, request_order: list[int]
) -> None:
    ranks = {"request": request_order, "item": [1, 2, 3], "rank": [3, 3, 3]}
    pq.write_table(pa.table(ranks), tmp_path / "x.parquet")
    pq.write_table(pa.table({"request": [0, 1], "top": [[1], [2]]}), tmp_path / "x.top.parquet")
    told = {"library": "L", "fit_seconds": 0, "score_ms_per_user": 0, "peak_mb": 0}
    assert np.array_equal(read_ranks(tmp_path, "x", told).ranks, [[3, 3], [3, -1]])
