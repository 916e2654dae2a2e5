"""What a trial is worth does not depend on the test."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from catalog.models import Catalog, EncoderVersion
from ranking.types import DAY
from tests.ranking.worlds import NOW, item_index, log_of
from tests.training.test_fit_tower import Silent
from training.errors import Diverged
from training.handle import RunHandle
from training.objectives import objective_of, usual_settings
from training.search_space import Search
from training.splits import make_split, without_test

ITEMS = replace(item_index(), published=np.full(12, NOW - 200 * DAY))


def worth(search: Search, picked_in_the_test: int, folder: Path) -> float:
    """Of the usual settings, by a log of 30 people whose picks of the last days are all of one."""
    folder.mkdir()
    catalog = Catalog(name="c", slug="c", repeat_consumption=True)
    kept = {"time": 88, "leave-last-5": 95}[search.split]
    events = [
        (user, picked_in_the_test if day >= kept else (user + 3 * day) % 12, 99.0 - day, 1.0)
        for user in range(30)
        for day in range(100)
    ]
    whole = log_of(*events)
    log, split = without_test(whole, make_split(search.split, whole, catalog))
    silent: Any = Silent(folder)
    silent.catalog = catalog
    handle = cast(RunHandle, silent)
    version = cast(EncoderVersion, SimpleNamespace())  # only fine-tuning reads it
    objective = objective_of(handle, search, version, ITEMS, log, split)
    branch, settings = usual_settings(search)[0]
    for checkpoint in folder.glob("*.checkpoint"):
        checkpoint.unlink()
    return objective(handle, branch, settings)


@pytest.mark.parametrize(
    ("what", "split"),
    [
        ("tower", "time"),
        ("tower", "leave-last-5"),
        pytest.param("ranker", "time", marks=pytest.mark.slow),
    ],
)
def test_it_stays_the_same_when_the_test_changes(what: str, split: str, tmp_path: Path) -> None:
    search = Search(what, split=split, epochs=1, rounds=3)
    one = worth(search, 3, tmp_path / "one")
    assert 0 < one <= 1
    assert worth(search, 8, tmp_path / "other") == one


def test_settings_under_which_a_training_diverges_are_worth_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*_: Any) -> None:
        raise Diverged

    monkeypatch.setattr("training.objectives.fit_tower", diverges)
    assert worth(Search("tower", epochs=1), 3, tmp_path / "one") == 0.0
