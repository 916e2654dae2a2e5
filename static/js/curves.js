// Draws the curves of a run with uPlot over the SVG that the server drew: values under the pointer,
// and a drag to look closer. Without this file, or while it loads, the SVG stands there; the table
// below stays in any case. When htmx swaps the live part in, a chart goes on where it was.
(() => {
  const HEIGHT = 220; // CSS pixels
  const DASHES = [[], [5, 4], [1, 4], [9, 4], [7, 3, 1, 3]]; // beside colour, as in dashboard.css
  const COLOURS = ["--color-primary", "--brand-shop", "--brand-news", "--color-warning", "--color-error"];
  const plots = new Map(); // title → uPlot

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Curves over steps of their own → one row of steps, and a row of values each; null = no value.
  const joined = (curves) => window.uPlot.join(curves.map(({ steps, values }) => [steps, values]));

  const axis = (size) => ({
    stroke: () => colour("--ink-muted"),
    grid: { stroke: () => colour("--color-base-300"), width: 1 },
    ticks: { show: false },
    font: "11px sans-serif",
    size,
  });

  const value = (plot, number) => (number == null ? "–" : number.toPrecision(4));

  const options = (figure, curves) => ({
    width: Math.max(figure.clientWidth, 200),
    height: HEIGHT,
    scales: { x: { time: false } },
    axes: [{ ...axis(28), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5] }, axis(56)],
    series: [
      { label: figure.dataset.step, value: (plot, step) => step ?? "–" },
      ...curves.map(({ name }, place) => ({
        label: name,
        stroke: colour(COLOURS[place % COLOURS.length]),
        width: 2,
        dash: DASHES[place % DASHES.length],
        spanGaps: true,
        points: { show: curves.every(({ steps }) => steps.length < 3) },
        value,
      })),
    ],
    cursor: { focus: { prox: 24 } },
    legend: { live: true },
  });

  const draw = (figure) => {
    const curves = JSON.parse(figure.dataset.curves);
    const title = figure.dataset.title;
    const old = plots.get(title);
    const svg = figure.querySelector("svg[role=img]");
    if (old && old.series.length === curves.length + 1) {
      if (old.root.parentElement !== figure) svg.after(old.root);
      old.setData(joined(curves));
    } else {
      old?.destroy();
      const plot = new window.uPlot(options(figure, curves), joined(curves));
      plot.root.setAttribute("role", "img");
      plot.root.setAttribute("aria-label", svg.getAttribute("aria-label"));
      svg.after(plot.root);
      plots.set(title, plot);
    }
    figure.classList.add("is-drawn");
    watch.observe(figure);
  };

  const drawAll = () => document.querySelectorAll("figure[data-curves]").forEach(draw);

  const drawAnew = () => {
    for (const plot of plots.values()) plot.destroy();
    plots.clear();
    drawAll();
  };

  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = plots.get(target.dataset.title);
      const width = Math.max(target.clientWidth, 200);
      if (plot && plot.width !== width) plot.setSize({ width, height: HEIGHT });
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    drawAll();
    document.addEventListener("htmx:afterSwap", drawAll);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
    new MutationObserver(drawAnew).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  });
})();
