// Draws the numbers of a table as a chart, with uPlot. The table stays for whoever reads better there.
"use strict";
(() => {
  const charts = new Map();

  const two = (number) => String(number).padStart(2, "0");
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const utc = (seconds) => new Date(seconds * 1000);
  const clock = (at) => `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  const day = (at) => `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;

  const UNITS = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const short = (value) => {
    const [size, unit] = UNITS.find(([size]) => value >= size) ?? [1, ""];
    return `${Number((value / size).toPrecision(3))}${unit ? ` ${unit}` : ""}`;
  };

  // Colours are the stylesheet's: a canvas cannot read them, but an element that wears them can be asked.
  const colour = (figure, selector) => getComputedStyle(figure.querySelector(selector)).color;
  const mix = (text, share) => text.replace("rgb(", "rgba(").replace(")", `, ${share})`);

  const numbers = (table) => {
    const rows = [...table.querySelectorAll("tr[data-at]")].reverse();
    return ["at", "events", "bytes"].map((name) => rows.map((row) => Number(row.dataset[name])));
  };

  const draw = (figure) => {
    const table = document.querySelector(figure.dataset.chart);
    const drawn = figure.querySelector("[data-chart-drawn]");
    const said = figure.querySelector("[data-chart-said]");
    if (!table || !drawn) return;
    charts.get(figure)?.destroy();
    drawn.replaceChildren();
    said.textContent = "";
    const data = numbers(table);
    const events = colour(figure, ".dw-line-events");
    const bytes = colour(figure, ".dw-line-bytes");
    const muted = colour(figure, "[data-chart-said]");
    const long = data[0].at(-1) - data[0][0] > 2 * 86400;
    const axis = { stroke: muted, font: "12px sans-serif", ticks: { show: false }, grid: { stroke: mix(muted, 0.2), width: 1 } };
    const counts = (u, splits) => splits.map((value) => (value === null ? "" : short(value)));
    // Bytes go with events, so that on a scale of their own the two lines would be one: bytes stay below.
    const upTo = (room) => (u, least, most) => [0, Math.max(most, 1) * room];
    const chart = new uPlot(
      {
        width: drawn.clientWidth,
        height: 220,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        scales: { events: { range: upTo(1.1) }, bytes: { range: upTo(1.8) } },
        axes: [
          { ...axis, values: (u, splits) => splits.map((at) => (long ? day(utc(at)) : clock(utc(at)))), space: 70, size: 28 },
          { ...axis, scale: "events", values: counts, size: 56 },
          { ...axis, scale: "bytes", side: 1, values: counts, size: 56, grid: { show: false } },
        ],
        series: [
          {},
          { label: "Events", scale: "events", stroke: events, fill: mix(events, 0.12), width: 1.5, points: { show: false } },
          { label: "Bytes", scale: "bytes", stroke: bytes, width: 1.5, dash: [5, 3], points: { show: false } },
        ],
        tzDate: (seconds) => uPlot.tzDate(utc(seconds), "Etc/UTC"),
        hooks: {
          setCursor: [
            ({ cursor: { idx } }) => {
              const at = idx === null || idx === undefined ? null : utc(data[0][idx]);
              said.textContent = at
                ? `${day(at)} ${clock(at)} UTC: ${short(data[1][idx])} events, ${short(data[2][idx])}B`
                : "";
            },
          ],
        },
      },
      data,
      drawn,
    );
    charts.set(figure, chart);
  };

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts.get(target);
      const width = target.querySelector("[data-chart-drawn]")?.clientWidth;
      if (chart && width && width !== chart.width) chart.setSize({ width, height: chart.height });
    }
  });

  const drawAll = () => {
    for (const [figure, chart] of charts) {
      if (figure.isConnected) continue;
      resized.unobserve(figure);
      chart.destroy();
      charts.delete(figure);
    }
    for (const figure of document.querySelectorAll("[data-chart]")) {
      draw(figure);
      resized.observe(figure);
    }
  };

  drawAll();
  document.addEventListener("htmx:after:swap", drawAll);
  // After theme.js has obeyed the system's change of colours.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(drawAll));
})();
