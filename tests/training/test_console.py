"""Runs on the command line: what they are told is read as the forms read it, before they begin."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Catalog
from training.console import carry_out
from training.leases import Lease
from training.models import TrainingRun

Kind = TrainingRun.Kind


@pytest.mark.parametrize(
    ("command", "param", "said"),
    [
        ("pretrain", "every=0", "Validate every: at least 1, not 0."),
        ("finetune", "batch=0", "Batch: at least 2, not 0."),
        ("finetune", "accumulate=0", "Batches a step: at least 1, not 0."),
        ("distill", "steps=3.7", "Steps: a whole number, not 3.7."),
        ("pretrain", "max_tokens=100000", "Tokens: at most 512, not 100000."),
        ("train", "speed=3", "There is no parameter speed"),
        ("tune", "only=sideways", "Only: one of"),
    ],
)
def test_what_cannot_be_is_said_before_a_run_begins(
    shop: Catalog, command: str, param: str, said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        call_command(command, "shop", "--param", param)
    assert not TrainingRun.objects.exists()


def test_what_does_not_go_together_and_a_seed_that_is_none_are_said(shop: Catalog) -> None:
    with pytest.raises(CommandError, match="With masked=0 and contrastive=0 nothing is learned"):
        call_command("pretrain", "shop", "--param", "masked=0", "--param", "contrastive=0")
    with pytest.raises(CommandError, match="Seed: at least 0, not -1"):
        call_command("train", "shop", "--seed", "-1")
    assert not TrainingRun.objects.exists()


def test_what_is_right_is_told_to_the_run(shop: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def followed(run: TrainingRun, lease: Lease, say: Any) -> TrainingRun:
        return run

    monkeypatch.setattr("training.console.follow", followed)
    options = {"param": ["steps=12", "warm_up=0.2", "patience=4"], "seed": 7}
    run = carry_out(shop, Kind.PRETRAIN, options, print)
    said = {"steps": 12, "warm_up": 0.2, "patience": 4}  # the last one though it is usual
    assert (run.parameters, run.seed) == (said, 7)
