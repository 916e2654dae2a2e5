"""⑬ What each encoder of a catalog is worth by itself: as configured, and as learned or quantised.

Each ranks the whole catalog for the people of the test by the texts of their recent items alone,
with no behaviour of others and no ranker. Nothing is tuned or trained here.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.models import EncoderVersion
from ranking.device import one_thread
from ranking.encoder import config_of
from ranking.encoder_files import weight_bytes
from ranking.errors import RankingFault
from ranking.loading import bare_state
from ranking.text_model import folder_of
from ranking.types import IntArray
from training import metrics
from training.encoders import CONFIGURED, encoder_of_run, refuse_leak
from training.errors import TrainingFault
from training.evaluation import prepare
from training.fit import Limits
from training.handle import RunHandle
from training.models import RunState, TrainingRun
from training.plots import name_of
from training.quantize import query_ms
from training.report import with_interval
from training.scoring import Requests, checked, text_scorer
from training.splits import context_of, drawn

MOST = 2_000  # requests
MAKERS = (TrainingRun.Kind.PRETRAIN, TrainingRun.Kind.FINETUNE, TrainingRun.Kind.QUANTIZE)


def by_encoder(
    handle: RunHandle,
    split_name: str,
    _limits: Limits | None = None,
    encoder: str = "",
    most_people: int | None = None,
) -> list[dict[str, Any]]:
    """A row an encoder: nDCG@10 and recall@20, what it gains on the configured one, what it costs.

    With `encoder`, only that one beside the configured one; else the newest of each way and origin.
    One that knows picks of this test is left out, and the log says so.

    Raises
    ------
    TrainingFault
        Nobody picked anything in the test.
    """
    rows: list[dict[str, Any]] = []
    first: NDArray[np.float64] | None = None
    for version in _versions(handle, encoder, split_name):
        try:
            ranks, people = _answers(handle, version, split_name, most_people or MOST)
        except (TrainingFault, RankingFault) as fault:
            if first is None:  # of the configured one: nothing can be compared
                raise
            handle.log(f"Without {version}: {fault}")
            continue
        ndcg = metrics.ndcg(ranks, 10)
        first = ndcg if first is None else first
        rows.append(
            {
                **_way(version),
                "encoder": str(version),
                "requests": len(ndcg),
                "ndcg@10": with_interval(ndcg, people),
                "recall@20": with_interval(metrics.recall(ranks, 20), people),
                "gain": with_interval(ndcg - first, people),
                **_costs(handle, version),
            }
        )
    return rows


def _versions(handle: RunHandle, wanted: str, split_name: str) -> Iterator[EncoderVersion]:
    """The configured encoder, then those that know no pick of the test, as they were made."""
    configured = encoder_of_run(handle, CONFIGURED)
    yield configured
    if wanted:
        chosen = encoder_of_run(handle, wanted)
        if chosen != configured:
            yield chosen
        return
    newest: dict[tuple[str, int | None], EncoderVersion] = {}
    for made in handle.catalog.encoders.order_by("pk"):
        try:
            refuse_leak(made, split_name)
        except TrainingFault as fault:
            handle.log(f"Without {made}: {fault}")
        else:
            newest[made.way, made.parent_id] = made
    yield from sorted(newest.values(), key=lambda made: made.pk)


def _answers(
    handle: RunHandle, version: EncoderVersion, split_name: str, most: int
) -> tuple[IntArray, IntArray]:
    """The place of what each request of the test picked, by the texts alone, and who asked."""
    chosen = version.digest if version.is_learned else CONFIGURED
    items, log, split = prepare(handle, split_name, chosen)
    requests = drawn(split.test.requests, most, handle.seed)
    if not requests:
        raise TrainingFault(
            "Nobody picked anything in the test, so there is nothing to measure: wait for more "
            "interactions, import some, or measure on another split."
        )
    state = bare_state(items, handle.catalog)
    contexts = [context_of(log, request) for request in requests]
    cases = Requests(state, contexts, [request.picked for request in requests])
    handle.stage(f"asking {version}", 0.5)
    with one_thread():
        ranks = cases.ranks(checked(handle.check, text_scorer(state)))
    _, people = np.unique([request.user_id for request in requests], return_inverse=True)
    return ranks, people


def _costs(handle: RunHandle, version: EncoderVersion) -> dict[str, float | None]:
    """The minutes of the run that made it, and what a query and its weights take."""
    config = config_of(version)
    made = TrainingRun.objects.filter(environment__encoder=version.digest, kind__in=MAKERS)
    run = made.filter(state=RunState.SUCCEEDED).order_by("created_at").last()
    texts = [item.text for item in handle.catalog.items.order_by("pk")[:500]]
    return {
        "minutes": run.seconds / 60 if run and run.seconds else None,
        "query_ms": query_ms(config, texts),
        "megabytes": weight_bytes(folder_of(config)) / 1e6,
    }


def _way(version: EncoderVersion) -> dict[str, str]:
    """How it came about, and the same of what it was made from; '' if that was the configured one.

    The page puts both in the reader's words (plots.name_of).
    """
    if not version.is_learned:
        return {"model": CONFIGURED, "of": ""}
    origin = version.parent
    return {"model": version.way, "of": origin.way if origin and origin.is_learned else ""}


def told(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    ndcg, recall, gain = row["ndcg@10"], row["recall@20"], row["gain"]
    minutes = "" if row["minutes"] is None else f", made in {row['minutes']:.0f} min"
    return (
        f"{name_of(row):24} {row['requests']:>6,} requests   nDCG@10 {ndcg['value']:.4f} "
        f"[{ndcg['low']:.4f}, {ndcg['high']:.4f}], {gain['value']:+.4f} "
        f"[{gain['low']:+.4f}, {gain['high']:+.4f}]   recall@20 {recall['value']:.4f} "
        f"[{recall['low']:.4f}, {recall['high']:.4f}]   query {row['query_ms']:.1f} ms, "
        f"{row['megabytes']:.0f} MB{minutes}"
    )
