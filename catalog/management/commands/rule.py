"""manage.py rule: what the dashboard's page Rules does."""

import argparse
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog import rules
from catalog.errors import CatalogError
from catalog.models import Rule
from catalog.named_numbers import find_catalog


class Command(BaseCommand):
    help = "List, add, switch and remove a catalog's rules: pins, boosts, burials, exclusions."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="such as: rule add shop boost 'on_offer' --factor 2")
        add.add_argument("catalog", help="slug of the catalog, such as shop")
        add.add_argument("kind", choices=Rule.Kind.values)
        add.add_argument("filter", nargs="?", default="", help="which items; not of a pin")
        add.add_argument("--item", default="", help="id of the item to pin")
        add.add_argument("--place", type=int, default=1, help="of the pin; 1 = first")
        add.add_argument("--factor", type=float, help="of a boost (usually 2) or a burial (0)")
        add.add_argument("--surface", default="", help="where, such as shop-home; else everywhere")
        add.add_argument("--from", dest="starts_at", type=_moment, help="such as 2026-12-01T08:00")
        add.add_argument("--until", dest="ends_at", type=_moment, help="UTC, like --from")
        add.add_argument("--note", default="", help="why")
        listed = verbs.add_parser("list", help="print a catalog's rules")
        listed.add_argument("catalog", help="slug of the catalog, such as shop")
        for verb in ("on", "off", "remove"):
            one = verbs.add_parser(verb)
            one.add_argument("catalog", help="slug of the catalog, such as shop")
            one.add_argument("rule", type=int, help="its number in the list")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog, verb = find_catalog(options["catalog"]), options["verb"]
        found = catalog.rules.select_related("item", "catalog").order_by("pk")
        if verb == "list":
            for rule in found:
                self.stdout.write(_line(rule))
            if not found:
                self.stdout.write(f"{catalog.slug} has no rules")
            return
        if verb == "add":
            names = ("place", "factor", "surface", "starts_at", "ends_at", "note")
            told = {name: options[name] for name in names}
            told |= {"filter_text": options["filter"], "item_id": options["item"]}
            try:
                rule = rules.add_rule(catalog, options["kind"], **told)
            except CatalogError as fault:
                raise CommandError(str(fault)) from fault
            self.stdout.write(_line(rule))
            return
        one = found.filter(pk=options["rule"]).first()
        if one is None:
            raise CommandError(f"{catalog.slug} has no rule {options['rule']}.")
        self.stdout.write(f"{verb} {one.pk}: {one}")
        if verb == "remove":
            rules.remove_rule(one)
        else:
            rules.switch_rule(one, on=verb == "on")


def _line(rule: Rule) -> str:
    return f"{rule.pk}: {rule} ({rule.state_at(timezone.now())})"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-12-01T08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
