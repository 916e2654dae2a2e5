"""⑭ Roll a challenger out by shares of the people, look at what they pick, and stop what is worse.

The catalog's row holds challenger and share; ranking/rollout.py reads it in each request. Every
step is a row of the history. The last step, 100 %, is the promotion. Serving takes a challenger
that fails out of the row at once, and `watch` writes that down.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from catalog.models import Catalog, User
from training.errors import TrainingFault
from training.models import ModelVersion, Promotion
from training.registry import pass_gate, promote

SHARES = (1, 5, 10, 25, 50)  # percent; then everybody
ALL = 100
ALPHA = 0.05  # chance that a challenger as good as the live one is ever stopped, in one step
TUNED_FOR = 1_000  # people at which the interval that holds under peeking is tightest
LEAST_PEOPLE = 100  # in each arm, before `watch` believes an interval that is asymptotic
NORMAL = 1.96  # of a 95 % interval
ARMS_SQL = """
WITH shown AS (
    SELECT id, user_id, bundle_id, cardinality(seen_positions) > 0 AS seen
    FROM catalog_slatelog
    WHERE catalog_id = %(catalog)s AND created_at >= %(since)s AND user_id IS NOT NULL
      AND bundle_id IN (%(live)s, %(challenger)s)
), picked AS (
    SELECT DISTINCT slate_id FROM catalog_interaction
    WHERE catalog_id = %(catalog)s AND "timestamp" >= %(since)s AND slate_id IS NOT NULL
      AND type <> 'hide' AND NOT is_suspected
), people AS (
    SELECT bundle_id, count(*) FILTER (WHERE seen OR picked.slate_id IS NOT NULL)::float8 AS slates,
           count(picked.slate_id)::float8 AS clicks
    FROM shown LEFT JOIN picked ON picked.slate_id = shown.id GROUP BY bundle_id, user_id
)
SELECT bundle_id, count(*), sum(slates), sum(clicks),
       sum(slates * slates), sum(slates * clicks), sum(clicks * clicks)
FROM people WHERE slates > 0 GROUP BY bundle_id
"""


@dataclass(frozen=True)
class Arm:
    """What people did with the slates of one bundle that they saw."""

    people: int
    slates: int
    clicked: int
    variance: float  # of the rate, people drawn as a whole; infinite for fewer than two

    @property
    def rate(self) -> float:
        """Share of the slates from which something was picked."""
        return self.clicked / self.slates if self.slates else 0.0

    @property
    def low(self) -> float:
        """Of the 95 % interval."""
        return max(self.rate - NORMAL * math.sqrt(self.variance), 0.0)

    @property
    def high(self) -> float:
        """Of the 95 % interval."""
        return min(self.rate + NORMAL * math.sqrt(self.variance), 1.0)


NOBODY = Arm(0, 0, 0, math.inf)


@dataclass(frozen=True)
class Progress:
    """A roll-out since its present step began."""

    since: datetime
    live: Arm
    challenger: Arm

    @property
    def lead(self) -> float:
        """By how much more often the challenger's slates are picked from."""
        return self.challenger.rate - self.live.rate

    @property
    def half_width(self) -> float:
        """Of the interval of the lead that holds however often one looks."""
        variance = self.live.variance + self.challenger.variance
        return peeking_half_width(variance, self.live.people + self.challenger.people)

    @property
    def is_measured(self) -> bool:
        """Whether both arms have people enough to say anything."""
        return min(self.live.people, self.challenger.people) >= LEAST_PEOPLE

    @property
    def is_worse(self) -> bool:
        """Whether the challenger is clearly worse."""
        return self.is_measured and self.lead + self.half_width < 0


def peeking_half_width(variance: float, people: int) -> float:
    """Half the width of a 1 − ALPHA asymptotic confidence sequence of a mean.

    √(V · 2(nρ² + 1)/(nρ²) · ln(√(nρ² + 1)/α)), with V the variance of the estimate and ρ² tuned for
    n = TUNED_FOR (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, § 2 and eq. 3). Unlike a 95 %
    interval it holds at all times at once, so one may stop on it at any look. Infinite without
    people.
    """
    if people < 1 or math.isinf(variance):
        return math.inf
    spread = -2 * math.log(ALPHA)
    mixed = people * (spread + math.log(spread + 1)) / TUNED_FOR  # n ρ²
    return math.sqrt(variance * 2 * (mixed + 1) / mixed * math.log(math.sqrt(mixed + 1) / ALPHA))


def next_share(share: int) -> int:
    """The step after this one, in percent."""
    return next((step for step in SHARES if step > share), ALL)


def name_challenger(version: ModelVersion) -> None:
    """Let a model be its catalog's challenger; it answers nobody yet.

    Raises
    ------
    TrainingFault
        It is live, or another one is being rolled out.
    """
    with transaction.atomic():
        catalog = Catalog.objects.select_for_update().get(pk=version.catalog_id)
        _refuse(version, catalog)
        catalog.challenger_bundle, catalog.challenger_share = version.bundle_id, 0
        _save(catalog)


