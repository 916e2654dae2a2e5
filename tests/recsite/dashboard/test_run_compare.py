"""The dashboard: runs side by side."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from catalog.models import Catalog
from tests.recsite.dashboard.pages import registered
from training.models import RunMetric, TrainingRun

COMPARE = "/dashboard/runs/compare/"


@pytest.fixture
def two(shop: Catalog, tmp_path: Path) -> list[TrainingRun]:
    found = []
    for number, ndcg in enumerate((0.1, 0.2)):
        run = TrainingRun.objects.create(
            catalog=shop,
            kind="train",
            state="succeeded",
            seed=3,
            parameters={"epochs": 3 + number},
            environment={"torch": "2.13", "host": f"machine-{number}"},
        )
        version = registered(shop, tmp_path, ndcg)
        version.run = run
        version.save()
        RunMetric.objects.bulk_create(
            RunMetric(run=run, name=name, step=step, value=(2 + number) / (step + 1))
            for step in range(20)
            for name in ("tower/train_loss", "tower/valid_ndcg")
        )
        found.append(run)
    return found


def address(runs: list[TrainingRun], more: str = "") -> str:
    return f"{COMPARE}?{'&'.join(f'run={run.pk}' for run in runs)}{more}"


class TestCompare:
    def test_side_by_side_with_deltas_and_overlaid_curves(
        self, staff: Client, two: list[TrainingRun], django_assert_max_num_queries: Any
    ) -> None:
        with django_assert_max_num_queries(6):
            text = staff.get(address(two)).content.decode()
        assert text.count('<figure class="chart"') == 2
        assert text.count("<polyline") == 4
        assert '0.2000 <span class="difference better">+0.1000</span>' in text
        assert '0.1500 <span class="difference worse">+0.0500</span>' in text  # of the loss
        assert text.count('class="row-differs"') >= 4
        assert "machine-1" in text
        assert "2.13" in text

    def test_differences_only_stands_in_the_address(
        self, staff: Client, two: list[TrainingRun]
    ) -> None:
        text = staff.get(address(two, "&only=differences")).content.decode()
        assert "machine-1" in text
        assert "epochs" in text
        assert "2.13" not in text
        assert "Show all rows" in text

    def test_one_twice_or_none_or_too_many_say_how_to_choose(
        self, staff: Client, shop: Catalog, two: list[TrainingRun]
    ) -> None:
        assert "No run is chosen" in staff.get(f"{COMPARE}?run=nix").content.decode()
        assert "nothing beside it" in staff.get(address([two[0], two[0]])).content.decode()
        many = [TrainingRun.objects.create(catalog=shop, kind="train") for _ in range(6)]
        assert "too many: 6" in staff.get(address(many)).content.decode()
        assert "Side by side" not in staff.get(address(many)).content.decode()

    def test_runs_without_anything_can_be_compared(self, staff: Client, shop: Catalog) -> None:
        bare = [TrainingRun.objects.create(catalog=shop, kind="encode") for _ in range(2)]
        text = staff.get(address(bare, "&only=differences")).content.decode()
        assert "do not differ in anything" in text
