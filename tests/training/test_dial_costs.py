"""What the dials cost, measured in a small made-up world."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from catalog.dials import DIALS
from catalog.models import Catalog
from ranking.state import RankingState
from ranking.types import DAY, InteractionLog
from tests.ranking.worlds import NOW, item_index, log_of, state
from training import dial_costs, measure_dials
from training.errors import TrainingFault
from training.models import RunMetric, RunState, TrainingRun
from training.splits import Moments, Split, time_split

MOMENTS = Moments(NOW - 40 * DAY, NOW - 20 * DAY, NOW - 15 * DAY, NOW - 10 * DAY, NOW)
ITEMS = replace(item_index(24), published=np.full(24, NOW - 60 * DAY))


class Handle:
    """What measuring needs of its run."""

    def __init__(self, run: TrainingRun) -> None:
        self.run, self.catalog, self.seed = run, run.catalog, 1
        self.lines: list[str] = []

    def stage(self, name: str, fraction: float) -> None:
        pass

    def check(self) -> None:
        pass

    def log(self, text: str) -> None:
        self.lines.append(text)

    def metric(self, name: str, step: int, value: float) -> None:
        RunMetric.objects.create(run=self.run, name=name, step=step, value=value)


@pytest.fixture
def handle(db: None) -> Handle:
    catalog = Catalog.objects.create(
        slug="stall",
        name="Stall",
        item_kind="product",
        live_bundle="stall-1",
        event_weights={"view": 1.0},
        repeat_consumption=True,
        diversity=0.25,
    )
    run = TrainingRun.objects.create(
        catalog=catalog, kind="evaluate", parameters={"what": dial_costs.WHAT}
    )
    return Handle(run)


def world(last_days: int = 0) -> tuple[RankingState, InteractionLog, Split]:
    """Twenty-four people who pick their own item again and again; the first ones are popular."""
    log = log_of(
        *(
            (user, user % 24, float(age), 1.0)
            for user in range(48)
            for age in range(39, last_days, -3)
        ),
        *((user, 0, 38.0, 1.0) for user in range(48)),
    )
    return state(log, ITEMS), log, time_split(log, MOMENTS, repeats=True)


def test_each_setting_has_its_price(handle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_dials, "live_pipeline", lambda catalog: world())
    measure_dials.measure_dials(handle)
    assert dial_costs.last_measurement(handle.catalog) is None  # it is not over
    TrainingRun.objects.update(state=RunState.SUCCEEDED)
    run = dial_costs.last_measurement(handle.catalog)
    assert run == handle.run
    assert run is not None
    costs = dial_costs.costs_of(run)
    assert set(costs) == set(DIALS)
    for name, dial in DIALS.items():
        now = 0.25 if name == "diversity" else 0.0
        settings = [cost.setting for cost in costs[name]]
        assert settings == pytest.approx(sorted({*dial.settings, now}))
        own = costs[name][settings.index(now)]
        assert own.margin == 0.0
        assert 0 < own.ndcg <= 1
        assert 0 < own.coverage <= 1
    explored = costs["exploration"]
    assert explored[-1].ndcg < explored[0].ndcg  # places given by chance cost something
    assert explored[-1].margin > 0
    assert "48 requests of the model's test window" in handle.lines


def test_without_a_model_or_visits(handle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_dials, "live_pipeline", lambda catalog: world(last_days=12))
    with pytest.raises(TrainingFault, match="Nobody came"):
        measure_dials.measure_dials(handle)
    handle.catalog.live_bundle = ""
    with pytest.raises(TrainingFault, match=r"manage\.py train stall"):
        measure_dials.measure_dials(handle)
