"""The dashboard: searches for better settings."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from catalog.models import Catalog
from tests.training.searches import a_search
from training.models import TrainingRun, TuningTrial


def search(shop: Catalog, state: str = "succeeded") -> TrainingRun:
    run = a_search(
        shop,
        ("trees", {"depth": 4, "learning_rate": 0.06}, 0.2, True),
        ("trees", {"depth": 5, "learning_rate": 0.0412345}, 0.25, False),
        ("fm", {"rank": 16}, 0.2, True),
        ("fm", {"rank": 4}, 0.1, False),
        state=state,
    )
    TuningTrial.objects.create(run=run, number=4, state="running", branch="dcn")
    return run


@pytest.fixture
def address(shop: Catalog) -> str:
    return reverse("dashboard:catalog-models", args=[shop.slug])


def test_before_the_first_the_space_and_the_form_stand_there(staff: Client, address: str) -> None:
    page = staff.get(address).content.decode()
    assert "None yet: trainings take the usual settings." in page
    assert "use what the last search found" not in page
    for said in ("min child weight", "0.01 – 0.3", "rank:ndcg, binary:logistic", "id dropout"):
        assert said in page
    assert "manage.py tune shop --param what=ranker --param trials=20" in page


def test_what_was_found_stands_beside_the_usual(staff: Client, shop: Catalog, address: str) -> None:
    run = search(shop)
    page = " ".join(staff.get(address).content.decode().split())
    assert "trees: 0.2000 → 0.2500" in page
    assert "+0.0500" in page
    assert "depth 5, learning rate 0.0412" in page
    assert "factorisation machine: 0.2000 → 0.2000" in page
    assert reverse("dashboard:run", args=[run.pk]) in page
    assert "use what the last search found" in page


def test_a_search_that_did_not_succeed_is_not_offered(
    staff: Client, shop: Catalog, address: str
) -> None:
    search(shop, "cancelled")
    page = staff.get(address).content.decode()
    assert "use what the last search found" not in page


def test_many_searches_ask_no_more_queries(
    staff: Client,
    shop: Catalog,
    address: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        search(shop)
    with django_assert_max_num_queries(16):
        staff.get(address)


def test_a_runs_page_shows_its_trials(staff: Client, shop: Catalog) -> None:
    run = search(shop, "running")
    page = " ".join(staff.get(reverse("dashboard:run", args=[run.pk])).content.decode().split())
    assert page.count("usual</span>") == 2
    assert "learning rate 0.0412" in page
    assert "Running" in page


def test_the_form_queues_a_search_or_says_what_is_wrong(
    staff: Client, shop: Catalog, address: str
) -> None:
    form = reverse("dashboard:tune", args=[shop.slug])
    refused = staff.post(form, {"what": "ranker", "trials": "many"}, follow=True)
    assert "Trials: a number, not &#x27;many&#x27;." in refused.content.decode()
    assert not TrainingRun.objects.exists()
    staff.post(form, {"what": "tower", "trials": "", "minutes": "30", "seed": "9"})
    assert TrainingRun.objects.get().parameters == {"what": "tower", "minutes": 30}


def test_a_training_may_use_what_was_found(staff: Client, shop: Catalog) -> None:
    staff.post(reverse("dashboard:train", args=[shop.slug]), {"tuned": "latest"})
    assert TrainingRun.objects.get().parameters == {"tuned": "latest"}
