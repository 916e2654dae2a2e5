"""A whole training on a small catalog, and serving from what it made."""

import time
import uuid
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch
from django.core.management import call_command
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import Catalog, ItemVector, SlateLog, User
from ranking import features, serving
from ranking.bundle import bundle_path, open_bundle
from ranking.context import read_context
from ranking.filters import allowed_items
from ranking.personalizer import PERSONAL, Personalizer, PersonalNetwork
from ranking.pipeline import recommend
from ranking.popularity import Popularity
from ranking.rankers.leads import Leads
from ranking.rerank import DIVERSITY
from ranking.sources import union
from ranking.sources.union import retrieve
from ranking.state import SAME_TEXT, RankingState
from ranking.types import Query
from tests.training.trained import NOTHING, evaluated, shown, trained
from training import fit_ranker
from training.errors import RunInterrupted, TrainingFault
from training.fit_personal import config_for
from training.fit_ranker import NAMES
from training.handle import RunHandle
from training.kinds import train_and_register
from training.measures import measure
from training.models import ModelVersion, TrainingRun
from training.registry import roll_back
from training.report import table
from training.runs import create_claimed
from training.snapshot import read_log, take_snapshot
from training.splits import PastRequest, context_of
from training.words import words_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]


def test_a_personal_model_is_served_as_it_was_trained(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Personalizer] = []

    def backwards(
        handle: RunHandle, then: RankingState, *args: object
    ) -> RankingState:  # turns every head round; of 30 people nothing could be learned
        words = words_of(then.items)
        network = PersonalNetwork(config_for("tokens", then, words))
        network.words[: len(words.vectors)] = torch.from_numpy(words.vectors)
        torch.nn.init.constant_(network.trust, -1.0)
        assert then.tower_items is not None
        made.append(Personalizer(network, NAMES, then.tower_items, words.rows))
        return replace(then, personalizer=made[0])

    monkeypatch.setattr("training.fit_ranker.fit_personalizer", backwards)
    bundle_id = trained(catalog)
    served, _ = serving.current(catalog)
    assert served.bundle_id == bundle_id
    assert served.personalizer is not None
    assert served.personalizer.network.config == made[0].network.config
    assert (served.personalizer.words == made[0].words).all()
    fruit = User.objects.get(external_id="person-0")
    query = Query(catalog.slug, user_id=fruit.pk, size=16, log=False)
    usual = recommend(replace(query, without=(PERSONAL, DIVERSITY)))
    turned = recommend(replace(query, without=(DIVERSITY,)))
    assert turned.item_ids == usual.item_ids[::-1]
    assert PERSONAL in {stage.name for stage in turned.stages}
    assert PERSONAL not in {stage.name for stage in usual.stages}
    figures = ModelVersion.objects.get(bundle_id=bundle_id).metrics
    assert "without the personal model" in figures


@pytest.mark.parametrize("stage", ["tower", "ranker dcn", "evaluating"])
def test_a_killed_training_ends_with_the_same_bundle(
    catalog: Catalog, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests(run: TrainingRun) -> dict[str, str]:
        return dict(open_bundle(ModelVersion.objects.get(run=run).bundle_id).meta.digests)

    trained(catalog)
    whole = digests(TrainingRun.objects.get())
    TrainingRun.objects.update(state="succeeded")
    small = {"epochs": 2, "rounds": 10, "network_epochs": 1}
    run, lease = create_claimed(catalog, TrainingRun.Kind.TRAIN, "test", small)

    def killed(handle: RunHandle) -> None:
        if handle._stage.lower().startswith(stage):
            raise RunInterrupted("The machine goes down.")

    with monkeypatch.context() as patched:
        patched.setattr(RunHandle, "check", killed)
        with pytest.raises(RunInterrupted), RunHandle(run, lease) as handle:
            train_and_register(handle)
    with RunHandle(run, lease) as handle:
        train_and_register(handle)
    assert digests(run) == whole  # bit for bit


def test_the_near_duplicates_that_validation_chose_are_served(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_ranker, "fit_near_duplicate", lambda *_: SAME_TEXT)
    trained(catalog)
    serving.forget_all()
    assert serving.current(catalog)[0].near_duplicate == SAME_TEXT


def test_from_logs_to_a_served_bundle(catalog: Catalog) -> None:
    fruit = User.objects.get(external_id="person-0")
    before = recommend(Query(catalog.slug, user_id=fruit.pk, size=4))
    assert before.bundle_id == ""
    assert len(before.items) == 4  # popularity answers before there are vectors

    bundle_id = trained(catalog)
    assert catalog.live_bundle == bundle_id
    assert ItemVector.objects.count() == 16
    serving.forget_all()
    assert serving.current(catalog)[0].leads == Leads.of(open_bundle(bundle_id).meta.parameters)
    assert "leads" in open_bundle(bundle_id).meta.parameters
    assert shown(catalog, fruit) == ["Fruit"] * 4
    assert shown(catalog, User.objects.get(external_id="person-1")) == ["Tools"] * 4
    logged = SlateLog.objects.filter(user=fruit).latest("created_at")
    assert logged.bundle_id == bundle_id
    assert len(logged.scores) == len(logged.propensities) == len(logged.sources) == 4
    assert {stage["name"] for stage in logged.trace["stages"]} >= {"sources", "ranker"}

    result = evaluated(catalog, "time")
    assert result["bundle"] == bundle_id
    pipeline = result["models"][-1]
    assert pipeline["name"] == "full pipeline"
    assert 0 < pipeline["metrics"]["ndcg@10"]["value"] <= 1
    assert any("full pipeline − popularity" in line for line in table(result))
    TrainingRun.objects.update(state="succeeded")
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"by": "history"})
    with RunHandle(run, lease) as handle:
        assert measure(handle, "by-history").bundle == bundle_id


