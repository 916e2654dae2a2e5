"""A whole training on a small catalog, and serving from what it made."""

import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.events import Event, log_interactions
from catalog.models import Catalog, Item, ItemVector, SlateLog, User
from ranking import features, serving
from ranking.bundle import bundle_path, open_bundle
from ranking.context import read_context
from ranking.encoder import load_encoder
from ranking.filters import allowed_items
from ranking.personalizer import PERSONAL, Personalizer, PersonalNetwork
from ranking.pipeline import recommend, search
from ranking.popularity import Popularity
from ranking.rankers.leads import Leads
from ranking.rerank import DIVERSITY
from ranking.sources import union
from ranking.sources.union import retrieve
from ranking.state import ALIKE_TEXT, NO_DUPLICATE, SAME_TEXT, RankingState
from ranking.types import DAY, Query
from training import fit_ranker
from training.ablation import told
from training.backtest import Backtest, backtest, mean_leads
from training.by_history import told as by_history_told
from training.cold_start import cold_start
from training.cold_start import told as cold_start_told
from training.errors import RunInterrupted, TrainingFault
from training.evaluation import ablate_catalog, evaluate_catalog
from training.fit import Limits
from training.fit_personal import config_for
from training.fit_ranker import NAMES, RankerLimits
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

QUICK = Limits(epochs=2, ranker=RankerLimits(rounds=10, network_epochs=1))
NOTHING = (np.zeros(0, dtype=np.int64),) * 2 + (np.zeros(0, dtype=np.uint8),)


def trained(catalog: Catalog) -> str:
    run, lease = create_claimed(
        catalog, TrainingRun.Kind.TRAIN, "test", {"epochs": 2, "rounds": 10, "network_epochs": 1}
    )
    with RunHandle(run, lease) as handle:
        train_and_register(handle)
    catalog.refresh_from_db()
    return ModelVersion.objects.get(run=run).bundle_id


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


def evaluated(catalog: Catalog, split: str) -> dict[str, Any]:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"split": split})
    with RunHandle(run, lease) as handle:
        return evaluate_catalog(handle, split, limits=QUICK)


def shown(catalog: Catalog, user: User) -> list[str]:
    slate = recommend(Query(catalog.slug, user_id=user.pk, size=4))
    return [item.category for item in Item.objects.in_slate_order(slate.item_ids)]


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


def test_the_command_says_in_one_line_what_is_wrong_and_leaves_no_run_behind(
    catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match=r"There is no split 'daily'; say time"):
        call_command("evaluate", "stall", "--split", "daily")
    with pytest.raises(CommandError, match="There is no folder"):
        call_command("evaluate", "stall", "--json", str(tmp_path / "none" / "f.json"))
    with pytest.raises(CommandError, match="There is no catalog 'other'"):
        call_command("evaluate", "other")
    assert not TrainingRun.objects.exists()


def test_each_part_is_taken_away_once(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"ablate": True})
    with RunHandle(run, lease) as handle:
        rows = ablate_catalog(handle, "leave-last-2", QUICK)
    kinds = [row["kind"] for row in rows]
    assert kinds.count("recall") == len(union.NAMES)
    of_use = {row["name"] for row in rows if row["kind"] == "recall" and row["recall"] > 0}
    assert of_use <= {row["name"] for row in rows if row["kind"] == "source"}
    assert {"stage", "features", "nothing"} <= set(kinds)
    for row in rows:
        assert row["name"] in told(row)
        if row["kind"] == "recall":
            assert 0 <= row["alone"] <= row["recall"] <= 1
        else:
            worth = row["worth"]
            assert worth["value"] == pytest.approx(row["with"] - row["without"], abs=1e-6)
            assert worth["low"] <= worth["value"] <= worth["high"]


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


def test_without_a_bundle_a_pipeline_is_fitted_for_the_evaluation(catalog: Catalog) -> None:
    result = evaluated(catalog, "leave-last-2")
    assert (result["split"], result["users"], result["requests"]) == ("leave-last-2", 30, 60)
    assert result["bundle"] == ""
    models = {model["name"]: model["metrics"]["recall@10"]["value"] for model in result["models"]}
    assert models["full pipeline"] > models["popularity"]
    assert not ModelVersion.objects.exists()


def test_a_parameter_that_nothing_reads_is_refused_at_once(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.TRAIN, "test", {"tower_epochs": 2})
    with RunHandle(run, lease) as handle, pytest.raises(TrainingFault, match="no parameter tower"):
        train_and_register(handle)
    assert not ItemVector.objects.exists()


def test_months_before_the_test_are_measured_one_by_one(catalog: Catalog) -> None:
    plan = Backtest(months=2, people=20, requests=20, rounds=5)
    results = backtest(catalog, plan)
    newest, older = (result["test_start"] for result in results)
    assert newest - older == pytest.approx(58 * DAY * 0.12, rel=0.01)
    assert [result["users"] for result in results] == [20, 20]
    leads = mean_leads(results)
    assert {"popularity", "personal popularity", "blend of baselines"} <= set(leads)
    assert leads["popularity"] > 0
    with pytest.raises(TrainingFault, match="reach back for 4 such months"):
        backtest(catalog, Backtest(months=9))


