"""⑬ Peer libraries on our splits: what benchmarks/peers.py is given, and what it answers.

It runs in an environment of its own, so the two talk through files: Parquet folders for the
validation and the test fold, and a file of ranks for each peer, which our metrics then read.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from django.conf import settings

from ranking.state import RankingState
from ranking.types import IntArray, InteractionLog
from training.errors import TrainingFault
from training.handle import RunHandle
from training.report import Ranked
from training.scoring import padded
from training.splits import Fold, Split

PROGRAM = Path("benchmarks") / "peers.py"
GRACE = 3_600.0  # seconds that a peer's last fit and its scoring may take beyond its budget


def export(state: RankingState, log: InteractionLog, split: Split, folder: Path) -> None:
    """Write the folds as benchmarks/peers.py wants them; rows and people become dense numbers."""
    people = np.unique(log.users)
    meta = {
        "items": len(state.items),
        "users": len(people),
        "repeats": state.repeat_consumption,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    allowed = np.flatnonzero(state.items.available)
    pyarrow.parquet.write_table(pa.table({"item": allowed}), folder / "allowed.parquet")
    for name, fold in (("valid", split.valid), ("test", split.test)):
        (folder / name).mkdir(exist_ok=True)
        known = log.keep(fold.known & (log.weights > 0))
        train = {
            "user": np.searchsorted(people, known.users),
            "item": known.rows,
            "weight": known.weights,
            "timestamp": known.timestamps,
        }
        pyarrow.parquet.write_table(pa.table(train), folder / name / "train.parquet")
        requests = pa.table(_requests(log, fold, people))
        pyarrow.parquet.write_table(requests, folder / name / "requests.parquet")


def _requests(log: InteractionLog, fold: Fold, people: IntArray) -> dict[str, pa.Array]:
    """The fold's requests in columns, with what was known of the person."""
    users = np.array([request.user_id for request in fold.requests], dtype=np.int64)
    histories = [slice(request.start, request.stop) for request in fold.requests]
    return {
        "request": pa.array(np.arange(len(users))),
        "user": pa.array(np.searchsorted(people, users)),
        "history": pa.array([log.rows[past] for past in histories], pa.list_(pa.int64())),
        "history_weight": pa.array(
            [log.weights[past] for past in histories], pa.list_(pa.float32())
        ),
        "picked": pa.array([request.picked for request in fold.requests], pa.list_(pa.int64())),
    }


def peer_names(python: Path) -> list[str]:
    """The peers that benchmarks/peers.py knows."""
    return _run([str(python), str(PROGRAM), "--list"], 120.0).split()


def run_peer(
    handle: RunHandle, python: Path, folder: Path, name: str, trials: int, seconds: float
) -> Ranked | None:
    """Tune, fit and ask one peer; None, and a line in the log, if it fails."""
    command = [str(python), str(PROGRAM), str(folder), name]
    command += ["--trials", str(trials), "--seconds", str(seconds), "--seed", str(handle.seed)]
    try:
        _run(command, seconds + GRACE)
    except TrainingFault as fault:
        handle.log(f"Peer {name}: {fault}")
        return None
    told = json.loads((folder / "ranks" / f"{name}.json").read_text())
    handle.log(f"Peer {name}: {told['library']} {told['version']}, {told['parameters']}")
    return read_ranks(folder / "ranks", name, told)


def _run(command: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise TrainingFault(f"It was not ready after {seconds:,.0f} seconds.") from None
    except (OSError, subprocess.CalledProcessError) as fault:
        lines = (getattr(fault, "stderr", "") or str(fault)).strip().splitlines()
        raise TrainingFault(lines[-1] if lines else str(fault)) from None
    return done.stdout


def read_ranks(folder: Path, name: str, told: dict[str, Any]) -> Ranked:
    """A peer's ranks, request by request."""
    table = pyarrow.parquet.read_table(folder / f"{name}.parquet").sort_by("request")
    request, rank = table["request"].to_numpy(), table["rank"].to_numpy()
    tops = pyarrow.parquet.read_table(folder / f"{name}.top.parquet").sort_by("request")
    return Ranked(
        name,
        "baseline",
        padded(np.split(rank, np.flatnonzero(np.diff(request)) + 1)),
        padded([np.array(row, dtype=np.int64) for row in tops["top"].to_pylist()]),
        float(told["fit_seconds"]),
        float(told["score_ms_per_user"]),
        float(told["peak_mb"]),
    )
