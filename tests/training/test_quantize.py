"""Encoders made smaller: measured, resumed, chosen on a CPU, kept with their original."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import Catalog, EncoderVersion, ItemVector
from catalog.people import users_by_external_id
from ranking import encoder as encoders_here
from ranking.encoder import Encoder, load_encoder, set_encoder
from ranking.encoder_files import ONNX, EncoderConfig
from ranking.encoder_store import encoder_folder
from ranking.errors import RankingFault
from ranking.onnx_model import OnnxModel
from ranking.text_model import load_text_model
from tests.ranking.tiny_models import KINDS, tiny_model
from training.encoders import (
    choose_encoder,
    encoder_of_run,
    original_of,
    refuse_later_picks,
    refuse_leak,
    served_encoder,
)
from training.errors import RunInterrupted, TrainingFault
from training.evaluation import bundle_of_run
from training.handle import RunHandle
from training.kinds import train_and_register
from training.models import TrainingRun
from training.pretrain import pretrain
from training.quantize import Measured, fastest, quantize, table, unsure
from training.registry import QUANTISED, prune_encoders
from training.runs import create_claimed
from training.splits import Moments
from training.tune import tune
from training.variants import VARIANTS, NotExportable, keep_layers, make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]

INT8 = next(variant for variant in VARIANTS if variant.name == "int8")
HALF = next(variant for variant in VARIANTS if variant.layers == 1 / 2)


@pytest.fixture
def tiny(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """The settings name a tiny encoder, so that all this takes seconds."""
    settings.ENCODER_MODEL = str(tiny_model("bert", tmp_path / "tiny"))
    encoders_here._load_once.cache_clear()
    yield tmp_path / "tiny"
    encoders_here._load_once.cache_clear()


@pytest.fixture
def int8_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of random weights any form may be the fastest, and lose anything; that is another test's."""
    monkeypatch.setattr("training.quantize.fastest", lambda found: found[2])


def carried_out(catalog: Catalog, **parameters: Any) -> TrainingRun:
    run, lease = create_claimed(catalog, TrainingRun.Kind.QUANTIZE, "test", parameters)
    with RunHandle(run, lease) as handle:
        quantize(handle)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    run.refresh_from_db()
    return run


def made(run: TrainingRun) -> EncoderVersion:
    return EncoderVersion.objects.get(digest=run.environment["encoder"])


@pytest.mark.usefixtures("tiny", "int8_wins")
def test_a_killed_run_measures_the_rest_and_ends_with_the_same_encoder(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(carried_out(catalog))
    assert whole.way == "int8"
    assert [row["name"] for row in whole.metrics["variants"]] == [one.name for one in VARIANTS]
    assert {"text_ndcg@10", "gain", "split"} <= set(whole.metrics)
    assert ItemVector.objects.filter(encoder=whole).count() == catalog.items.count()
    assert sorted(path.name for path in encoder_folder(whole.digest).iterdir())[0] == "config.json"
    assert not (encoder_folder(whole.digest) / "model.safetensors").exists()

    whole.delete()
    run, lease = create_claimed(catalog, TrainingRun.Kind.QUANTIZE, "test", {})

    def killed(handle: RunHandle) -> None:
        if handle.run == run and handle._stage == HALF.name:
            raise RunInterrupted("The machine goes down.")

    with monkeypatch.context() as patched:
        patched.setattr(RunHandle, "check", killed)
        with pytest.raises(RunInterrupted), RunHandle(run, lease) as handle:
            quantize(handle)
    person = users_by_external_id(["latecomer"])["latecomer"]
    pear = catalog.items.get(external_id="pear").pk
    event = Event(person, pear, "purchase", timezone.now(), 1.0, uuid.uuid4())
    assert log_interactions(catalog, [event]).accepted == 1  # the requests of before stay
    with RunHandle(run, lease) as handle:
        quantize(handle)
    run.refresh_from_db()
    told = "Resumed after fp32, bf16, int8, int8 2/3 layers."
    assert run.log_lines.filter(text=told).exists()
    assert run.environment["encoder"] == whole.digest  # bit for bit


@pytest.mark.usefixtures("tiny")
def test_a_resumed_run_reads_by_what_it_began_with(catalog: Catalog, tmp_path: Path) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.TRAIN, "test", {})
    run.catalog.live_bundle = "one"
    with RunHandle(run, lease) as handle:
        first = encoder_of_run(handle)
        assert bundle_of_run(handle) == "one"
    set_encoder(catalog, {"model": str(tiny_model("mpnet", tmp_path / "other"))})
    catalog.live_bundle = "two"
    other = choose_encoder(catalog, "configured")
    assert other != first
    again = TrainingRun.objects.get(pk=run.pk)
    again.catalog = catalog
    with RunHandle(again, lease) as handle:
        assert encoder_of_run(handle) == first
        assert encoder_of_run(handle, "configured") == other  # asked for in this attempt
        assert bundle_of_run(handle) == "one"
        first.delete()
        with pytest.raises(TrainingFault, match="of this run is gone: start a new run"):
            encoder_of_run(handle)


