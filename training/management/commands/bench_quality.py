"""manage.py bench_quality CATALOG …: the pipeline beside baselines and peer libraries."""

import json
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from ranking.state import RankingState
from ranking.types import InteractionLog
from training.console import find_catalog, run_here
from training.evaluation import evaluate_catalog
from training.handle import RunHandle
from training.models import TrainingRun
from training.peers import export, peer_names, run_peer
from training.report import Ranked, table
from training.splits import Split


class Command(BaseCommand):
    help = (
        "The full pipeline, tuned baselines and peer libraries on one split of each catalog: all "
        "with the same data, all tuned on the same validation fold, all scored by our metrics."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalogs", nargs="+", metavar="CATALOG[=SPLIT]")
        parser.add_argument(
            "--python", type=Path, help="of the peers' environment; without it, no peers"
        )
        parser.add_argument("--peers", help="only these, separated by commas")
        parser.add_argument("--trials", type=int, default=6, help="configurations a peer may try")
        parser.add_argument("--seconds", type=float, default=600.0, help="… and how long")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", type=Path, help="write the figures to this file too")

    def handle(self, *args: Any, **options: Any) -> None:
        results = []
        for text in options["catalogs"]:
            slug, _, split = text.partition("=")
            results.append(self._bench(find_catalog(slug), split or "time", options))
            if options["json"]:  # after each, so that a long bench loses nothing
                options["json"].write_text(json.dumps(results, indent=1))

    def _bench(self, catalog: Catalog, split_name: str, options: dict[str, Any]) -> dict[str, Any]:
        names = self._peers(options)
        kind, say = TrainingRun.Kind.EVALUATE, self.stdout.write
        parameters = {"split": split_name, "peers": names}

        with (
            run_here(catalog, kind, parameters, options["seed"], say) as run,
            tempfile.TemporaryDirectory() as folder,
        ):

            def peers(state: RankingState, log: InteractionLog, split: Split) -> list[Ranked]:
                export(state, log, split, Path(folder))
                asked = (self._ask(run, Path(folder), name, options) for name in names)
                return [one for one in asked if one is not None]

            result = evaluate_catalog(run, split_name, peers=peers)
        self.stdout.write("")
        self.stdout.write(
            f"{catalog.name}, split {split_name}: {result['users']:,} people, "
            f"{result['requests']:,} requests"
        )
        for line in table(result):
            self.stdout.write(line)
        return result

    def _peers(self, options: dict[str, Any]) -> list[str]:
        if options["python"] is None:
            return []
        known = peer_names(options["python"])
        wanted = options["peers"].split(",") if options["peers"] else known
        if strange := sorted(set(wanted) - set(known)):
            raise CommandError(f"There is no peer {strange[0]!r}; there are {', '.join(known)}.")
        return wanted

    def _ask(
        self, run: RunHandle, folder: Path, name: str, options: dict[str, Any]
    ) -> Ranked | None:
        run.check()
        run.stage(f"peer {name}", 0.9)
        return run_peer(run, options["python"], folder, name, options["trials"], options["seconds"])
