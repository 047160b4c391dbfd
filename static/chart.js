// Draws the rows of a table as a chart with uPlot. The table stays on the page as the accessible version.
"use strict";
(() => {
  const charts = new Map();

  const padTwo = (number) => String(number).padStart(2, "0");
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const toDate = (seconds) => new Date(seconds * 1000);
  const formatTime = (at) => `${padTwo(at.getUTCHours())}:${padTwo(at.getUTCMinutes())}`;
  const formatDay = (at) => `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;

  const UNITS = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const formatShort = (value) => {
    const [size, unit] = UNITS.find(([size]) => value >= size) ?? [1, ""];
    return `${Number((value / size).toPrecision(3))}${unit ? ` ${unit}` : ""}`;
  };

  // A canvas cannot use the colours of the stylesheet, so read each one from an element that has it.
  const computedColour = (figure, selector) => getComputedStyle(figure.querySelector(selector)).color;
  const withAlpha = (colour, alpha) => colour.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);

  const readSeries = (table) => {
    const rows = [...table.querySelectorAll("tr[data-time]")].reverse();
    return ["time", "events", "bytes"].map((name) => rows.map((row) => Number(row.dataset[name])));
  };

  const drawChart = (figure) => {
    const table = document.querySelector(figure.dataset.chart);
    const canvas = figure.querySelector("[data-chart-canvas]");
    const readout = figure.querySelector("[data-chart-readout]");
    if (!table || !canvas) return;
    charts.get(figure)?.destroy();
    canvas.replaceChildren();
    readout.textContent = "";
    const data = readSeries(table);
    const events = computedColour(figure, ".dw-series-events");
    const bytes = computedColour(figure, ".dw-series-bytes");
    const muted = computedColour(figure, "[data-chart-readout]");
    const spansDays = data[0].at(-1) - data[0][0] > 2 * 86400;
    const axis = { stroke: muted, font: "12px sans-serif", ticks: { show: false }, grid: { stroke: withAlpha(muted, 0.2), width: 1 } };
    const counts = (u, splits) => splits.map((value) => (value === null ? "" : formatShort(value)));
    // Bytes are nearly proportional to events, so equal scales would draw both lines in the same place.
    const rangeFromZero = (headroom) => (u, min, max) => [0, Math.max(max, 1) * headroom];
    const chart = new uPlot(
      {
        width: canvas.clientWidth,
        height: 220,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        scales: { events: { range: rangeFromZero(1.1) }, bytes: { range: rangeFromZero(1.8) } },
        axes: [
          { ...axis, values: (u, splits) => splits.map((at) => (spansDays ? formatDay(toDate(at)) : formatTime(toDate(at)))), space: 70, size: 28 },
          { ...axis, scale: "events", values: counts, size: 56 },
          { ...axis, scale: "bytes", side: 1, values: counts, size: 56, grid: { show: false } },
        ],
        series: [
          {},
          { label: "Events", scale: "events", stroke: events, fill: withAlpha(events, 0.12), width: 1.5, points: { show: false } },
          { label: "Bytes", scale: "bytes", stroke: bytes, width: 1.5, dash: [5, 3], points: { show: false } },
        ],
        tzDate: (seconds) => uPlot.tzDate(toDate(seconds), "Etc/UTC"),
        hooks: {
          setCursor: [
            ({ cursor: { idx } }) => {
              const at = idx === null || idx === undefined ? null : toDate(data[0][idx]);
              readout.textContent = at
                ? `${formatDay(at)} ${formatTime(at)} UTC: ${formatShort(data[1][idx])} events, ${formatShort(data[2][idx])}B`
                : "";
            },
          ],
        },
      },
      data,
      canvas,
    );
    charts.set(figure, chart);
  };

  const resizeObserver = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts.get(target);
      const width = target.querySelector("[data-chart-canvas]")?.clientWidth;
      if (chart && width && width !== chart.width) chart.setSize({ width, height: chart.height });
    }
  });

  const drawAll = () => {
    for (const [figure, chart] of charts) {
      if (figure.isConnected) continue;
      resizeObserver.unobserve(figure);
      chart.destroy();
      charts.delete(figure);
    }
    for (const figure of document.querySelectorAll("[data-chart]")) {
      drawChart(figure);
      resizeObserver.observe(figure);
    }
  };

  drawAll();
  document.addEventListener("htmx:after:swap", drawAll);
  // Redraw after theme.js has applied the new colour scheme of the system.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(drawAll));
})();
