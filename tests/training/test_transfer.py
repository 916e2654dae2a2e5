"""Transfer: a catalog as two halves, and people who are new in one of them."""

import uuid
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, Catalog, EncoderVersion, Item
from catalog.people import users_by_external_id
from ranking.types import DAY, InteractionLog
from tests.ranking.worlds import NOW, item_index, log_of
from training import transfer as module
from training.errors import TrainingFault
from training.fit import Limits
from training.handle import RunHandle
from training.measures import measure
from training.models import Evaluation, TrainingRun
from training.runs import create_claimed
from training.transfer import _people, cut, told, transfer


def crossing(people: int) -> InteractionLog:
    """Everybody picks three items of department 0, then one each of departments 1 and 2."""
    picks = ((0, 9.0), (3, 8.0), (6, 7.0), (1, 3.0), (2, 2.0), (4, 1.0))
    return log_of(*((user, row, age, 1.0) for user in range(people) for row, age in picks))


def test_halves_have_about_as_many_interactions_and_people_are_held_out_whole() -> None:
    items, log = item_index(), crossing(40)
    halves = cut(items, log, 1)
    share = halves.in_a[log.rows].mean()
    assert 0.4 <= share <= 0.6
    assert len({tuple(halves.in_a[items.departments == one]) for one in range(3)}) == 2
    held = np.unique(log.users[halves.held])
    assert len(held) == 8
    assert not np.isin(log.users[~halves.held], held).any()
    assert not (halves.held & halves.valid).any()


def test_what_is_known_is_of_one_half_and_asked_for_is_what_came_later_in_the_other() -> None:
    items, log = item_index(), crossing(40)
    halves = cut(items, log, 1)
    source = bool(halves.in_a[0])
    contexts, picked = _people(log, halves, source)
    assert len(contexts) == 8
    assert contexts[0].rows.tolist() == [0, 3, 6]
    assert set(picked[0].tolist()) <= {1, 2, 4}
    assert contexts[0].timestamps.max() < contexts[0].now == NOW - 3 * DAY
    assert _people(log, halves, not source)[0] == []  # nothing in the other half to begin with


def test_one_department_is_refused() -> None:
    items, log = item_index(), log_of(*((user, 3, 5.0, 1.0) for user in range(9)))
    with pytest.raises(TrainingFault, match="fewer than two"):
        cut(items, log, 1)


@pytest.fixture
def street() -> Catalog:
    """A shop of cooking and gardening books whose words cross: who cooks fish reads on ponds."""
    catalog = Catalog.objects.create(
        slug="street", name="S", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )
    fish = ["trout", "carp", "salmon", "eel", "pike", "cod"]
    fruit = ["apple", "pear", "plum", "cherry", "peach", "quince"]
    Item.objects.bulk_create(
        Item(catalog=catalog, external_id=f"{way} {what}", title=f"{way} {what}", category=way)
        for way in ("Cooking", "Keeping")
        for what in fish + fruit
    )
    people = users_by_external_id([f"person-{number}" for number in range(260)])
    ids = {item.external_id: item.pk for item in catalog.items.all()}
    draw, now, events = np.random.default_rng(5), timezone.now(), []
    for number, user in enumerate(people.values()):
        ways = ["Cooking", "Keeping"][:: 1 if number % 4 < 2 else -1]
        taste = fish if number % 2 else fruit
        names = [f"{way} {what}" for way in ways for what in draw.permutation(taste)[:4]]
        for step, name in enumerate(names):
            moment = now - timedelta(days=20 - step, minutes=number)
            events.append(Event(user, ids[name], "purchase", moment, 1.0, uuid.uuid4()))
    log_interactions(catalog, events)
    return catalog


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_folders")
def test_a_taste_crosses_by_its_words(street: Catalog) -> None:
    run, lease = create_claimed(street, TrainingRun.Kind.EVALUATE, "test", {})
    with RunHandle(run, lease) as handle:
        stored = measure(handle, "transfer", "leave-last-out", limits=Limits(epochs=3))
    assert stored.kind == Evaluation.Kind.TRANSFER
    assert {row["case"] for row in stored.rows} == {"A → B", "B → A"}
    value = {(row["case"], row["model"]): row["ndcg@10"]["value"] for row in stored.rows}
    for direction in ("A → B", "B → A"):
        assert value[direction, "text across"] > value[direction, "popular there"]
    assert "0 in the other" in told(stored.rows[0])


@pytest.mark.django_db
def test_an_encoder_that_learned_from_picks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog.objects.create(slug="street", name="S", item_kind="product")
    tuned = EncoderVersion.objects.create(
        name="tuned", digest="f" * 64, dimensions=384, catalog=catalog, way="lora"
    )
    monkeypatch.setattr(module, "encoder_of_run", lambda handle, wanted: tuned)
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {})
    with pytest.raises(TrainingFault, match="Say --encoder configured"):
        transfer(RunHandle(run, lease), "time")


@pytest.mark.django_db
def test_the_command_says_what_does_not_go_together() -> None:
    Catalog.objects.create(slug="street", name="S", item_kind="product")
    for options, said in (
        (["--transfer", "--cold-start"], "--cold-start and --transfer, not both"),
        (["--by-history", "--fresh"], "--by-history does not read --fresh"),
        (["--ablate", "--people", "9"], "--ablate does not read --people"),
        (["--svg", "plot.svg"], "go with --by-encoder"),
        (["--transfer", "--svg", "/no/folder/plot.svg"], "no folder /no/folder"),
        (["--transfer", "--stored"], "evaluate street --transfer makes one"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("evaluate", "street", *options)


@pytest.mark.django_db
def test_what_was_kept_is_said_and_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = Catalog.objects.create(slug="street", name="S", item_kind="product")
    figure = {"value": 0.25, "low": 0.2, "high": 0.3}
    row = {"case": "A → B", "model": "chance", "requests": 9, "known": 4.0, "ndcg@10": figure}
    Evaluation.objects.create(catalog=catalog, kind="transfer", split="time", rows=[row])
    drawn = tmp_path / "plot.svg"
    call_command("evaluate", "street", "--transfer", "--stored", "--svg", str(drawn))
    assert "0.2500 [0.2000, 0.3000]" in capsys.readouterr().out
    assert "A → B" in drawn.read_text()
