"""The search for better settings: budget, processes, its end, and what trainings make of it."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from catalog.models import Catalog
from ranking.bundle import open_bundle
from tests.training.searches import a_search
from training import tune as tuning
from training.errors import RunCancelled, RunInterrupted, TrainingFault
from training.execute import Work
from training.finetune import finetune
from training.handle import RunHandle
from training.kinds import train_and_register
from training.models import ModelVersion, TrainingRun
from training.runs import create_claimed
from training.search_space import Search
from training.trial import HelperHandle
from training.tune import tune
from training.tuned import LATEST, best_of, searches

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]

QUICK: dict[str, Any] = {"rounds": 5, "epochs": 1}
Kind = TrainingRun.Kind


def carried_out(
    catalog: Catalog, work: Work, kind: str = Kind.TUNE, /, **parameters: Any
) -> TrainingRun:
    run, lease = create_claimed(catalog, kind, "test", parameters)
    with RunHandle(run, lease) as handle:
        work(handle)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", ended_at=timezone.now())
    run.refresh_from_db()
    return run


def said(run: TrainingRun, text: str) -> bool:
    return run.log_lines.filter(text__contains=text).exists()


class TestSearch:
    def test_tries_the_usual_first_and_goes_on_where_the_last_one_ended(
        self, catalog: Catalog
    ) -> None:
        first = carried_out(catalog, tune, only="trees", trials=4, **QUICK)
        trials = list(first.trials.order_by("number"))
        assert [trial.is_usual for trial in trials] == [True, True, True, False]
        assert {trial.branch for trial in trials} == {"trees"}
        assert trials[1].settings["depth"] == 3  # of the usual way "shallow"
        (best,) = best_of(trials)
        assert 0 < (best.usual or 0) <= (best.trial.value or 0) <= 1
        assert first.metrics.filter(name="trees/best_ndcg@10").exists()
        assert said(first, "Trial 3, trees")
        assert said(first, "trees: nDCG@10" if best.is_better else "trees: nothing better")

        second = carried_out(catalog, tune, only="fm", trials=2, **QUICK)
        assert said(second, "4 trials before this run")
        numbers = second.trials.order_by("number").values_list("branch", flat=True)
        assert list(numbers) == ["trees"] * 4 + ["fm"] * 2

    def test_a_killed_search_goes_on_with_what_is_left(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, lease = create_claimed(
            catalog, Kind.TUNE, "test", {"only": "trees", "trials": 4, **QUICK}
        )
        real = tuning.Searcher.trial

        def dies(self: tuning.Searcher, trial: Any) -> float:
            if trial.number == 2:
                self.handle.interrupt()
            return real(self, trial)

        with monkeypatch.context() as patched:
            patched.setattr(tuning.Searcher, "trial", dies)
            with pytest.raises(RunInterrupted), RunHandle(run, lease) as handle:
                tune(handle)
        run.refresh_from_db()
        assert run.trials.filter(state="complete").count() == 2
        with RunHandle(run, lease) as handle:
            tune(handle)
        done = list(run.trials.filter(state__in=["complete", "pruned"]))
        assert len(done) == 4
        lost, again = run.trials.get(number=2), run.trials.get(number=3)
        assert (lost.state, lost.settings) == ("fail", again.settings)
        assert sum(trial.is_usual for trial in done) == 3

    def test_it_is_cancelled_inside_a_trial(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, lease = create_claimed(catalog, Kind.TUNE, "test", {"only": "trees", **QUICK})
        real = tuning.Searcher.trial

        def cancelled(self: tuning.Searcher, trial: Any) -> float:
            self.handle._ask_to_stop(RunCancelled)
            return real(self, trial)

        monkeypatch.setattr(tuning.Searcher, "trial", cancelled)
        with pytest.raises(RunCancelled), RunHandle(run, lease) as handle:
            tune(handle)
        assert not list(handle.folder.glob("trial-*"))

    def test_two_processes_share_a_study(
        self, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        url = urlsplit(settings.DATABASE_URL)
        name = connection.settings_dict["NAME"]
        monkeypatch.setenv("DATABASE_URL", url._replace(path=f"/{name}").geturl())
        monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
        monkeypatch.setenv("RECSITE_VAR", str(tmp_path))
        monkeypatch.setenv("RUN_LEASE_SECONDS", "120")
        settings.RUN_LEASE_SECONDS = 120
        made: list[int] = []
        real = tuning.Searcher.trial

        def patient(self: tuning.Searcher, trial: Any) -> float:
            """Leaves the other process something to do."""
            made.append(trial.number)
            for _ in range(300):
                if {one.number for one in self.study.trials} - set(made):
                    break
                self.check()
                time.sleep(0.1)
            return real(self, trial)

        monkeypatch.setattr(tuning.Searcher, "trial", patient)
        run = carried_out(catalog, tune, only="fm", trials=6, workers=2, **QUICK)
        done = run.trials.filter(state__in=["complete", "pruned"])
        assert 6 <= done.count() <= 7  # both may begin the last one in the same moment
        assert 0 < len(made) < done.count()  # the rest is the other process's

    def test_its_minutes_are_those_that_it_worked(self, catalog: Catalog) -> None:
        run, _ = create_claimed(catalog, Kind.TUNE, "test", {})
        search = Search(trials=100, minutes=10)
        study = optuna.create_study()
        handle = HelperHandle(run, print)
        searcher = tuning.Searcher(handle, search, study, lambda *_: 0.0, 0, handle.check)
        two_hours, now = timedelta(hours=2), timezone.now()
        TrainingRun.objects.filter(pk=run.pk).update(started_at=now - two_hours)
        assert not searcher.has_budget()
        TrainingRun.objects.filter(pk=run.pk).update(idle=two_hours - timedelta(minutes=5))
        assert searcher.share() == pytest.approx(0.5, abs=0.02)

    @pytest.mark.parametrize(
        ("parameters", "branches"),
        [
            ({"what": "tower", "trials": 2, "epochs": 1}, {"tower"}),
            ({"what": "encoder", "only": "projection", "trials": 2, "steps": 4}, {"projection"}),
        ],
    )
    def test_tower_and_encoder(
        self, catalog: Catalog, parameters: dict[str, Any], branches: set[str]
    ) -> None:
        run = carried_out(catalog, tune, **parameters)
        assert {trial.branch for trial in run.trials.all()} == branches
        assert all(0 <= (trial.value or 0) <= 1 for trial in run.trials.all())
        assert said(run, f"--param tuned={run.pk}") or said(run, "The usual settings stay.")


class TestUse:
    def test_a_training_takes_what_was_found(self, catalog: Catalog) -> None:
        a_search(
            catalog,
            ("trees", {"depth": 4}, 0.2, True),
            ("trees", {"depth": 2, "learning_rate": 0.3}, 0.3, False),
            ("fm", {"rank": 16}, 0.2, True),
            ("fm", {"rank": 4}, 0.1, False),
            ("dcn", {"hidden": 64}, 0.1, True),
            ("dcn", {"hidden": 24, "epochs": 1, "learning_rate": 0.01}, 0.2, False),
        )
        tower = {"width": 32, "layers": 1, "length": 30, "learning_rate": 0.005}
        a_search(
            catalog,
            ("tower", {"width": 64, "layers": 2}, 0.2, True),
            ("tower", tower, 0.3, False),
        )
        run = carried_out(
            catalog,
            train_and_register,
            Kind.TRAIN,
            tuned=LATEST,
            network_epochs=1,
            personal_epochs=0,
            **QUICK,
        )
        assert said(run, "Trees, tuned: ")
        assert len(run.environment["tuned"].split(", ")) == 2
        assert not said(run, "found: fm")  # the usual settings were better
        bundle = open_bundle(ModelVersion.objects.get(run=run).bundle_id)
        config = bundle.meta.parameters["tower"]
        assert (config["width"], config["layers"], config["length"]) == (32, 1, 30)
        networks = bundle.meta.parameters["rankers"]["networks"]
        assert networks.get("dcn", {"hidden": 24})["hidden"] == 24

    def test_nothing_better_leaves_the_usual(self, catalog: Catalog) -> None:
        search = a_search(
            catalog, ("tower", {"width": 64}, 0.3, True), ("tower", {"width": 32}, 0.3, False)
        )
        run = carried_out(
            catalog,
            train_and_register,
            Kind.TRAIN,
            tuned=str(search.pk),
            network_epochs=0,
            personal_epochs=0,
            **QUICK,
        )
        assert said(run, "nothing better than the usual settings")
        bundle = open_bundle(ModelVersion.objects.get(run=run).bundle_id)
        assert bundle.meta.parameters["tower"]["width"] == 64

    def test_a_fine_tuning_takes_what_was_found(self, catalog: Catalog) -> None:
        search = a_search(
            catalog,
            ("projection", {"temperature": 0.07}, 0.2, True),
            ("projection", {"temperature": 0.2, "history": 3}, 0.3, False),
        )
        chosen = {"tuned": str(search.pk), "steps": 4, "every": 4}
        run = carried_out(catalog, finetune, Kind.FINETUNE, **chosen)
        assert said(run, "found: projection, history 3, temperature 0.2")
        with pytest.raises(TrainingFault, match="way=projection to be best"):
            carried_out(catalog, finetune, Kind.FINETUNE, way="full", **chosen)


def test_a_search_on_another_split_is_not_taken(catalog: Catalog) -> None:
    found = [("projection", {"history": 3}, 0.3, False)]
    own = a_search(catalog, *found)
    other = a_search(catalog, *found, split="leave-last-2")
    assert searches(catalog, LATEST, "time", "encoder") == [own]
    assert searches(catalog, LATEST, "leave-last-2", "encoder") == [other]
    assert searches(catalog, str(other.pk), "leave-last-2", "encoder") == [other]
    with pytest.raises(TrainingFault, match="chose by the split leave-last-2"):
        searches(catalog, str(other.pk), "time", "encoder")
    with pytest.raises(TrainingFault, match="on the split leave-last-3; begin one with"):
        searches(catalog, LATEST, "leave-last-3", "encoder")
    with pytest.raises(TrainingFault, match="chose by the split leave-last-2"):
        carried_out(catalog, finetune, Kind.FINETUNE, tuned=str(other.pk))


def test_what_is_not_there_is_said(catalog: Catalog) -> None:
    for wanted in (LATEST, "nonsense", "9fc5c0c5-838c-4a77-ab0f-1a1bdf7e5534"):
        with pytest.raises(TrainingFault, match=r"has no search .* manage.py tune stall"):
            searches(catalog, wanted, "time", "ranker", "tower")
    tower = a_search(catalog, ("tower", {"width": 64}, 0.3, True))
    with pytest.raises(TrainingFault, match="for settings of encoder"):
        searches(catalog, str(tower.pk), "time", "encoder")
    with pytest.raises(CommandError, match="is no search that goes on"):
        call_command("tune", "stall", "--join", str(tower.pk))
    with pytest.raises(CommandError, match="There is no run"):
        call_command("tune", "stall", "--join", "nonsense")
