"""manage.py evaluate CATALOG [--split S] [--json F] [--ranks DIR]: the pipeline and baselines.

Instead, one of --ablate, --by-encoder, --by-history, --cold-start, --transfer asks a question of
its own.
"""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from training import ablation
from training.console import find_catalog, run_here
from training.errors import TrainingFault
from training.evaluation import ablate_catalog, evaluate_catalog
from training.fit import Limits, with_tuned
from training.measures import MEASURES, Rows, measure
from training.models import TrainingRun
from training.plots import plots_of, svg
from training.report import table
from training.splits import picks_left_out

INSTEAD = ("ablate", "by_encoder", "by_history", "cold_start", "transfer")  # questions of their own
SIMULATED = "Its people are simulated: these figures are no evidence of quality."


def flag(name: str) -> str:
    """An option as it is typed."""
    return "--" + name.replace("_", "-")


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
        parser.add_argument(
            "--by-encoder",
            action="store_true",
            help="instead: each encoder of the catalog by the texts alone, with what it costs",
        )
        parser.add_argument(
            "--by-history",
            action="store_true",
            help="instead: the language model alone, behaviour alone and the blend of both, by "
            "length of history and by how often an item was picked before",
        )
        parser.add_argument(
            "--transfer",
            action="store_true",
            help="instead: the catalog's departments as two catalogs; people known in one, asked "
            "for in the other",
        )
        parser.add_argument("--json", type=Path, help="write the figures to this file too")
        parser.add_argument("--svg", type=Path, help="draw the figures into this file")
        parser.add_argument(
            "--stored",
            action="store_true",
            help="say or draw what was measured last, instead of measuring again",
        )
        parser.add_argument(
            "--ranks", type=Path, help="write every model's ranks to this folder, a file each"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = find_catalog(options["catalog"])
        try:
            picks_left_out(options["split"])
        except TrainingFault as fault:
            raise CommandError(str(fault)) from None
        for file in filter(None, (options["json"], options["svg"])):
            if not file.parent.is_dir():
                raise CommandError(f"There is no folder {file.parent} to write to.")
        instead = [name for name in INSTEAD if options[name]]
        if len(instead) > 1:
            raise CommandError(f"Say one of {' and '.join(map(flag, instead))}, not both.")
        if (options["svg"] or options["stored"]) and (not instead or instead == ["ablate"]):
            raise CommandError(f"--svg and --stored go with {', '.join(map(flag, MEASURES))}.")
        unread = [name for name in ("fresh", "tuned", "ranks") if instead and options[name]]
        unread += ["people"] if options["people"] and instead == ["ablate"] else []
        if unread:
            told = " and ".join(map(flag, unread))
            raise CommandError(f"{flag(instead[0])} does not read {told}: leave it out.")
        if instead:
            self._instead(catalog, instead[0], options)
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
            self.stdout.write(SIMULATED)
        for line in table(result):
            self.stdout.write(line)
        if options["json"]:
            options["json"].write_text(json.dumps(result, indent=1))

    def _instead(self, catalog: Catalog, name: str, options: dict[str, Any]) -> None:
        """A question of its own: its rows are said, and kept but for those of an ablation."""
        what, say = name.replace("_", "-"), self.stdout.write
        if options["stored"]:
            rows = stored(catalog, what)
        else:
            rows = self._measured(catalog, what, options)
            say("")
        if catalog.is_simulated:
            say(SIMULATED)
        told = ablation.told if name == "ablate" else MEASURES[what].told
        for row in rows:
            say(told(row))
        if options["json"]:
            options["json"].write_text(json.dumps(rows, indent=1))
        if options["svg"]:
            options["svg"].write_text(svg(plots_of(what, rows)))

    def _measured(self, catalog: Catalog, what: str, options: dict[str, Any]) -> Rows:
        parameters = {"split": options["split"], "what": what}
        kind, say = TrainingRun.Kind.EVALUATE, self.stdout.write
        split, encoder, people = options["split"], options["encoder"], options["people"]
        with run_here(catalog, kind, parameters, options["seed"], say) as run:
            if what in MEASURES:
                return list(measure(run, what, split, encoder=encoder, most_people=people).rows)
            return ablate_catalog(run, split, encoder=encoder)


def stored(catalog: Catalog, what: str) -> Rows:
    """The rows that were kept last."""
    evaluation = catalog.evaluations.filter(kind=what).order_by("-created_at", "-pk").first()
    if evaluation is None:
        raise CommandError(f"None is kept: manage.py evaluate {catalog.slug} --{what} makes one.")
    rows: Rows = evaluation.rows
    return rows
