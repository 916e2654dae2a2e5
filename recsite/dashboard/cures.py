"""Where the dashboard cures what the data doctor finds."""

from django.urls import reverse
from django.utils.translation import gettext_noop

PAGES = {  # a finding's page → what its link is called
    "imports": gettext_noop("Imports"),
    "schedules": gettext_noop("Schedules"),
    "audit": gettext_noop("Audit"),
}


def address(page: str, slug: str) -> str:
    """Where the cure of a finding is; '' = nowhere on the dashboard."""
    if page == "imports":
        return reverse("dashboard:imports", args=[slug])
    return reverse(f"dashboard:{page}") if page else ""
