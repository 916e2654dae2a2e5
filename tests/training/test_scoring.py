"""Intervals of what one person asked several times: wider than of as many people."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from catalog.models import Catalog, EncoderVersion
from ranking.encoder_files import EncoderConfig
from ranking.text_model import TextModel
from tests.ranking.worlds import context_of, log_of, state
from training import cold_start, learned
from training.ablation import Part, _row
from training.handle import RunHandle
from training.scoring import FoldRequests, Requests
from training.splits import QUERY, leave_last


class Told:
    """Stands in for a run's handle."""

    seed = 0

    def __init__(self, catalog: Catalog | None = None, folder: Path = Path()) -> None:
        self.catalog, self.folder = catalog, folder
        self.lines: list[str] = []

    def check(self) -> None: ...
    def stage(self, name: str, fraction: float) -> None: ...
    def record(self, **facts: str) -> None: ...
    def part(self, begin: float, end: float) -> AbstractContextManager[None]:
        return nullcontext()

    def log(self, text: str) -> None:
        self.lines.append(text)


HIT_OR_MISS = np.array([0.0] * 4 + [1.0] * 4)
TWO = np.array([7, 7, 7, 7, 9, 9, 9, 9])  # one of them always hits, the other never does


def test_a_persons_last_picks_are_all_of_one_person() -> None:
    events = ((user, (user + day) % 12, 30.0 - day, 1.0) for user in (7, 9) for day in range(20))
    log = log_of(*events)
    fold = leave_last(log, 4, repeats=True).valid
    assert sorted(FoldRequests(state(log), log, fold, 0).people.tolist()) == TWO.tolist()


def test_who_is_not_known_is_a_person_of_their_own() -> None:
    contexts = [context_of(), context_of((0, 1.0, 1.0)), context_of()]
    cases = Requests(state(log_of((1, 0, 1.0, 1.0))), contexts, [np.array([1])] * 3)
    assert len(set(cases.people.tolist())) == 3


def test_a_part_is_worth_what_it_is_worth_to_people() -> None:
    part = Part("stage", "diversity", cast(Any, None), False, QUERY)
    assert _row(part, HIT_OR_MISS, np.zeros(8), TWO)["worth"] == {"value": 0.5, "low": 0, "high": 1}


def test_cold_start_resamples_people(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of((7, 0, 2.0, 1.0), (9, 3, 2.0, 1.0))
    requests = Requests(state(log), [context_of()] * 8, [np.array([1])] * 8)
    monkeypatch.setattr(requests, "people", TWO)
    monkeypatch.setattr(requests, "each", lambda scorer: HIT_OR_MISS)
    rows = cold_start._compared(cast(RunHandle, Told()), "a case", "", requests)
    assert next(rows)["ndcg@10"] == {"value": 0.5, "low": 0, "high": 1}


@pytest.mark.django_db
def test_what_an_encoder_gains_is_told_by_people(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = Catalog.objects.create(slug="stall", name="Stall", item_kind="article")
    made = EncoderVersion.objects.create(name="made", digest="1" * 64, dimensions=8)
    for name in ("save_text_model", "load_tokenizer", "encode"):
        monkeypatch.setattr(learned, name, lambda *_: None)
    monkeypatch.setattr(learned, "publish_encoder", lambda *_: made)
    answers = iter([(np.zeros(8), TWO), (HIT_OR_MISS, TWO)])
    monkeypatch.setattr(learned, "text_ndcg", lambda *_: next(answers))
    handle: Any = Told(catalog, tmp_path)
    learned.publish_and_measure(
        handle, cast(TextModel, None), EncoderConfig("tiny"), made, "lora", {}, {}
    )
    assert made.metrics["gain"] == {"value": 0.5, "low": 0, "high": 1}
    assert "+0.5000 [+0.0000, +1.0000]" in handle.lines[-1]