def test_search_finds_by_word_and_forgives_spelling(catalog: Catalog) -> None:
    trained(catalog)
    serving.forget_all()

    def first(text: str) -> str:
        slate = search(Query(catalog.slug, text=text, size=3))
        return Item.objects.in_slate_order(slate.item_ids)[0].external_id

    assert first("hammer") == "hammer"
    assert first("hamer") == "hammer"
    assert first("hammre") == "hammer"
    assert Item.objects.get(external_id=first("boring holes in a wall")).category == "Tools"
    hostile = search(Query(catalog.slug, text="hammer' OR 1=1 --", size=3))
    assert Item.objects.in_slate_order(hostile.item_ids)[0].external_id == "hammer"


@pytest.mark.parametrize(
    ("likeness", "found"),
    [
        (ALIKE_TEXT, ["Oolong tea", "Oolong tea."]),
        (NO_DUPLICATE, ["Oolong tea", "Oolong tea", "Oolong tea."]),
    ],
)
def test_a_search_drops_the_same_text_but_not_what_is_alike(
    catalog: Catalog, likeness: float, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {"same": "Oolong tea", "same again": "Oolong  tea", "alike": "Oolong tea."}
    for name, title in titles.items():
        Item.objects.create(catalog=catalog, external_id=name, title=title)
    monkeypatch.setattr("training.fit_ranker.fit_near_duplicate", lambda *_: likeness)
    trained(catalog)
    serving.forget_all()
    state, _ = serving.current(catalog)
    rows = state.items.rows_of(
        np.array([Item.objects.get(external_id=name).pk for name in ("same", "alike")])
    )
    same, alike = state.items.vectors(rows)
    assert ALIKE_TEXT < same @ alike < SAME_TEXT
    slate = search(Query(catalog.slug, text="oolong tea", size=3))
    titled = [" ".join(item.title.split()) for item in Item.objects.in_slate_order(slate.item_ids)]
    assert sorted(title for title in titled if title.startswith("Oolong")) == found


def test_who_comes_first_after_the_items_waits_for_them() -> None:
    empty = Catalog.objects.create(slug="empty", name="Empty", item_kind="product")
    assert len(serving.current(empty)[0].items) == 0
    Item.objects.create(catalog=empty, external_id="pear", title="Pear")
    empty.touch_items()
    empty.refresh_from_db()
    assert len(serving.current(empty)[0].items) == 1


def test_of_equal_matches_a_guest_sees_first_what_most_people_pick(catalog: Catalog) -> None:
    for kind in ("black", "green", "white"):
        Item.objects.create(catalog=catalog, external_id=kind, title=f"{kind.title()} tea")
    liked = Item.objects.get(external_id="white")
    people = User.objects.filter(external_id__startswith="person-").values_list("pk", flat=True)
    events = [
        Event(person, liked.pk, "purchase", timezone.now(), 1.0, uuid.uuid4()) for person in people
    ]
    log_interactions(catalog, events)
    serving.forget_all()
    slate = search(Query(catalog.slug, text="tea", size=3))
    assert Item.objects.in_slate_order(slate.item_ids)[0] == liked


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


def test_the_encoder_tells_meaning_apart_and_has_unit_length() -> None:
    vectors = load_encoder().encode_items(["a red apple", "a green pear", "a steel hammer"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert load_encoder().encode_items([]).shape == (0, 384)


def test_by_history_the_blend_is_beside_its_parts(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"by": "history"})
    with RunHandle(run, lease) as handle:
        stored = measure(handle, "by-history", limits=QUICK)
    assert (stored.catalog, stored.run, stored.split) == (catalog, run, "time")
    assert stored.bundle == ""
    lengths = [row for row in stored.rows if row["by"] == "history"]
    assert [row["model"] for row in lengths[:3]] == [
        "language model alone",
        "behaviour alone",
        "blend",
    ]
    assert lengths[0]["from"] == 0
    assert any(row["by"] == "picks" for row in stored.rows)
    for row in stored.rows:
        assert row["ndcg@10"]["low"] <= row["ndcg@10"]["value"] <= row["ndcg@10"]["high"]
        assert ("over_better" in row) == (row["model"] == "blend")
    assert "over behaviour alone" in by_history_told(lengths[2])
    with RunHandle(run, lease) as handle, pytest.raises(TrainingFault, match="by-history, cold"):
        measure(handle, "by-moon")


def test_cold_start_is_measured_case_by_case(catalog: Catalog) -> None:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"cold": True})
    with RunHandle(run, lease) as handle:
        rows = cold_start(handle, "time", QUICK)
    figures = {(row["case"], row["model"]): row for row in rows}
    people = [f"people with {length} interactions" for length in (0, 1, 3)]
    first_day, untouched = "a catalog's first day", "items that nobody has touched"
    assert {case for case, _ in figures} == {*people, first_day, untouched}
    assert {model for case, model in figures if case == first_day} == {"chance", "text alone"}
    told_lines = [cold_start_told(row) for row in rows]
    assert any("× chance" in line for line in told_lines)

    def value(case: str, model: str) -> float:
        return float(figures[case, model]["ndcg@10"]["value"])

    assert value(first_day, "text alone") > 1.2 * value(
        first_day, "chance"
    )  # fruit goes with fruit
    assert value(people[0], "text alone") == value(people[0], "text alone")
    assert value(people[2], "full pipeline") > value(people[0], "full pipeline")
    assert figures[untouched, "popularity"]["requests"] > 0
