"""What `manage.py evaluate` asks of a small catalog, question by question."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Catalog
from ranking.sources import union
from ranking.types import DAY
from tests.training.trained import QUICK, evaluated
from training.ablation import told
from training.backtest import Backtest, backtest, mean_leads
from training.by_history import told as by_history_told
from training.cold_start import cold_start
from training.cold_start import told as cold_start_told
from training.errors import TrainingFault
from training.evaluation import ablate_catalog
from training.handle import RunHandle
from training.measures import measure
from training.models import ModelVersion, TrainingRun
from training.runs import create_claimed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]


def test_each_part_is_taken_away_once(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"ablate": True})
    with RunHandle(run, lease) as handle:
        rows = ablate_catalog(handle, "leave-last-2", QUICK)
    kinds = [row["kind"] for row in rows]
    assert kinds.count("recall") == len(union.NAMES)
    of_use = {row["name"] for row in rows if row["kind"] == "recall" and row["recall"] > 0}
    assert of_use <= {row["name"] for row in rows if row["kind"] == "source"}
    assert {"stage", "features", "nothing"} <= set(kinds)
    for row in rows:
        assert row["name"] in told(row)
        if row["kind"] == "recall":
            assert 0 <= row["alone"] <= row["recall"] <= 1
        else:
            worth = row["worth"]
            assert worth["value"] == pytest.approx(row["with"] - row["without"], abs=1e-6)
            assert worth["low"] <= worth["value"] <= worth["high"]


def test_without_a_bundle_a_pipeline_is_fitted_for_the_evaluation(catalog: Catalog) -> None:
    result = evaluated(catalog, "leave-last-2")
    assert (result["split"], result["users"], result["requests"]) == ("leave-last-2", 30, 60)
    assert result["bundle"] == ""
    models = {model["name"]: model["metrics"]["recall@10"]["value"] for model in result["models"]}
    assert models["full pipeline"] > models["popularity"]
    assert not ModelVersion.objects.exists()


def test_months_before_the_test_are_measured_one_by_one(catalog: Catalog) -> None:
    plan = Backtest(months=2, people=20, requests=20, rounds=5)
    results = backtest(catalog, plan)
    newest, older = (result["test_start"] for result in results)
    assert newest - older == pytest.approx(58 * DAY * 0.12, rel=0.01)
    assert [result["users"] for result in results] == [20, 20]
    leads = mean_leads(results)
    assert {"popularity", "personal popularity", "blend of baselines"} <= set(leads)
    assert leads["popularity"] > 0
    with pytest.raises(TrainingFault, match="reach back for 4 such months"):
        backtest(catalog, Backtest(months=9))


def test_by_history_the_blend_is_beside_its_parts(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"by": "history"})
    with RunHandle(run, lease) as handle:
        stored = measure(handle, "by-history", limits=QUICK)
    assert (stored.catalog, stored.run, stored.split) == (catalog, run, "time")
    assert stored.bundle == ""
    lengths = [row for row in stored.rows if row["by"] == "history"]
    assert [row["model"] for row in lengths[:3]] == [
        "language model alone",
        "behaviour alone",
        "blend",
    ]
    assert lengths[0]["from"] == 0
    assert any(row["by"] == "picks" for row in stored.rows)
    for row in stored.rows:
        assert row["ndcg@10"]["low"] <= row["ndcg@10"]["value"] <= row["ndcg@10"]["high"]
        assert ("over_better" in row) == (row["model"] == "blend")
    assert "over behaviour alone" in by_history_told(lengths[2])
    with RunHandle(run, lease) as handle, pytest.raises(TrainingFault, match="by-history, cold"):
        measure(handle, "by-moon")


def test_cold_start_is_measured_case_by_case(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"cold": True})
    with RunHandle(run, lease) as handle:
        rows = cold_start(handle, "time", QUICK)
    figures = {(row["case"], row["model"]): row for row in rows}
    people = [f"people with {length} interactions" for length in (0, 1, 3)]
    first_day, untouched = "a catalog's first day", "items that nobody has touched"
    assert {case for case, _ in figures} == {*people, first_day, untouched}
    assert {model for case, model in figures if case == first_day} == {"chance", "text alone"}
    told_lines = [cold_start_told(row) for row in rows]
    assert any("× chance" in line for line in told_lines)

    def value(case: str, model: str) -> float:
        return float(figures[case, model]["ndcg@10"]["value"])

    assert value(first_day, "text alone") > 1.2 * value(
        first_day, "chance"
    )  # fruit goes with fruit
    assert value(people[0], "text alone") == value(people[0], "text alone")
    assert value(people[2], "full pipeline") > value(people[0], "full pipeline")
    assert figures[untouched, "popularity"]["requests"] > 0


def test_the_command_says_in_one_line_what_is_wrong_and_leaves_no_run_behind(
    catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match=r"There is no split 'daily'; say time"):
        call_command("evaluate", "stall", "--split", "daily")
    with pytest.raises(CommandError, match="There is no folder"):
        call_command("evaluate", "stall", "--json", str(tmp_path / "none" / "f.json"))
    with pytest.raises(CommandError, match="There is no catalog 'other'"):
        call_command("evaluate", "other")
    assert not TrainingRun.objects.exists()
