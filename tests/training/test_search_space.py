"""What a search may change, and what people may ask of it."""

from typing import Any

import pytest

from training.errors import TrainingFault
from training.objectives import usual_settings
from training.search_space import MOST_TRIALS, SPACES, Search, read_search


@pytest.mark.parametrize("what", SPACES)
def test_the_usual_settings_lie_inside(what: str) -> None:
    usual = usual_settings(Search(what))
    assert {branch for branch, _ in usual} == {branch.name for branch in SPACES[what].branches}
    for branch, settings in usual:
        for one in SPACES[what].branch(branch).dimensions:
            value = settings[one.name]
            if one.choices:
                assert value in one.choices, one
            else:
                assert one.low <= value <= one.high, one


def test_branches_are_told_apart_by_their_names() -> None:
    names = [branch.name for space in SPACES.values() for branch in space.branches]
    assert len(names) == len(set(names))


def test_numbers_may_come_from_a_form() -> None:
    search = read_search({"what": "tower", "minutes": " 30", "workers": 2})
    assert search == Search("tower", trials=MOST_TRIALS, minutes=30, workers=2)
    assert read_search({}) == Search()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"what": "shop"}, "Nothing is called 'shop' here; say ranker, tower, encoder"),
        ({"only": "lora"}, "only=lora is no part of ranker; say trees, fm, dcn"),
        ({"trails": 3}, "A search has no parameter trails; it has what, only"),
        ({"trials": 0}, "trials must be a whole number from 1 to 1,000"),
        ({"minutes": "soon"}, "minutes must be a whole number"),
        ({"workers": 2.5}, "workers must be a whole number"),
    ],
)
def test_what_cannot_be_is_said(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingFault, match=said):
        read_search(parameters)
