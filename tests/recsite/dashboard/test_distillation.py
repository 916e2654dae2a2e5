"""The models page's section on distillation: what it says, offers, and starts."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from catalog.models import Catalog
from training.models import TrainingRun


@pytest.fixture
def address(shop: Catalog) -> str:
    return reverse("dashboard:catalog-models", args=[shop.slug])


def test_without_a_live_model_it_says_what_to_do(staff: Client, address: str) -> None:
    page = staff.get(address).content.decode()
    assert "There is no live model yet that could learn from a teacher" in page
    assert "manage.py distill shop --param split=leave-last-5" in page
    assert reverse("dashboard:distill", args=["shop"]) not in page


def test_a_button_starts_what_the_command_does(staff: Client, shop: Catalog, address: str) -> None:
    Catalog.objects.filter(pk=shop.pk).update(live_bundle="shop-20260101T000000Z-aaaaaaaa")
    form = reverse("dashboard:distill", args=[shop.slug])
    assert form in staff.get(address).content.decode()
    answer = staff.post(form, {"design": "attention"})
    run = TrainingRun.objects.get()
    assert (run.kind, run.parameters) == ("distill", {"design": "attention"})
    assert answer.headers["Location"] == reverse("dashboard:run", args=[run.pk])
    page = " ".join(staff.get(address).content.decode().split())
    assert "The last distillation</a>" in page
    assert "Queued" in page


def test_many_distillations_ask_no_more_queries(
    staff: Client,
    shop: Catalog,
    address: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        TrainingRun.objects.create(catalog=shop, kind="distill", state="succeeded")
    with django_assert_max_num_queries(20):
        staff.get(address)
