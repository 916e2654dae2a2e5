"""The data doctor: is a catalog's data fit to learn from, and what would mend it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.figures import Day, Figures, figures_of
from catalog.models import Catalog
from training.cost import GIB, Cost, estimate, roughly
from training.findings import (
    FEW,
    Colour,
    Finding,
    judged,
    of_bots,
    of_clock,
    of_interactions,
    of_items,
    of_slates,
)
from training.models import TrainingRun

WEEKS_BEFORE = 28  # days that a day is compared with
RECENT = 14  # days that are looked at for jumps
FAR = 6.0  # of a day from the median, in robust standard deviations
RATIO = 2.0  # and at least so many times as much, or as little
LONG = 4 * 3600.0  # seconds of a training
MUCH = 0.7  # of the memory of this machine


@dataclass(frozen=True)
class Look:
    """What was counted of one catalog; nothing of it is in a language."""

    at: datetime
    figures: Figures
    cost: Cost


@dataclass(frozen=True)
class Diagnosis:
    """All findings of one catalog, the worst first, and the figures behind them."""

    catalog: str  # slug
    at: datetime
    findings: list[Finding]
    figures: Figures
    cost: Cost

    @property
    def colour(self) -> Colour:
        """That of the worst finding."""
        return max((one.colour for one in self.findings), key=list(Colour).index)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"colour": self.colour}


def examine(catalog: Catalog) -> Diagnosis:
    """Look at a catalog's data, and say what is to be said of it."""
    return diagnose(catalog, look_at(catalog))


def look_at(catalog: Catalog) -> Look:
    """Count; few queries, however much there is."""
    cost = estimate(catalog, TrainingRun.Kind.TRAIN, {})
    return Look(timezone.now(), figures_of(catalog), cost)


def diagnose(catalog: Catalog, look: Look) -> Diagnosis:
    """What there is to say of a look, in the present language; asks the database nothing."""
    figures, cost, slug = look.figures, look.cost, catalog.slug
    found = [
        *of_items(figures, slug, has_prices=catalog.item_kind == Catalog.ItemKind.PRODUCT),
        *of_interactions(figures, slug),
        *of_slates(figures),
        *of_clock(figures),
        *of_bots(figures),
        *_jumps(figures.days),
        *_cost(cost, slug),
    ]
    found.sort(key=lambda one: -list(Colour).index(one.colour))
    return Diagnosis(slug, look.at, found, figures, cost)


def _jumps(days: list[Day]) -> Iterable[Finding]:
    """Days far outside the median of the weeks before them."""
    today = timezone.now().date()
    told = []
    for place in range(max(len(days) - RECENT, WEEKS_BEFORE), len(days)):
        day, before = days[place], days[place - WEEKS_BEFORE : place]
        usual = median(one.interactions for one in before)
        if _is_far(day.interactions, [one.interactions for one in before]) and not (
            day.day == today and day.interactions < usual
        ):
            told.append(
                _("%(day)s %(number)s (usually %(usual)s)")
                % {
                    "day": date_format(day.day, _("d M")),
                    "number": f"{day.interactions:,}",
                    "usual": f"{usual:,.0f}",
                }
            )
    if told:
        yield judged(
            _("Jumps"),
            Colour.AMBER,
            _(
                "Interactions of %(number)d of the last %(recent)d days lie far outside the"
                " %(before)d days before: %(days)s."
            )
            % {
                "number": len(told),
                "recent": RECENT,
                "before": WEEKS_BEFORE,
                "days": _(", ").join(told[-4:]),
            },
            _(
                "A campaign, an import, or a page that stopped reporting? If it is a fault, mend it"
                " before the next training."
            ),
            page="audit",
        )
    else:
        text = _("No day of the last %(recent)d is out of the ordinary.") % {"recent": RECENT}
        yield Finding(_("Jumps"), Colour.GREEN, text)


def _is_far(count: int, before: list[int]) -> bool:
    """Whether a day lies outside what the days before let expect."""
    usual = median(before)
    if max(count, usual) < FEW:
        return False
    spread = 1.4826 * median(abs(one - usual) for one in before)  # as wide as a normal one's sigma
    off = abs(count - usual) > FAR * max(spread, usual**0.5)
    return off and not usual / RATIO < count < usual * RATIO


def _cost(cost: Cost, slug: str) -> Iterable[Finding]:
    """Whether the next training fits into this machine, and into a night."""
    if cost.runs:
        time = ngettext(
            "%(low)s to %(high)s, as %(number)d earlier one of this catalog let expect.",
            "%(low)s to %(high)s, as %(number)d earlier ones of this catalog let expect.",
            cost.runs,
        )
    else:
        time = _("%(low)s to %(high)s, as measured on other catalogs (docs/results/README.md).")
    told = {"low": roughly(cost.low), "high": roughly(cost.high), "number": cost.runs}
    if cost.is_too_much:
        colour = Colour.RED
    else:
        colour = Colour.AMBER if cost.memory > MUCH * cost.machine else Colour.GREEN
    yield judged(
        _("Memory for a training"),
        colour,
        _("About %(memory).1f of this machine's %(machine).1f GiB.")
        % {"memory": cost.gibibytes, "machine": cost.machine / GIB},
        _("Train on a machine with more memory, or run nothing else meanwhile."),
    )
    yield judged(
        _("Time for a training"),
        Colour.AMBER if cost.seconds > LONG else Colour.GREEN,
        time % told,
        _("Start it when the machine is quiet; a schedule does."),
        f"manage.py schedule add {slug} train --hour 2",
        "schedules",
    )
