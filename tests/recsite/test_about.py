"""The front door: what it says of each catalog."""

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import EVENT_WEIGHTS, Catalog, Item
from training.models import TrainingRun
from training.runs import create_run

pytestmark = pytest.mark.django_db


def test_the_front_door_says_that_a_model_is_being_trained(client: Client) -> None:
    catalog = Catalog.objects.create(
        slug="tea", name="Tea", item_kind="product", event_weights=EVENT_WEIGHTS["product"]
    )
    assert ">Empty<" in "".join(client.get(reverse("home")).content.decode().split())
    Item.objects.create(catalog=catalog, external_id="a", title="Sencha", category="Green")
    assert "being trained" not in client.get(reverse("home")).content.decode()
    create_run(catalog, TrainingRun.Kind.TRAIN)
    assert "Ready; a model is being trained" in client.get(reverse("home")).content.decode()
