"""A cross-encoder and an ensemble teach what is served; killed, told wrong things, and measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from catalog.models import Catalog, Interaction
from ranking import serving
from ranking.bundle import open_bundle
from ranking.personalizer import PERSONAL
from ranking.pipeline import recommend
from ranking.types import Query
from training import distill as distilling
from training.distill import distill
from training.distill_measure import Compared, Measured
from training.errors import RunInterrupted, TrainingFault
from training.handle import RunHandle
from training.kinds import train_and_register
from training.models import ModelVersion, RunMetric, TrainingRun
from training.runs import create_claimed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]

SMALL = {"epochs": 1, "rounds": 5, "network_epochs": 0, "personal_epochs": 0}
FEW = {
    "steps": 4,
    "every": 2,
    "batch": 4,
    "candidates": 4,
    "layers": 1,
    "members": 2,
    "personal_epochs": 2,
    "tower_steps": 4,
    "rounds": 5,
    "network_epochs": 0,
    "design": "attention",
    "evaluate_people": 10,
}
Kind = TrainingRun.Kind


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "LEAST_REQUESTS", 10)


@pytest.fixture
def live(catalog: Catalog) -> Catalog:
    """The stall, with a model that is live."""
    run, lease = create_claimed(catalog, Kind.TRAIN, "test", SMALL)
    with RunHandle(run, lease) as handle:
        train_and_register(handle)
    catalog.refresh_from_db()
    return catalog


def started(catalog: Catalog, **parameters: Any) -> tuple[TrainingRun, RunHandle]:
    run, lease = create_claimed(catalog, Kind.DISTILL, "test", FEW | parameters)
    return run, RunHandle(run, lease)


def distilled(catalog: Catalog, **parameters: Any) -> tuple[TrainingRun, Path]:
    run, handle = started(catalog, **parameters)
    with handle:
        distill(handle)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    return run, handle.folder


def sure(compared: Compared, people: Any) -> tuple[Measured, bool]:
    """What chooses the student in tests: the cross-encoder's, whatever it is worth."""
    name = "personal model of cross-encoder"
    return next(row for row in compared.rows if row.name == name), True


def test_a_killed_run_ends_with_the_same_weights(
    live: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distilling, "_best", sure)
    run, folder = distilled(live)
    whole = open_bundle(ModelVersion.objects.get(run=run).bundle_id)

    again, handle = started(live)
    stages = iter(range(4))  # checks after the first step; there is one a step

    def killed(self: RunHandle) -> None:
        if self.run == again and self._stage.startswith("step") and next(stages, None) is None:
            raise RunInterrupted("The machine goes down.")

    with monkeypatch.context() as patched:
        patched.setattr(RunHandle, "check", killed)
        with pytest.raises(RunInterrupted), handle:
            distill(handle)
    assert (handle.folder / "teacher-1.checkpoint").exists()
    resumed = RunHandle(again, handle.lease)
    with resumed:
        distill(resumed)
    assert again.log_lines.filter(text__contains="Resumed after step").exists()
    for name in ("teacher-1", "teacher-2", "tower-1-1", "tower-2-2"):
        one, other = (load_file(path / f"{name}.checkpoint") for path in (folder, handle.folder))
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items()), name
    made = open_bundle(ModelVersion.objects.get(run=again).bundle_id)
    name = distilling.PERSONALIZER
    assert made.meta.digests[name] == whole.meta.digests[name]  # bit for bit


def test_what_pays_is_registered_beside_the_live_model_and_served(
    live: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distilling, "_best", sure)
    before = live.live_bundle
    run, _ = distilled(live, design="tokens")
    version = ModelVersion.objects.get(run=run)
    assert version.parent is not None
    assert version.parent.bundle_id == before
    live.refresh_from_db()
    assert live.live_bundle == before  # it waits for a person
    made, old = open_bundle(version.bundle_id), open_bundle(before)
    for name in ("tower.safetensors", "ranker.ubj"):
        assert made.meta.digests[name] == old.meta.digests[name]
    told = made.meta.parameters["distilled"]
    assert told["from"] == before
    assert len(told["table"]) == 9
    json.dumps(told)
    assert "ndcg@10" in version.metrics["pipeline"]
    assert "without the personal model" in version.metrics

    live.live_bundle = version.bundle_id
    live.save()
    serving.forget_all()
    state, _ = serving.current(live)
    assert state.personalizer is not None
    assert (state.personalizer.words >= 0).any()
    person = Interaction.objects.filter(catalog=live).values_list("user_id", flat=True)[0]
    slate = recommend(Query(live.slug, user_id=person, size=5))
    assert PERSONAL in [stage.name for stage in slate.stages]


def test_measuring_needs_no_live_model_and_registers_nothing(catalog: Catalog) -> None:
    run, _ = distilled(catalog, split="leave-last-2", epochs=1)
    lines = list(run.log_lines.order_by("pk").values_list("text", flat=True))
    table = [line for line in lines if line.startswith("| ")]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table[1:]] == [
        "rankers' order",
        "cross-encoder",
        "2 personal models",
        "personal model",
        "personal model of cross-encoder",
        "personal model of 2 personal models",
        "tower",
        "tower of cross-encoder",
        "tower of 2 personal models",
    ]
    assert not ModelVersion.objects.exists()
    assert RunMetric.objects.filter(run=run, name="cross-encoder/ms", value__gt=0).exists()
    assert "registered" in lines[-1]
    assert any(line.startswith(("without the personal", "with the personal")) for line in lines)


def test_wrong_parameters_and_too_little_are_said_in_one_line(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "Stall has no live model that could learn from a teacher: train one first"),
        ({"speed": 3}, "There is no parameter speed; there are accumulate, alpha"),
        ({"groups": 1}, "groups must be 2 or more"),
        ({"alpha": 2}, "alpha must be 0 to 1"),
        ({"design": "sideways"}, "There is no design 'sideways'; say features, attention, tokens"),
        ({"split": "leave-last-0"}, "must leave out 1 to 50 picks"),
    )
    for parameters, said in asked:
        with pytest.raises(TrainingFault, match=said):
            distilled(catalog, **parameters)
        TrainingRun.objects.update(state="failed")
    monkeypatch.setattr(distilling, "LEAST_REQUESTS", 1_000)
    with pytest.raises(TrainingFault, match=r"60 requests to learn from .* 1000 with something"):
        distilled(catalog, split="leave-last-2", epochs=1)


def test_the_live_models_encoder_cannot_be_exchanged(live: Catalog) -> None:
    with pytest.raises(TrainingFault, match="the live model's own encoder is used"):
        distilled(live, encoder="configured")


def test_a_share_is_kept_of_a_gain_only() -> None:
    usual = Measured("usual", np.array([0.2, 0.4]))
    teacher = Measured("teacher", np.array([0.4, 0.6]), 100.0, usual)
    student = Measured("student", np.array([0.3, 0.5]), 5.0, usual, teacher)
    assert student.kept == pytest.approx(0.5)
    assert student.time_share == pytest.approx(0.05)
    low, high = student.interval(np.array([0, 1]))
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)
    worse = replace(teacher, ndcg=np.array([0.1, 0.4]))
    assert replace(student, teacher=worse).kept is None
    people = np.array([0, 1])
    rows = [usual, teacher, student]
    taught: dict[str, Any] = {"student": None}
    assert distilling._best(Compared(rows, taught), people) == (student, True)
    poor = replace(student, ndcg=np.array([0.1, 0.4]))
    assert distilling._best(Compared([usual, teacher, poor], taught), people) == (poor, False)
