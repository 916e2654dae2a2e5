"""How the dashboard writes durations, differences and bundle ids."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.timesince import timesince

from training.gate import Figure
from training.tuned import in_words

register = template.Library()
register.filter("settings", in_words)


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds in words: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@register.filter
def roughly(seconds: float) -> str:
    """Seconds of an estimate: no finer than anybody can know them."""
    if seconds < 90:
        return f"{max(round(seconds / 10), 1) * 10} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


@register.filter
def ago(moment: datetime) -> str:
    """How long ago: just now, 3 minutes ago."""
    if timezone.now() - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment)} ago"


@register.filter
def percent(fraction: float | None) -> str:
    """A fraction as a percentage."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"


@register.filter
def figure_value(figure: Figure | None) -> str:
    """A metric's value."""
    return "–" if figure is None else f"{figure.value:.4f}"


@register.filter
def figure_interval(figure: Figure | None) -> str:
    """A metric's 95 % interval; '' where there is none."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.4f} – {figure.high:.4f}"


@register.filter
def signed(difference: float | None) -> str:
    """A difference with its sign, minus as a minus."""
    if difference is None:
        return ""
    return f"{difference:+.4f}".replace("-", "−")


@register.filter
def signed_percent(difference: float) -> str:
    """A difference of two fractions with its sign, in percent."""
    return f"{100 * difference:+.1f} %".replace("-", "−")


@register.filter
def plain(value: Any) -> str:
    """A stored parameter in words: lists and groups without brackets, nothing as a dash."""
    if isinstance(value, dict):
        return ", ".join(
            f"{name.replace('_', ' ')}: {plain(inner)}" for name, inner in value.items()
        )
    if isinstance(value, list):
        return ", ".join(plain(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in (None, "") else str(value)


@register.filter
def bundle_time(bundle_id: str) -> str:
    """The part of a bundle id that tells bundles of one catalog apart."""
    return "-".join(bundle_id.rsplit("-", 2)[1:])


@register.filter
def words(column: str) -> str:
    """The name of a column for people: live_bundle → live bundle, catalog_id → catalog."""
    return column.removesuffix("_id").replace("_", " ")
