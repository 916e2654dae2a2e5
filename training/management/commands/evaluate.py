"""manage.py evaluate CATALOG [--split S] [--json F] [--ranks DIR]: the pipeline and baselines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from training import ablation
from training.cold_start import cold_start
from training.cold_start import told as cold_start_told
from training.console import find_catalog, run_here
from training.evaluation import ablate_catalog, evaluate_catalog
from training.fit import Limits, with_tuned
from training.models import TrainingRun
from training.report import table


class Command(BaseCommand):
    help = (
        "Full-catalog ranking on a split: baselines, the tower alone, the full pipeline. By time, "
        "a live bundle is measured; else a pipeline is fitted first, and thrown away afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument(
            "--split", default="time", help="time, leave-last-out, or leave-last-K such as 5"
        )
        parser.add_argument(
            "--fresh", action="store_true", help="fit a pipeline even if a bundle is live"
        )
        parser.add_argument(
            "--encoder",
            default="",
            help="configured, or how the digest of a learned encoder begins; fits a pipeline on "
            "its vectors",
        )
        parser.add_argument(
            "--tuned",
            default="",
            metavar="RUN",
            help="latest, or the id of a search: fits a pipeline with the settings that it found",
        )
        parser.add_argument("--people", type=int, help="requests measured, at most; drawn")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--ablate",
            action="store_true",
            help="instead: what each source, feature group, ranker and stage is worth, measured "
            "on the validation fold",
        )
        parser.add_argument(
            "--cold-start",
            action="store_true",
            help="instead: people with 0, 1 and 3 interactions, items that nobody has touched, and "
            "a catalog's first day",
        )
        parser.add_argument("--json", type=Path, help="write the figures to this file too")
        parser.add_argument(
            "--ranks", type=Path, help="write every model's ranks to this folder, a file each"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        if options["json"] and not options["json"].parent.is_dir():
            raise CommandError(f"There is no folder {options['json'].parent} to write to.")
        if options["ablate"] and options["cold_start"]:
            raise CommandError("Say --ablate or --cold-start, not both.")
        if options["ablate"]:
            self._rows(catalog, options, ablate_catalog, ablation.told)
            return
        if options["cold_start"]:
            self._rows(catalog, options, cold_start, cold_start_told)
            return
        asked = ("split", "fresh", "encoder", "tuned")
        parameters = {name: options[name] for name in asked if options[name]}
        kind = TrainingRun.Kind.EVALUATE
        with run_here(catalog, kind, parameters, options["seed"], self.stdout.write) as run:
            result = evaluate_catalog(
                run,
                options["split"],
                fresh=options["fresh"] or bool(options["tuned"]),
                most_people=options["people"],
                ranks_folder=options["ranks"],
                encoder=options["encoder"],
                limits=with_tuned(run, Limits()),
            )
        bundle = f"bundle {result['bundle']}" if result["bundle"] else "fitted for this evaluation"
        self.stdout.write(
            f"{catalog.name}, split {result['split']}: {result['users']:,} people, "
            f"{result['requests']:,} requests; {bundle}"
        )
        if catalog.is_simulated:
            self.stdout.write("Its people are simulated: these figures are no evidence of quality.")
        for line in table(result):
            self.stdout.write(line)
        if options["json"]:
            options["json"].write_text(json.dumps(result, indent=1))

    def _rows(
        self,
        catalog: Catalog,
        options: dict[str, Any],
        measure: Callable[..., list[dict[str, Any]]],
        told: Callable[[dict[str, Any]], str],
    ) -> None:
        parameters = {"split": options["split"], "measure": measure.__name__}
        kind, say = TrainingRun.Kind.EVALUATE, self.stdout.write
        with run_here(catalog, kind, parameters, options["seed"], say) as run:
            rows = measure(run, options["split"], encoder=options["encoder"])
        self.stdout.write("")
        for row in rows:
            self.stdout.write(told(row))
        if options["json"]:
            options["json"].write_text(json.dumps(rows, indent=1))