def test_a_feature_row_is_the_same_online_and_in_training(catalog: Catalog) -> None:
    trained(catalog)
    serving.forget_all()
    state, _ = serving.current(catalog)
    log = read_log(take_snapshot(catalog), state.items, catalog)
    for name in ("person-0", "person-1"):
        query = Query(catalog.slug, user_id=User.objects.get(external_id=name).pk)
        online = read_context(query, catalog, state.items)
        places = np.flatnonzero(log.users == query.user_id)
        request = PastRequest(
            int(places[0]), int(places[-1]) + 1, query.user_id or 0, online.now, *NOTHING
        )
        past = context_of(log, request)
        counted = state.as_of(log, float(log.timestamps.max()) + 1.0)  # as the bundle's tables
        popularity = Popularity.fit(log, len(state.items), online.now)  # counted on since then
        rows = []
        for then, context in ((state, online), (replace(counted, popularity=popularity), past)):
            allowed, _ = allowed_items(then, context, query)
            candidates = retrieve(then, context, query, allowed)
            rows.append(features.rows_of(then, context, candidates))
        served, learned = rows
        assert served.items.tolist() == learned.items.tolist()
        assert served.history.tolist() == learned.history.tolist()
        names = features.names(union.NAMES)
        for place, feature in enumerate(names):
            assert served.features[:, place] == pytest.approx(
                learned.features[:, place], rel=1e-3, abs=1e-4, nan_ok=True
            ), feature


def test_newcomers_are_ranked_by_what_they_share_with_others(catalog: Catalog) -> None:
    things = {row.category: row.pk for row in catalog.items.order_by("pk")}
    crowd = [
        User(
            username=f"~{hobby}-{place}",
            attributes={"hobby": [hobby, "go"], "email": f"{place}@a.org"},
        )
        for hobby in ("garden", "cars")
        for place in range(60)
    ]
    at = timezone.now() - timedelta(days=9)
    bought = {"garden": things["Fruit"], "cars": things["Tools"]}
    events = [
        Event(user.pk, bought[user.attributes["hobby"][0]], "purchase", at, 1.0, uuid.uuid4())
        for user in User.objects.bulk_create(crowd)
    ]
    assert log_interactions(catalog, events).accepted == len(crowd)
    bundle = trained(catalog)
    meta = open_bundle(bundle).meta.parameters["traits"]
    assert meta == {"pairs": [["hobby", "go"], ["hobby", "cars"], ["hobby", "garden"]], "bands": {}}
    serving.forget_all()
    state, _ = serving.current(catalog)
    newcomer = User.objects.create(username="~new", attributes={"hobby": "garden"})
    query = Query(catalog.slug, user_id=newcomer.pk, only_sources=("popular",), log=False)
    nobody = replace(query, user_id=User.objects.create(username="~nobody").pk)

    told, untold = recommend(query), recommend(nobody)
    assert told.item_ids[0] == things["Fruit"]
    assert set(untold.item_ids[:2]) == set(things.values())
    assert told.items[0].reason == "Popular with people like you"
    assert {item.reason for item in untold.items} == {"Popular now"}
    taken = take_snapshot(catalog)
    log = read_log(taken, state.items, catalog)
    online = read_context(query, catalog, state.items, traits=state.affinity.traits)
    assert [state.affinity.traits.pairs[row] for row in online.traits] == [("hobby", "garden")]
    gardener = User.objects.get(username="~garden-7").pk
    place = int(np.searchsorted(log.users, gardener))
    past = context_of(log, PastRequest(place, place, gardener, time.time(), *NOTHING))
    assert {log.people.traits.pairs[row] for row in past.traits} == {
        ("hobby", "garden"),
        ("hobby", "go"),
    }
    assert b"a.org" not in taken.path.read_bytes()
    call_command("ignore_attributes", catalog.slug, "hobby", "email")
    catalog.refresh_from_db()
    assert recommend(query).item_ids == untold.item_ids
    assert read_log(taken, state.items, catalog).people.traits.pairs == ()
    assert read_log(take_snapshot(catalog), state.items, catalog).people.traits.pairs == ()
    call_command("ignore_attributes", catalog.slug)
    assert recommend(query).item_ids == told.item_ids


def test_a_parameter_that_nothing_reads_is_refused_at_once(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.TRAIN, "test", {"tower_epochs": 2})
    with RunHandle(run, lease) as handle, pytest.raises(TrainingFault, match="no parameter tower"):
        train_and_register(handle)
    assert not ItemVector.objects.exists()


def test_a_roll_back_is_served_and_a_corrupt_bundle_is_not(catalog: Catalog) -> None:
    bundle_id = trained(catalog)
    query = Query(catalog.slug, size=4)
    serving.forget_all()
    assert recommend(query).bundle_id == bundle_id
    with (bundle_path(bundle_id) / "tower.safetensors").open("r+b") as file:
        file.seek(100)
        file.write(b"\0\0\0\0")
    assert recommend(query).bundle_id == bundle_id  # what is in memory goes on
    serving.forget_all()
    answer = recommend(query)
    assert answer.bundle_id == ""
    assert len(answer.items) == 4
    catalog.refresh_from_db()
    assert serving.refusal(catalog) == bundle_id
    roll_back(catalog, None, "It is corrupt.")
    catalog.refresh_from_db()
    assert catalog.live_bundle == ""
