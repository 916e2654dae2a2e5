"""Studies: shared by processes, kept apart from the project's own tables, resumed after a kill."""

import threading
import time

import optuna
import pytest
from django.db import connection
from optuna.trial import TrialState

from training import study as studies
from training.search_space import Search
from training.study import counted, draw, going_on, open_study, sampler, settings_of

pytestmark = pytest.mark.django_db(transaction=True)

USUAL = [("trees", {"depth": 4}), ("fm", {"rank": 16})]


def test_it_lives_in_a_schema_of_its_own() -> None:
    open_study("own schema", {"split": "time"}, USUAL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'studies'")
        assert cursor.fetchall() == [("optuna",)]


def test_the_usual_settings_come_first_and_once() -> None:
    study = open_study("usual first", {}, USUAL)
    search, drawn = Search(), []

    def objective(trial: optuna.Trial) -> float:
        branch, settings = draw(trial, search)
        drawn.append((branch.name, settings, trial.user_attrs))
        return 0.5

    study.optimize(objective, n_trials=1)
    open_study("usual first", {}, USUAL).optimize(objective, n_trials=2)
    assert [(branch, attributes) for branch, _, attributes in drawn] == [
        ("trees", {"usual": "trees 0"}),
        ("fm", {"usual": "fm 1"}),
        (drawn[2][0], {}),
    ]
    assert drawn[0][1]["depth"] == 4
    assert settings_of(study.trials[0]) == drawn[0][1]
    assert counted(study) == 3


def test_one_branch_only() -> None:
    search = Search(only="dcn")
    study = open_study("only", {}, [])
    study.sampler = sampler(search, 3)

    def objective(trial: optuna.Trial) -> float:
        return float(draw(trial, search)[0].name == "dcn")

    study.optimize(objective, n_trials=4)
    assert [trial.value for trial in study.trials] == [1.0] * 4


def test_opened_by_several_at_once_it_is_one() -> None:
    opened: list[optuna.Study] = []
    barrier = threading.Barrier(4)

    def whole() -> None:
        barrier.wait()
        opened.append(open_study("race", {}, USUAL))
        connection.close()

    threads = [threading.Thread(target=whole) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({study._study_id for study in opened}) == 1
    assert [trial.state for trial in opened[0].trials] == [TrialState.WAITING] * 2


def test_a_killed_processs_trial_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "HEARTBEAT", 1)
    monkeypatch.setattr(studies, "GRACE", 1)
    study, search = open_study("killed", {}, USUAL), Search()
    trial = study.ask()  # as a process does, which says that the trial lives, and then no more
    _, settings = draw(trial, search)
    study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    assert going_on(study)
    assert counted(study) == 1
    time.sleep(2.5)
    assert not going_on(study)
    assert counted(study) == 0
    assert study.trials[0].state == TrialState.FAIL
    made = []

    def objective(again: optuna.Trial) -> float:
        made.append((draw(again, search)[1], again.user_attrs))
        return 1.0

    study.optimize(objective, n_trials=2)
    assert (settings, {"usual": "trees 0"}) in made
