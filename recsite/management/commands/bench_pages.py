"""manage.py bench_pages CATALOG: what each page of the dashboard takes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from recsite.dashboard.page_times import measure
from recsite.faults import SetupFault


class Command(BaseCommand):
    help = "Ask for every page of the dashboard; print median, p95 and the number of queries."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog")
        parser.add_argument("--times", type=int, default=20, help="requests a page")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(f"There is no catalog '{options['catalog']}'.")
        if not 1 <= options["times"] <= 1_000:
            raise CommandError("--times goes from 1 to 1000.")
        self.stdout.write("median ms   p95 ms  of it SQL  CPU here  queries  page")
        try:
            for page in measure(catalog, options["times"]):
                self.stdout.write(
                    f"{page.median:9.0f}{page.p95:9.0f}{page.in_database:11.0f}"
                    f"{page.cpu:10.0f}{page.queries:9}"
                    f"  {page.address}{'' if page.status == 200 else f' ({page.status})'}"
                )
        except SetupFault as fault:
            raise CommandError(str(fault)) from fault
