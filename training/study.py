"""A study: the trials of one search, kept by optuna in the project's own PostgreSQL.

It has a schema of its own there. Processes that open a study of the same name share it. One that is
killed stops to say that its trial lives, and the trial is queued again for the others.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from django.db import connection
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from training.search_space import Branch, Dimension, Search

SCHEMA = "optuna"
LOCK = 7_041_776  # of PostgreSQL, while tables are made or a study is begun
HEARTBEAT, GRACE = 5, 30  # seconds between two signs of life, and without one until it is dead
RETRIES = 3  # of a trial whose process was killed
FORK = "branch"  # the parameter that says which branch a trial takes
USUAL = "usual"  # attribute of a trial: which of the usual settings it tries
COUNTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
FIRST_TRIALS = 5  # of each study that nothing is pruned in
FEWEST_BESIDE = 2  # trials that came as far, before one is pruned

optuna.logging.set_verbosity(optuna.logging.ERROR)  # the run says what happens
warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats, PartialFixedSampler


def open_study(
    name: str, facts: Mapping[str, str], usual: Sequence[tuple[str, dict[str, Any]]]
) -> optuna.Study:
    """The study of this name; the usual settings that it has not tried yet are queued.

    Parameters
    ----------
    name, facts
        What makes two searches comparable. The facts are kept as attributes.
    usual
        Branch and settings, of which each is tried once.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            cursor.execute("SELECT to_regnamespace(%s)", [SCHEMA])
            if cursor.fetchone() == (None,):
                cursor.execute(f"CREATE SCHEMA {SCHEMA}")
            study = optuna.create_study(
                study_name=name,
                storage=_storage(),
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(FIRST_TRIALS, n_min_trials=FEWEST_BESIDE),
            )
            for fact, value in facts.items():
                study.set_user_attr(fact, value)
            _queue_usual(study, usual)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    return study


def _storage() -> RDBStorage:
    """Optuna's storage behind the very connection settings that Django has."""
    options: dict[str, Any] = connection.settings_dict.get("OPTIONS", {})
    settings = connection.get_connection_params()
    told = {"dbname", "user", "password", "host", "port", *options} - {"pool", "options"}
    arguments = {key: settings[key] for key in told if key in settings}
    arguments["options"] = f"{options.get('options', '')} -c search_path={SCHEMA}".strip()
    return RDBStorage(
        "postgresql+psycopg://",
        engine_kwargs={"connect_args": arguments, "poolclass": NullPool},
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
    )


def _queue_usual(study: optuna.Study, usual: Sequence[tuple[str, dict[str, Any]]]) -> None:
    tried = {
        trial.user_attrs.get(USUAL) for trial in study.trials if trial.state != TrialState.FAIL
    }
    for number, (branch, settings) in enumerate(usual):
        mark = f"{branch} {number}"
        if mark not in tried:
            named = {f"{branch}.{name}": value for name, value in settings.items()}
            study.enqueue_trial({FORK: branch} | named, user_attrs={USUAL: mark})


def draw(trial: optuna.Trial, search: Search) -> tuple[Branch, dict[str, Any]]:
    """What this trial tries: a branch, and a value of each of its settings."""
    names = [branch.name for branch in search.space.branches]
    branch = search.space.branch(trial.suggest_categorical(FORK, names))
    return branch, {one.name: _value(trial, branch, one) for one in branch.dimensions}


def _value(trial: optuna.Trial, branch: Branch, dimension: Dimension) -> Any:
    name = f"{branch.name}.{dimension.name}"
    if dimension.choices:
        return trial.suggest_categorical(name, dimension.choices)
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def sampler(search: Search, seed: int) -> optuna.samplers.BaseSampler:
    """TPE (Bergstra et al. 2011), which knows of trials that other processes are at."""
    tpe = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    if not search.only:
        return tpe
    return optuna.samplers.PartialFixedSampler({FORK: search.only}, tpe)


def settings_of(trial: FrozenTrial) -> dict[str, Any]:
    """The settings that a trial tries, by their own names."""
    return {name.partition(".")[2]: value for name, value in trial.params.items() if name != FORK}


def counted(study: optuna.Study) -> int:
    """Trials that are done or on their way; of those whose process died, none."""
    return len(study.get_trials(deepcopy=False, states=COUNTED))


def going_on(study: optuna.Study) -> bool:
    """Whether a trial is on its way; those of dead processes are queued again first."""
    fail_stale_trials(study)
    return bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
