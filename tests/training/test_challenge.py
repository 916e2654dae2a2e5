"""Two trainings of a small catalog: compared, tried out, rolled out, and put side by side."""

import time

import pytest
from django.core.management import call_command
from django.test import Client

from catalog.models import Catalog, Role, SlateLog, User
from ranking import serving
from ranking.pipeline import recommend
from ranking.rollout import meets_challenger
from ranking.types import Query
from training import registry, rollout
from training.gate import gate
from training.gate_limits import CheckName
from training.handle import RunHandle
from training.kinds import train_and_register
from training.leases import finish
from training.models import ModelVersion, RunState, TrainingRun
from training.runs import create_claimed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]


def trained(catalog: Catalog, epochs: int) -> ModelVersion:
    parameters = {"epochs": epochs, "rounds": 10, "network_epochs": 0, "personal_epochs": 0}
    run, lease = create_claimed(catalog, TrainingRun.Kind.TRAIN, "test", parameters)
    with RunHandle(run, lease) as handle:
        train_and_register(handle)
    finish(lease, RunState.SUCCEEDED)
    catalog.refresh_from_db()
    return ModelVersion.objects.select_related("catalog").get(run=run)


def test_a_second_model_from_its_training_to_a_share_of_the_people(
    catalog: Catalog, client: Client
) -> None:
    first = trained(catalog, 2)
    assert catalog.live_bundle == first.bundle_id
    assert first.metrics["paired"] is None
    assert first.metrics["rehearsal"] | {"at": ""} == {
        "champion": "",
        "at": "",
        "asked": 22,  # twenty known people, a guest, a search
        "people": 0,
        "ms": None,
        "champion_ms": None,
        "faults": [],
    }
    second = trained(catalog, 1)
    assert second.parent == first
    paired = second.metrics["paired"]
    assert paired["bundle"] == first.bundle_id
    difference = paired["metrics"]["ndcg@10"]
    assert difference["low"] <= difference["value"] <= difference["high"]
    assert 0 < difference["p"] <= 1
    segments = second.metrics["segments"]
    assert set(paired["segments"]) == set(segments) >= {"category Fruit", "category Tools"}
    assert all(one["low"] <= one["ndcg@10"] <= one["high"] for one in segments.values())
    live = second.metrics["live model"]["ndcg@10"]["value"]
    ours = second.metrics["pipeline"]["ndcg@10"]["value"]
    assert ours - live == pytest.approx(difference["value"])
    checks = {check.name: check for check in gate(second, first)}
    assert checks[CheckName.LATENCY].reason.count("ms a request (median of 20)") == 1
    assert checks[CheckName.SMOKE_QUERIES].ok
    assert "On the same requests" in checks[CheckName.QUALITY].reason
    rolled_out_and_compared(catalog, second, client)


def rolled_out_and_compared(catalog: Catalog, second: ModelVersion, client: Client) -> None:
    serving.forget_all()
    live = catalog.live_bundle
    recommend(Query(catalog.slug))
    call_command("rollout", "stall", second.bundle_id, share=50, reason="try", force=True)
    catalog.refresh_from_db()
    people = list(User.objects.filter(external_id__startswith="person-").order_by("pk"))
    met = {person.pk: meets_challenger(catalog, person.pk) for person in people}
    assert {True, False} == set(met.values())
    wanted = next(pk for pk, challenger in met.items() if challenger)
    deadline = time.monotonic() + 30
    while recommend(Query(catalog.slug, user_id=wanted, log=False)).bundle_id == live:
        assert time.monotonic() < deadline, "the challenger was not loaded"
        time.sleep(0.05)
    for person in people:
        recommend(Query(catalog.slug, user_id=person.pk))
    for slate in SlateLog.objects.exclude(user=None):
        assert (slate.bundle_id == second.bundle_id) == met[slate.user_id or 0]
    state, _ = serving.challenging(catalog)
    assert state.items is serving.current(catalog)[0].items  # shared, not loaded twice
    found = rollout.progress(catalog)
    assert found is not None
    assert found.challenger.slates == 0  # nobody has said what was in view
    side_by_side(catalog, second, client)
    registry.roll_back(catalog, None, "enough")


def side_by_side(catalog: Catalog, second: ModelVersion, client: Client) -> None:
    client.force_login(User.objects.create_user("boss", is_staff=True, role=Role.VIEWER))
    address = f"/dashboard/models/{catalog.slug}/playground/?right={second.bundle_id}"
    before = SlateLog.objects.count()
    deadline = time.monotonic() + 30
    for sent in ({"person": "person-1"}, {"item": ["hammer", "saw", "drill"]}, {"q": "hammer"}):
        while (outcome := client.get(address, sent).context["outcome"]) is None:
            assert time.monotonic() < deadline, "the other bundle was not loaded"
            time.sleep(0.05)
        assert outcome.fault == ""
        assert outcome.value.left[0].item.category == "Tools", sent
    assert SlateLog.objects.count() == before
