"""``manage.py demo``: the whole site in one terminal."""

from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from recsite import supervisor


class Command(BaseCommand):
    help = "Serve the demo: web, workers, scheduler, embedded services. Ctrl-C stops all of it."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor.run(Console(soft_wrap=True, markup=False, highlight=False))
