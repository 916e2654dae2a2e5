"""Plots of evaluations: where points stand, and that the file is SVG."""

from typing import Any
from xml.etree import ElementTree

from django.utils.translation import override

from training.plots import HEIGHT, LEFT, draw, plots_of, round_ticks, svg


def row(case: Any, model: str, value: float, **more: Any) -> dict[str, Any]:
    figure = {"value": value, "low": value - 0.01, "high": value + 0.01}
    return {"case": case, "model": model, "ndcg@10": figure, "times_chance": 4.0, **more}


def test_points_stand_at_their_values_and_lines_join_only_what_has_an_order() -> None:
    figure = {"value": 0.5, "low": 0.25, "high": 1.0}
    plot = draw("t", "x", ["a", "b"], {"one": [figure, None]}, in_order=True)
    point = plot.series[0].points[0]
    assert point is not None
    assert float(point.low_y) > float(point.y) > float(point.high_y)
    assert point.high_y == "10.0"  # 1 is the top of the scale
    assert float(point.x) > LEFT
    assert plot.series[0].points[1] is None
    assert plot.series[0].line == f"{point.x},{point.y}"
    assert draw("t", "x", ["a"], {"one": [figure]}, in_order=False).series[0].line == ""
    assert plot.table()[0] == ("a", [point])


def test_each_kind_has_its_plots() -> None:
    by_history = [
        {"by": by, "from": least} | row("", model, 0.1)
        for by in ("history", "picks")
        for least in (0, 5)
        for model in ("language model alone", "blend")
    ]
    lengths, picks = plots_of("by-history", by_history)
    assert [tick.text for tick in lengths.x_ticks] == ["0", "5"]
    assert [series.name for series in picks.series] == ["language model alone", "blend"]
    cold = [
        row("people with 0 interactions", "chance", 0.02, label="0"),
        row("a catalog's first day", "chance", 0.02, label=""),
        row("a catalog's first day", "text alone", 0.08, label=""),
    ]
    cases, day = plots_of("cold-start", cold)
    assert [tick.text for tick in cases.x_ticks] == ["0"]
    assert [tick.text for tick in day.x_ticks] == ["chance", "text alone, 4.0 ×"]
    assert len(plots_of("transfer", [row("A → B", "chance", 0.02)])) == 1
    assert len(plots_of("by-encoder", [row("", "projection", 0.02)])) == 1
    assert plots_of("gardening", []) == []


def test_an_encoder_made_from_another_is_named_by_both() -> None:
    made = row("", "int8", 0.02) | {"of": "projection"}
    usual = row("", "configured", 0.01) | {"of": ""}
    (plot,) = plots_of("by-encoder", [usual, made])
    assert [tick.text for tick in plot.x_ticks] == ["configured", "int8 of projection"]
    with override("zh-hans"):
        (plot,) = plots_of("by-encoder", [usual, made])
    assert [tick.text for tick in plot.x_ticks] == ["原始配置", "int8（来自投影）"]


def test_the_file_is_svg_and_names_are_escaped() -> None:
    figure = {"value": 0.2, "low": 0.1, "high": 0.3}
    plot = draw("<b>", "x & y", ["1"], {"a < b": [figure]}, in_order=True)
    root = ElementTree.fromstring(svg([plot, plot]))  # noqa: S314 – our own
    space = "{http://www.w3.org/2000/svg}"
    assert [each.text for each in root.iter(f"{space}tspan")] == ["<b>", "<b>"]
    texts = [each.text for each in root.iter(f"{space}text")]
    assert {"x & y", "a < b"} <= set(texts)
    assert int(root.attrib["viewBox"].split()[-1]) > 2 * HEIGHT


def test_nothing_measured_is_an_empty_plot() -> None:
    assert draw("t", "x", [], {}, in_order=True).series == ()
    assert round_ticks(0.0, 1.0) == [0.0, 0.5, 1.0]
