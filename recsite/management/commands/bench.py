"""manage.py bench [CATALOG]: latency of recommendations at a steady rate."""

import os
import platform
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from recsite import load_test
from recsite.faults import SetupFault


class Command(BaseCommand):
    help = "GET /api/v1/recommendations for known people at a steady rate: p50, p99, stages."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", nargs="?", default="shop")
        parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
        parser.add_argument("--seconds", type=float, default=30.0)

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = Catalog.objects.filter(slug=options["catalog"]).first()
        if catalog is None:
            raise CommandError(f"There is no catalog '{options['catalog']}': load the demo first.")
        rate, seconds = options["rate"], options["seconds"]
        if not (0 < rate <= 1_000 and 1 <= seconds <= 600):
            raise CommandError("--rate goes from above 0 to 1000, --seconds from 1 to 600.")
        try:
            load = load_test.run(catalog, rate, seconds)
        except SetupFault as fault:
            raise CommandError(str(fault)) from fault
        self._print(catalog, rate, load)
        if load.errors:
            raise CommandError(f"{load.errors} requests failed.")

    def _print(self, catalog: Catalog, rate: float, load: load_test.Load) -> None:
        items = catalog.items.count()
        bundle = catalog.live_bundle or "none (encoder and popularity)"
        self.stdout.write(
            f"{catalog.slug}: {items:,} items, bundle {bundle}; {os.cpu_count()} cores, "
            f"{platform.machine()}, load {os.getloadavg()[0]:.1f}"
        )
        self.stdout.write(f"{len(load.latencies)} answers at {rate:g}/s, {load.errors} errors")
        for share in (50, 90, 99):
            value = np.percentile(load.latencies, share) if load.latencies else float("nan")
            self.stdout.write(f"p{share} {value:.1f} ms")
        for name, value in load.stage_ms.items():
            self.stdout.write(f"  {name}: {value:.2f} ms (median)")