@pytest.mark.usefixtures("tiny", "int8_wins")
def test_it_is_the_next_trainings_on_a_cpu_and_the_original_elsewhere(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = choose_encoder(catalog)
    small = made(carried_out(catalog))
    assert small.parent == original == original_of(small)
    assert choose_encoder(catalog) == small
    assert served_encoder(catalog) == original  # until a model is trained on it
    assert choose_encoder(catalog, "configured") == original
    assert made(carried_out(catalog)).parent == original  # never a copy of a copy
    with monkeypatch.context() as patched:
        patched.setattr("training.encoders.best_device", lambda: torch.device("cuda"))
        assert choose_encoder(catalog) == original
    cannot = r"cannot learn: start from .* \(encoder=configured\)"
    for kind, work in ((TrainingRun.Kind.PRETRAIN, pretrain), (TrainingRun.Kind.TUNE, tune)):
        told = {"encoder": small.digest} | ({"what": "encoder"} if work is tune else {})
        run, lease = create_claimed(catalog, kind, "test", told)
        with RunHandle(run, lease) as handle, pytest.raises(TrainingFault, match=cannot):
            work(handle)
    run, lease = create_claimed(catalog, TrainingRun.Kind.TRAIN, "test", {"epochs": 1, "rounds": 3})
    with RunHandle(run, lease) as handle:
        train_and_register(handle)
    catalog.refresh_from_db()
    assert served_encoder(catalog) == small == choose_encoder(catalog)
    with monkeypatch.context() as patched:
        patched.setattr("training.encoders.best_device", lambda: torch.device("cuda"))
        assert choose_encoder(catalog) == original


@pytest.mark.usefixtures("tiny", "int8_wins")
def test_two_catalogs_have_one_each_and_the_last_measured_counts(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Catalog.objects.create(slug="two", name="Two", item_kind="product")
    other.items.create(external_id="1", title="the green tea from a hill, and more of it")
    first = made(carried_out(catalog))
    monkeypatch.setattr("training.quantize._facts", lambda *_: {"split": "time"})
    second = made(carried_out(other))
    assert first.digest != second.digest
    assert (choose_encoder(catalog), choose_encoder(other)) == (first, second)
    with monkeypatch.context() as patched:
        patched.setattr("training.quantize.fastest", lambda found: found[1])
        assert choose_encoder(catalog) == first != made(carried_out(catalog))
        assert choose_encoder(catalog).way == "bf16"
    assert made(carried_out(catalog)) == first == choose_encoder(catalog)  # again the newest


@pytest.mark.usefixtures("tiny", "int8_wins")
def test_a_quantised_encoder_that_was_changed_is_refused(catalog: Catalog) -> None:
    small = made(carried_out(catalog))
    graph = encoder_folder(small.digest) / ONNX
    graph.write_bytes(graph.read_bytes() + b"\0")
    encoders_here._load_once.cache_clear()
    with pytest.raises(RankingFault):
        load_encoder(small)
    graph.write_bytes(b"nonsense")
    with pytest.raises(RankingFault, match="quantise the encoder anew"):
        OnnxModel(graph.parent)


@pytest.mark.usefixtures("tiny")
def test_what_an_original_knows_its_quantised_form_knows_and_both_are_kept(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str, way: str, parent: EncoderVersion | None) -> EncoderVersion:
        return EncoderVersion.objects.create(
            name=name, digest=name, dimensions=32, catalog=catalog, way=way, parent=parent,
            metrics={"split": "time"},
        )  # fmt: skip

    monkeypatch.setattr("training.registry.KEEP_ENCODERS", 1)
    tuned = version("tuned", "lora", None)
    older = version("older", "int8", tuned)
    small = version("small", "int8", tuned)
    alone = version("alone", "projection", None)
    newest = version("newest", "pre-trained", small)
    with pytest.raises(TrainingFault, match="on the split time"):
        refuse_leak(small, "leave-last-2")
    refuse_leak(small, "time")
    assert prune_encoders(catalog) == [alone.digest, older.digest]
    assert set(catalog.encoders.all()) == {tuned, small, newest}


def test_who_has_learned_later_than_a_test_begins_is_refused() -> None:
    learned = EncoderVersion(name="t", digest="t", way="lora", metrics={"learned_until": 30.0})
    small = EncoderVersion(name="s", digest="s", way="int8", parent=learned)
    refuse_later_picks(small, Moments(0.0, 10.0, 20.0, 30.0, 40.0))
    refuse_later_picks(small, None)
    with pytest.raises(TrainingFault, match="until 1 Jan 1970 00:00, and the test begins at"):
        refuse_later_picks(small, Moments(0.0, 10.0, 20.0, 25.0, 40.0))


def test_the_fastest_that_stays_close_wins() -> None:
    full = Measured("fp32", 10.0, 60, 90.0, 1.0, [0.1, 0.3], [1, 2])
    close = replace(full, name="int8", query_ms=2.0, cosine=0.99)
    assert fastest([full, close]) == close
    assert fastest([full, replace(close, ndcg=[0.095, 0.295])]) is None  # loses 2.5 %, surely
    by_chance = replace(close, ndcg=[0.15, 0.24])  # loses 2.5 % by an interval that holds 0
    assert fastest([full, by_chance]) is None
    few = replace(by_chance, ndcg=[0.15, 0.2492])  # 0.2 %, ± 25 %
    assert fastest([full, few]) is None
    assert fastest([full, replace(few, cosine=0.9995)]) is not None
    assert fastest([full, replace(by_chance, cosine=0.9995)]) is None
    assert fastest([full, replace(close, ndcg=[0.1, 0.299])]) is not None  # 0.25 %
    assert fastest([full, replace(close, cosine=0.5)]) is None
    assert fastest([full, replace(close, query_ms=11.0)]) is None
    assert fastest([replace(full, ndcg=[], people=[]), replace(close, ndcg=[], people=[])]) is None
    assert "| int8 | 0.2000 | +0.00% | +0.00% … +0.00% | 0.9900 | 2.00 |" in table([full, close])[3]


def test_too_few_requests_to_tell_are_said() -> None:
    full = Measured("fp32", 10.0, 60, 90.0, 1.0, [0.1, 0.3], [1, 2])
    close = replace(full, name="int8", cosine=0.99, ndcg=[0.15, 0.2492])
    far = replace(close, name="int8 half", cosine=0.5)  # not in question
    said = unsure([full, close, far])
    assert "2 requests of 2 people are too few to tell a loss of 0.5%: int8 ± 25.2%." in said
    assert unsure([full, replace(close, ndcg=[0.1001, 0.3])]) == ""
    assert unsure([replace(full, ndcg=[], people=[])]) == ""


def test_the_requests_of_a_person_are_no_people_of_their_own() -> None:
    full = Measured("fp32", 10.0, 60, 90.0, 1.0, [0.2] * 8, [1, 1, 1, 1, 2, 2, 2, 2])
    other = replace(full, ndcg=[0.1] * 4 + [0.3] * 4)
    assert other.interval(full) == pytest.approx((-0.5, 0.5))
    low, high = replace(other, people=list(range(8))).interval(full)
    assert -0.5 < low < high < 0.5
    assert "people" not in other.row(full)  # who they are stays here


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_is_quantised(tmp_path: Path, kind: str) -> None:
    config = EncoderConfig(str(tiny_model(kind, tmp_path / kind)), KINDS[kind][1])
    small = Encoder(make(config, INT8, tmp_path / "small"))
    full = Encoder(replace(config, dtype="float32"))
    texts = ["abc", "a", "the green tea from a hill", "绿茶"]
    cosines = (small.encode_items(texts) * full.encode_items(texts)).sum(axis=1)
    assert (cosines > 0.97).all()
    assert small.digest != full.digest
    assert not np.array_equal(small.encode_items(texts), full.encode_items(texts))


def test_layers_are_dropped_from_the_top(tmp_path: Path) -> None:
    config = EncoderConfig(str(tiny_model("bert", tmp_path / "bert")))
    model = load_text_model(config, torch.float32)
    keep_layers(model, 1 / 2)
    assert len(model.transformer.encoder.layer) == model.transformer.config.num_hidden_layers == 1
    with pytest.raises(NotExportable, match="1 layers cannot be cut"):
        keep_layers(model, 2 / 3)


@pytest.mark.usefixtures("tiny")
def test_too_little_feedback_and_wrong_parameters_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = Catalog.objects.create(slug="empty", name="Empty", item_kind="article")
    catalog.items.create(external_id="1", title="the green tea from a hill, and more of it")
    run = carried_out(catalog)
    assert run.log_lines.filter(text__contains="no feedback yet to tell what each loses").exists()
    assert not catalog.encoders.exists()
    monkeypatch.setattr("training.quantize.best_device", lambda: torch.device("cuda"))
    TrainingRun.objects.update(state="failed")
    with pytest.raises(TrainingFault, match="RECSITE_DEVICE=cpu"):
        carried_out(catalog)
    TrainingRun.objects.update(state="failed")
    with pytest.raises(TrainingFault, match="no parameter speed; there are encoder, split"):
        carried_out(catalog, speed=3)


def test_the_ways_are_the_variants() -> None:
    assert tuple(variant.name for variant in VARIANTS[1:]) == QUANTISED