def roll_out(
    version: ModelVersion, share: int, by: User | None, reason: str, *, force: bool = False
) -> Promotion:
    """Let a model answer this many percent of the people; all of them = promote it.

    Raises
    ------
    TrainingFault
        A check of the gate is red (unless `force`), another roll-out goes on, the reason is
        missing, or the share makes no sense. Nothing has changed then.
    """
    if share == ALL:
        return promote(version, by, reason, force=force)
    if not 1 <= share < ALL:
        text = _("A share is 1 to %(most)d percent of the people, not %(share)d.")
        raise TrainingFault(text % {"most": ALL, "share": share})
    if not reason.strip():
        raise TrainingFault(_("Say why: a roll-out needs a reason."))
    with transaction.atomic():
        catalog = Catalog.objects.select_for_update().get(pk=version.catalog_id)
        _refuse(version, catalog)
        if catalog.challenger_share == share:
            text = _("%(bundle)s answers %(share)d %% of the people already.")
            raise TrainingFault(text % {"bundle": version.bundle_id, "share": share})
        pass_gate(version, catalog, force=force)
        catalog.challenger_bundle, catalog.challenger_share = version.bundle_id, share
        _save(catalog)
        return _write_down(catalog, Promotion.Kind.ROLL_OUT, share, by, reason.strip())


def stop(catalog: Catalog, by: User | None, reason: str) -> Promotion:
    """Let the live model answer everybody again; the challenger stays named.

    Raises
    ------
    TrainingFault
        No roll-out goes on, or the reason is missing.
    """
    if not reason.strip():
        raise TrainingFault(_("Say why: the end of a roll-out needs a reason."))
    with transaction.atomic():
        locked = Catalog.objects.select_for_update().get(pk=catalog.pk)
        if not locked.challenger_share:
            text = _("No model of %(slug)s is being rolled out.")
            raise TrainingFault(text % {"slug": locked.slug})
        locked.challenger_share = 0
        _save(locked)
        return _write_down(locked, Promotion.Kind.STOP, 0, by, reason.strip())


def progress(catalog: Catalog) -> Progress | None:
    """Both arms since the present step began; None while no roll-out goes on."""
    if not catalog.challenger_share:
        return None
    steps = catalog.promotions.filter(
        kind=Promotion.Kind.ROLL_OUT, to_bundle=catalog.challenger_bundle
    )
    step = steps.order_by("-at").first()
    if step is None:
        return None
    names = {"live": catalog.live_bundle, "challenger": catalog.challenger_bundle}
    with connection.cursor() as cursor:
        cursor.execute(ARMS_SQL, {"catalog": catalog.pk, "since": step.at, **names})
        arms = {row[0]: _arm(*row[1:]) for row in cursor.fetchall()}
    both = {name: arms.get(bundle_id, NOBODY) for name, bundle_id in names.items()}
    return Progress(step.at, **both)


def watch(catalog: Catalog) -> Promotion | None:
    """Write down that serving let go of a challenger, or stop one that is clearly worse."""
    if catalog.challenger_fault:
        with transaction.atomic():
            locked = Catalog.objects.select_for_update().get(pk=catalog.pk)
            last = locked.promotions.order_by("-at", "-pk").first()
            if last is None or last.kind != Promotion.Kind.ROLL_OUT or locked.challenger_share:
                return None
            fault = f"By itself: {locked.challenger_fault}"
            return _write_down(locked, Promotion.Kind.STOP, 0, None, fault)
    found = progress(catalog)
    if found is None or not found.is_worse:
        return None
    return stop(
        catalog,
        None,
        f"By itself: people pick from {found.challenger.rate:.2%} of its slates and from "
        f"{found.live.rate:.2%} of the live one's, clearly less "
        f"({found.lead:+.2%} ± {found.half_width:.2%}, valid however often one looks).",
    )


def _arm(
    people: int, slates: float, clicks: float, squares: float, products: float, clicked: float
) -> Arm:
    """From the sums over people; the variance of a ratio by the delta method (Cochran 1977)."""
    rate = clicks / slates
    residuals = max(clicked - 2 * rate * products + rate * rate * squares, 0.0)  # Σ (c − R s)²
    variance = people / (people - 1) * residuals / slates**2 if people > 1 else math.inf
    return Arm(people, int(slates), int(clicks), variance)


def _refuse(version: ModelVersion, catalog: Catalog) -> None:
    if catalog.live_bundle == version.bundle_id:
        raise TrainingFault(_("%(bundle)s is live already.") % {"bundle": version.bundle_id})
    if not catalog.live_bundle:
        text = _("No model of %(slug)s is live: promote one first.")
        raise TrainingFault(text % {"slug": catalog.slug})
    if catalog.challenger_share and catalog.challenger_bundle != version.bundle_id:
        text = _("%(bundle)s is being rolled out: stop that first.")
        raise TrainingFault(text % {"bundle": catalog.challenger_bundle})


def _save(catalog: Catalog) -> None:
    catalog.challenger_fault = ""
    catalog.save(update_fields=["challenger_bundle", "challenger_share", "challenger_fault"])


def _write_down(catalog: Catalog, kind: str, share: int, by: User | None, reason: str) -> Promotion:
    return Promotion.objects.create(
        catalog=catalog,
        kind=kind,
        from_bundle=catalog.live_bundle,
        to_bundle=catalog.challenger_bundle if share else catalog.live_bundle,
        share=share or ALL,
        reason=reason,
        by=by,
    )
