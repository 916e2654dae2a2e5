"""Encoders that a catalog learns: from its text, from its feedback; served, refused, forgotten."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import Catalog, EncoderVersion, Interaction, Item, ItemVector
from ranking import encoder, serving
from ranking.encoder import load_encoder, query_vector
from ranking.encoder_store import encoder_folder
from ranking.errors import RankingFault
from ranking.pipeline import search
from ranking.types import Query
from training.by_encoder import by_encoder, told
from training.encoders import CONFIGURED, choose_encoder
from training.errors import RunInterrupted, TrainingFault
from training.evaluation import evaluate_catalog
from training.execute import Work
from training.finetune import finetune
from training.handle import RunHandle
from training.kinds import train_and_register
from training.models import ModelVersion, TrainingRun
from training.pretrain import pretrain
from training.registry import promote, prune_encoders, roll_back
from training.runs import create_claimed, create_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]

FEW = {"steps": 12, "every": 4, "batch": 16, "learning_rate": 5e-4}
SMALL = {"epochs": 1, "rounds": 5, "network_epochs": 0}
Kind = TrainingRun.Kind


def carried_out(catalog: Catalog, kind: str, work: Work, **parameters: Any) -> TrainingRun:
    run, lease = create_claimed(catalog, kind, "test", parameters)
    with RunHandle(run, lease) as handle:
        work(handle)
    run.refresh_from_db()
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    return run


def made(run: TrainingRun) -> EncoderVersion:
    return EncoderVersion.objects.get(digest=run.environment["encoder"])


def more_happens(catalog: Catalog) -> None:
    """Half the people come again."""
    moment, pear = timezone.now(), catalog.items.get(external_id="pear").pk
    logged = Interaction.objects.filter(catalog=catalog).order_by("user")
    people = logged.values_list("user", flat=True).distinct()
    visits = [Event(user, pear, "purchase", moment, 1.0, uuid.uuid4()) for user in people[:15]]
    assert log_interactions(catalog, visits).accepted == 15


@pytest.fixture
def catalog(catalog: Catalog) -> Catalog:
    """The stall, with enough on its shelves to learn words from."""
    Item.objects.bulk_create(
        Item(
            catalog=catalog,
            external_id=f"tea-{number}",
            title=f"Tea number {number}",
            category="Drinks > Tea",
            body="Leaves from a garden." if number % 2 else "",
        )
        for number in range(50)
    )
    return catalog


@pytest.mark.parametrize(
    ("kind", "work", "more"),
    [
        (Kind.PRETRAIN, pretrain, {}),
        (
            Kind.FINETUNE,
            finetune,
            {"way": "full", "learning_rate": 1e-4, "drop": 0.3, "word_drop": 0.1},
        ),
        (Kind.FINETUNE, finetune, {"way": "lora", "reorder": 0.5, "crop": 0.2}),
        (Kind.FINETUNE, finetune, {"way": "projection"}),
    ],
)
def test_a_killed_run_ends_with_the_same_weights(
    catalog: Catalog,
    kind: str,
    work: Work,
    more: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, item in enumerate(catalog.items.exclude(category="Drinks > Tea")):
        item.title, item.category = f"Article {number}", ""  # words alone do not say what goes
        item.save()  # with what
    whole = made(carried_out(catalog, kind, work, **(FEW | more)))
    assert whole.parent is not None
    assert not whole.parent.is_learned
    assert ItemVector.objects.filter(encoder=whole).count() == catalog.items.count()
    assert {"text_ndcg@10", "gain", "parameters", "seed"} <= set(whole.metrics)
    assert ("learned_until" in whole.metrics) == (kind == Kind.FINETUNE)
    before, after = (load_encoder(one).encode_query("Article 3") for one in (whole.parent, whole))
    assert 0.5 < before @ after < 0.99999  # it has learned, and not forgotten all

    run, lease = create_claimed(catalog, kind, "test", FEW | more)
    steps = iter(range(6))  # checks after the first step; there is one a step

    def killed(handle: RunHandle) -> None:
        if handle.run == run and handle._stage.startswith("step") and next(steps, None) is None:
            raise RunInterrupted("The machine goes down.")

    with monkeypatch.context() as patched:
        patched.setattr(RunHandle, "check", killed)
        with pytest.raises(RunInterrupted), RunHandle(run, lease) as handle:
            work(handle)
    assert (handle.folder / "text.checkpoint").exists()
    whole.delete()
    more_happens(catalog)  # the run goes on with what it began with
    with RunHandle(run, lease) as handle:
        work(handle)
    run.refresh_from_db()
    assert run.log_lines.filter(text__startswith="Resumed after step 4").exists()
    assert run.environment["encoder"] == whole.digest  # bit for bit


def test_a_model_is_served_with_its_own_encoder_and_rolled_back_with_it(catalog: Catalog) -> None:
    carried_out(catalog, Kind.TRAIN, train_and_register, **SMALL)
    learned = made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=100))
    assert choose_encoder(catalog).is_learned is False
    carried_out(catalog, Kind.TRAIN, train_and_register, encoder=learned.digest[:8], **SMALL)
    model = ModelVersion.objects.latest("created_at")
    assert model.encoder == learned
    promote(model, None, "It reads better.", force=True)
    catalog.refresh_from_db()
    serving.forget_all()  # it was asked for before; the swap comes beside the requests
    state, encoder = serving.current(catalog)
    assert encoder == learned == choose_encoder(catalog)  # the next training goes on with it
    vectors = load_encoder(learned).encode_items(["Pear\nFruit"])
    row = state.items.rows_of(np.array([catalog.items.get(external_id="pear").pk]))
    assert state.items.vectors(row)[0] @ vectors[0] == pytest.approx(1.0, abs=1e-2)
    assert search(Query(catalog.slug, text="pear", size=3)).item_ids
    assert query_vector("pear", learned) @ vectors[0] > 0
    roll_back(catalog, None, "It was a trial.")
    catalog.refresh_from_db()
    serving.forget_all()
    assert serving.current(catalog)[1] == choose_encoder(catalog, CONFIGURED)


def test_what_knows_the_test_is_not_measured_on_it(catalog: Catalog) -> None:
    learned = made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=20))
    run, lease = create_claimed(catalog, Kind.EVALUATE, "test", {})
    with RunHandle(run, lease) as handle, pytest.raises(TrainingFault, match="on the split time"):
        evaluate_catalog(handle, "leave-last-2", encoder=learned.digest)


def test_each_encoder_is_measured_by_the_texts_alone(catalog: Catalog) -> None:
    learned = made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=100))
    run, lease = create_claimed(catalog, Kind.EVALUATE, "test", {})
    with RunHandle(run, lease) as handle:
        usual, own = by_encoder(handle, "time")
        assert [row["model"] for row in by_encoder(handle, "leave-last-2")] == ["configured"]
    assert (usual["model"], own["model"]) == ("configured", "projection")
    assert usual["gain"]["value"] == 0.0
    assert usual["minutes"] is None  # nobody made it here
    assert own["encoder"] == str(learned)
    gained = own["ndcg@10"]["value"] - usual["ndcg@10"]["value"]
    assert own["gain"]["value"] == pytest.approx(gained)
    assert own["query_ms"] > 0
    assert own["megabytes"] > 80  # MiniLM's
    assert f"{own['recall@20']['value']:.4f}" in told(own)
    assert run.log_lines.filter(text__contains=f"Without {learned}").exists()


def test_of_each_way_the_newest_that_may_be_asked_is_measured(catalog: Catalog) -> None:
    older = made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=100))
    knowing = older.metrics | {"split": "leave-last-2"}
    other = EncoderVersion.objects.create(
        name=older.name,
        digest="f" * 64,
        dimensions=older.dimensions,
        catalog=catalog,
        parent=older.parent,
        way=older.way,
        metrics=knowing,
    )
    run, lease = create_claimed(catalog, Kind.EVALUATE, "test", {})
    with RunHandle(run, lease) as handle:
        assert [row["encoder"] for row in by_encoder(handle, "time")][1:] == [str(older)]
        (encoder_folder(older.digest) / "projection.safetensors").unlink()
        encoder._load_once.cache_clear()
        assert [row["model"] for row in by_encoder(handle, "time")] == ["configured"]
    said = run.log_lines.filter(text__startswith="Without")
    assert said.filter(text__contains=str(other)).exists()
    assert said.filter(text__contains=str(older)).exists()


def test_an_encoder_that_was_changed_is_refused(catalog: Catalog) -> None:
    learned = made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=20))
    weights = encoder_folder(learned.digest) / "projection.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    encoder._load_once.cache_clear()
    with pytest.raises(RankingFault, match="changed"):
        choose_encoder(catalog, learned.digest)
    weights.unlink()
    encoder._load_once.cache_clear()
    with pytest.raises(RankingFault):
        choose_encoder(catalog, learned.digest)


def test_old_encoders_are_forgotten_unless_a_bundle_needs_them(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.registry.KEEP_ENCODERS", 1)
    first, second, third = (
        made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=steps))
        for steps in (20, 30, 40)
    )
    carried_out(catalog, Kind.TRAIN, train_and_register, encoder=first.digest, **SMALL)
    assert prune_encoders(catalog) == [second.digest]
    assert not encoder_folder(second.digest).exists()
    assert not ItemVector.objects.filter(encoder_id=second.pk).exists()
    assert encoder_folder(first.digest).exists()
    assert encoder_folder(third.digest).exists()


def test_an_encoder_stays_while_a_run_may_still_read_by_it(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.registry.KEEP_ENCODERS", 1)
    told, begun, gone, _ = (
        made(carried_out(catalog, Kind.FINETUNE, finetune, way="projection", steps=steps))
        for steps in (20, 30, 40, 50)
    )
    create_run(catalog, Kind.TRAIN, {"encoder": told.digest[:8]})
    paused = create_run(catalog, Kind.EVALUATE)
    facts = {"default encoder": begun.digest}
    TrainingRun.objects.filter(pk=paused.pk).update(state="paused", environment=facts)
    assert prune_encoders(catalog) == [gone.digest]
    TrainingRun.objects.update(state="succeeded")
    assert set(prune_encoders(catalog)) == {told.digest, begun.digest}


def test_wrong_parameters_and_too_little_are_said_in_one_line(catalog: Catalog) -> None:
    asked: tuple[tuple[dict[str, Any], str], ...] = (
        (
            {"way": "sideways"},
            "There is no way 'sideways' to fine-tune; say full, lora, projection",
        ),
        ({"speed": 3}, "There is no parameter speed; there are accumulate, batch"),
        ({"steps": "many"}, "A parameter has a value of the wrong kind"),
        ({"encoder": "abc"}, "No learned encoder of stall begins with 'abc'"),
    )
    for parameters, said in asked:
        with pytest.raises(TrainingFault, match=said):
            carried_out(catalog, Kind.FINETUNE, finetune, **parameters)
        TrainingRun.objects.update(state="failed")
    Item.objects.filter(category="Drinks > Tea").delete()
    with pytest.raises(TrainingFault, match="16 different texts; 50 are needed"):
        carried_out(catalog, Kind.PRETRAIN, pretrain)
    other = Catalog.objects.create(slug="empty", name="Empty", item_kind="article")
    Item.objects.create(catalog=other, external_id="1", title="One")
    with pytest.raises(TrainingFault, match="no interactions yet"):
        carried_out(other, Kind.FINETUNE, finetune)


def test_where_nothing_is_learned_nothing_is_registered(catalog: Catalog) -> None:
    run = carried_out(catalog, Kind.FINETUNE, finetune, way="projection", learning_rate=0.0)
    assert run.log_lines.filter(text__contains="nothing was better").exists()
    assert not catalog.encoders.exists()
