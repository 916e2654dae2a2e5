"""A made-up history: what it fills, and what it refuses."""

from itertools import pairwise
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Catalog, Interaction, User
from training import history
from training.models import ModelVersion, RunMetric, TrainingRun

pytestmark = pytest.mark.django_db
SMALL = {"runs": 6, "bundles": 2, "interactions": 900}


def test_fills_and_marks_it_as_simulated(shop: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PEOPLE", 30)
    monkeypatch.setattr(history, "BATCH", 40)
    told: list[str] = []
    history.generate(shop, 6, 2, 900, told.append)
    history.generate(shop, 1, 0, 100, told.append)  # more of it is welcome
    shop.refresh_from_db()
    assert shop.is_simulated
    found = Interaction.objects.filter(catalog=shop)
    assert (found.count(), found.filter(is_simulated=True).count()) == (1000, 1000)
    months = {moment.strftime("%Y-%m") for moment in found.values_list("timestamp", flat=True)}
    assert len(months) >= 12  # through the partitions of a year
    assert User.objects.filter(is_simulated=True).count() == 30
    assert TrainingRun.objects.filter(catalog=shop).count() == 7
    assert RunMetric.objects.filter(run__catalog=shop).count() == 7 * 2 * history.STEPS
    younger, older = ModelVersion.objects.filter(catalog=shop).order_by("-created_at")
    assert younger.parent == older
    assert told[0] == "6 runs, 2 bundles"
    last = told.index("1 runs, 0 bundles")
    assert (told[last - 1], told[-1]) == ("900 interactions", "100 interactions")
    done = [int(line.split()[0]) for line in told[1:last]]
    steps = [after - before for before, after in pairwise([0, *done])]
    assert max(steps) == 40  # a month takes several statements


def test_refuses_what_is_real(catalog: Catalog) -> None:
    with pytest.raises(CommandError, match="holds real interactions"):
        call_command("generate_history", catalog.slug, **SMALL)
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize(
    ("slug", "more", "fault"),
    [
        ("nix", {}, "There is no catalog 'nix'"),
        ("shop", {"runs": -1}, "numbers of 0 and more"),
        ("shop", {"bundles": 7}, "at least as many runs"),
    ],
)
def test_says_what_is_wrong(shop: Catalog, slug: str, more: dict[str, Any], fault: str) -> None:
    with pytest.raises(CommandError, match=fault):
        call_command("generate_history", slug, **(SMALL | more))


def test_refuses_a_catalog_that_serves_a_model(shop: Catalog) -> None:
    Catalog.objects.update(live_bundle="shop-1")
    with pytest.raises(CommandError, match="serves a model"):
        call_command("generate_history", "shop", **SMALL)
