"""manage.py rollout CATALOG [BUNDLE --share N | --next | --stop] --reason: by share of people."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from training import rollout
from training.console import find_catalog, find_version
from training.errors import TrainingFault
from training.models import ModelVersion
from training.registry import live_version
from training.rehearsal import try_if_needed


class Command(BaseCommand):
    help = (
        "Let a challenger answer a share of the people. Without a bundle: how the roll-out goes. "
        "--share 0 only names the challenger; --share 100 promotes it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("bundle", nargs="?", default="", help="the challenger's bundle")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--share", type=int, help="percent of the people")
        what.add_argument(
            "--next", action="store_true", help=f"the next of {rollout.SHARES} percent, then all"
        )
        what.add_argument("--stop", action="store_true", help="the live model answers everybody")
        parser.add_argument("--reason", default="")
        parser.add_argument("--force", action="store_true", help="even if the gate is red")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        try:
            if options["stop"]:
                rollout.stop(catalog, None, options["reason"])
            elif options["share"] is not None or options["next"]:
                self._step(catalog, options)
            elif options["bundle"]:
                raise CommandError("Say --share N, --next or --stop.")
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        catalog.refresh_from_db()
        self._tell(catalog)

    def _step(self, catalog: Catalog, options: dict[str, Any]) -> None:
        version = self._challenger(catalog, options["bundle"])
        if options["share"] == 0:
            rollout.name_challenger(version)
            return
        share = options["share"] or rollout.next_share(catalog.challenger_share)
        try_if_needed(version, live_version(catalog))
        rollout.roll_out(version, share, None, options["reason"], force=options["force"])

    def _challenger(self, catalog: Catalog, bundle_id: str) -> ModelVersion:
        bundle_id = bundle_id or catalog.challenger_bundle
        if not bundle_id:
            raise CommandError(f"{catalog.slug} has no challenger: say which bundle.")
        version = find_version(bundle_id)
        if version.catalog_id != catalog.pk:
            raise CommandError(f"{bundle_id} is a model of {version.catalog.slug}.")
        return version

    def _tell(self, catalog: Catalog) -> None:
        self.stdout.write(f"live: {catalog.live_bundle or 'no model'}")
        if catalog.challenger_bundle:
            share = f"{catalog.challenger_share} % of the people"
            self.stdout.write(f"challenger: {catalog.challenger_bundle}, {share}")
        if catalog.challenger_fault:
            self.stdout.write(f"stopped by itself: {catalog.challenger_fault}")
        if found := rollout.progress(catalog):
            for name, arm in (("live", found.live), ("challenger", found.challenger)):
                self.stdout.write(
                    f"{name}: {arm.clicked:,} of {arm.slates:,} slates of {arm.people:,} people "
                    f"picked from: {arm.rate:.2%} [{arm.low:.2%}, {arm.high:.2%}]"
                )
