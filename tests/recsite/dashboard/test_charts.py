"""The dashboard: curves and bars."""

from datetime import date, timedelta

from recsite.dashboard.charts import BAR_HEIGHT, bars, curve_charts
from recsite.dashboard.day_charts import Point, day_chart


class TestCharts:
    def test_one_chart_for_both_losses(self) -> None:
        charts = curve_charts(
            [
                ("tower/train_loss", 0, 2.0),
                ("tower/train_loss", 10, 1.0),
                ("tower/valid_loss", 10, 1.5),
            ]
        )
        assert [chart.title for chart in charts] == ["tower loss"]
        train, valid = charts[0].curves
        assert (train.name, valid.name) == ("train loss", "valid loss")
        assert train.points == "46.0,10.0 350.0,164.0"  # from the upper left to the lower right
        assert [tick.text for tick in charts[0].y_ticks] == ["1", "1.5", "2"]

    def test_no_number_draws_nothing_and_one_point_draws_a_dot(self) -> None:
        assert curve_charts([("loss", 0, float("nan"))]) == []
        chart = curve_charts([("loss", 3, 0.5), ("loss", 4, float("inf"))])[0]
        assert chart.curves[0].steps == [(3, 0.5)]

    def test_long_curves_are_thinned_and_keep_their_end(self) -> None:
        curve = curve_charts([("loss", step, step) for step in range(10_000)])[0].curves[0]
        assert len(curve.steps) <= 162
        assert curve.steps[-1] == (9_999, 9_999)

    def test_bars_fill_the_height(self) -> None:
        today = date(2026, 1, 2)
        drawn = bars([(today, 0), (today, 1), (today, 1000)])
        assert [bar.height for bar in drawn] == ["0.0", "1.5", f"{BAR_HEIGHT:.1f}"]
        assert bars([]) == []
        assert [bar.x for bar in bars([(today, 1)] * 3, most=4)] == ["0.00", "76.00", "152.00"]


class TestDayChart:
    DAY = date(2026, 1, 2)

    def test_days_stand_where_they_belong(self) -> None:
        points = [
            Point(self.DAY, 0.1, "steady"),
            Point(self.DAY + timedelta(days=1), None, "unknown", note="too few"),
            Point(self.DAY + timedelta(days=4), 0.3, "alert"),
        ]
        chart = day_chart("prices", "Prices", points, (0.1, 0.25))
        assert [dot.x for dot in chart.dots] == ["46.0", "350.0"]
        assert [line.style for line in chart.lines] == ["watch", "alert"]
        assert [tick.text for tick in chart.x_ticks] == ["2 Jan", "6 Jan"]
        assert [point.note for point in chart.points] == ["", "too few", ""]
        assert not chart.has_intervals

    def test_intervals_and_what_it_is_compared_with(self) -> None:
        points = [Point(self.DAY, 0.2, "steady", 0.1, 0.3, 0.25)]
        chart = day_chart("ctr", "Clicks", points, beside_name="the week before")
        (dot,) = chart.dots
        assert dot.whisker is not None
        assert float(dot.whisker[0]) > float(dot.y) > float(dot.whisker[1])
        assert chart.beside.startswith("46.0,")
        assert len(chart.x_ticks) == 1
        assert chart.lines == []

    def test_many_days_have_dots_only_where_something_stands_out(self) -> None:
        points = [
            Point(self.DAY + timedelta(days=day), 1_000.0 + day, "alert" if day == 7 else "steady")
            for day in range(90)
        ]
        chart = day_chart("clicks", "Clicks", points, whole=True)
        assert [dot.point.value for dot in chart.dots] == [1_007, 1_089]
        assert len(chart.curve.split()) == 90
        assert chart.y_ticks[-1].text == "1,500"
        assert chart.format == "0g"

    def test_zeros_alone(self) -> None:
        assert day_chart("ctr", "Clicks", [Point(self.DAY, 0.0, "steady")]).dots
