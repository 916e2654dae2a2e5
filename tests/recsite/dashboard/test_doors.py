"""The dashboard: who may come in."""

import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import Catalog, User
from tests.recsite.dashboard.pages import actions, pages, registered
from training.models import TrainingRun


class TestDoors:
    """Staff, member, stranger."""

    @pytest.fixture
    def everything(self, shop: Catalog, tmp_path: Path) -> tuple[list[str], list[str]]:
        run = TrainingRun.objects.create(catalog=shop, kind="train")
        version = registered(shop, tmp_path, 0.1)
        return pages(shop, run, version.bundle_id), actions(shop, run)

    def test_strangers_are_asked_to_log_in(
        self, client: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        for address in everything[0]:
            answer = client.get(address)
            assert answer.status_code == 302, address
            assert answer["Location"] == f"{reverse('login')}?next={address}"
        for address in everything[1]:
            assert client.post(address).status_code == 302, address
        assert TrainingRun.objects.count() == 1

    def test_a_fragment_sends_the_whole_page_to_the_login(
        self, client: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{everything[0][2]}"}
        answer = client.get(everything[0][3], headers=headers)
        expected = f"{reverse('login')}?next={everything[0][2]}"
        assert (answer.status_code, answer["HX-Redirect"]) == (401, expected)

    def test_members_are_refused(
        self, client: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        client.force_login(User.objects.create_user("member"))
        for address in everything[0]:
            assert client.get(address).status_code == 403, address
        for address in everything[1]:
            assert client.post(address).status_code == 403, address
        assert TrainingRun.objects.count() == 1

    def test_staff_come_in(self, staff: Client, everything: tuple[list[str], list[str]]) -> None:
        for address in everything[0]:
            answer = staff.get(address, follow=True)
            assert answer.status_code == 200, address
            assert "no-store" in answer["Cache-Control"], address

    def test_actions_are_no_links(
        self, staff: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        for address in everything[1]:
            assert staff.get(address).status_code == 405, address

    def test_a_form_of_another_site_is_refused(self, admin: User, shop: Catalog) -> None:
        careful = Client(enforce_csrf_checks=True)
        careful.force_login(admin)
        assert careful.post(reverse("dashboard:train", args=["shop"])).status_code == 403
        assert not TrainingRun.objects.exists()

    def test_no_style_attribute_and_no_handler(
        self, staff: Client, everything: tuple[list[str], list[str]]
    ) -> None:
        for address in everything[0]:
            text = staff.get(address, follow=True).getvalue().decode()
            assert not re.search(r"\s(style|on[a-z]+)=[\"']", text), address

    @pytest.mark.parametrize(
        "address",
        ["/dashboard/runs/00000000-0000-0000-0000-000000000000/", "/dashboard/models/nix/"],
    )
    def test_what_is_not_there_is_404(self, staff: Client, address: str) -> None:
        assert staff.get(address).status_code == 404
