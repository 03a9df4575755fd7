// Draws the charts of `jobs/history.html` from the data beside them, anew at once when that was refreshed.
"use strict";

(() => {
  const drawn = new Map(); // canvas → chart
  let shown = null; // the data that is drawn

  const colour = (name) => {
    const swatch = document.querySelector(`.legend .series-${name}`);
    return getComputedStyle(swatch).color;
  };
  const faint = (rgb, share) => rgb.replace(/^rgba?\(([^)]*?)(,[^,)]*)?\)$/, (all, channels, last) => {
    const parts = `${channels}${last ?? ""}`.split(",").slice(0, 3);
    return `rgba(${parts.join(",")}, ${share})`;
  });

  // As `shown.duration` on the server.
  function duration(ms) {
    if (ms < 1_000) return `${Math.round(ms)} ms`;
    if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
    if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor(ms / 1_000) % 60} s`;
    return `${Math.floor(ms / 3_600_000)} h ${Math.floor(ms / 60_000) % 60} min`;
  }
  const UNITS = {
    jobs: (value) => value.toLocaleString("en"),
    percent: (value) => `${Math.round(100 * value) / 100} %`,
    ms: duration,
  };

  function datasets({ kind, series }) {
    return series.map(({ name, values }) => {
      const line = kind === "line" || name === "enqueued";
      const rgb = colour(name);
      return {
        label: name,
        type: line ? "line" : "bar",
        data: values.map((y, x) => ({ x, y })),
        borderColor: rgb,
        backgroundColor: line ? faint(rgb, 0.12) : rgb,
        borderWidth: line ? 1.5 : 0,
        fill: kind === "line" && series.length === 1,
        pointRadius: 0,
        pointHitRadius: 8,
        tension: 0.25,
        stack: line ? name : "ended",
        order: line ? 0 : 1,
        barPercentage: 0.9,
        categoryPercentage: 1,
      };
    });
  }

  function options({ labels, unit }) {
    const ink = getComputedStyle(document.querySelector(".legend")).color;
    const said = UNITS[unit];
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false, axis: "x" },
      scales: {
        x: {
          type: "linear",
          min: -0.5,
          max: labels.length - 0.5,
          stacked: true,
          offset: false,
          grid: { display: false },
          border: { color: faint(ink, 0.4) },
          afterBuildTicks: (axis) => {
            const room = Math.max(2, Math.floor(axis.chart.width / (7 * (labels[0]?.length ?? 0) + 18)));
            const step = Math.max(1, Math.ceil(labels.length / room));
            axis.ticks = labels.map((_, value) => ({ value })).filter(({ value }) => value % step === 0);
          },
          ticks: { callback: (value) => labels[value] ?? "", color: ink, maxRotation: 0, autoSkip: false, font: { size: 11 } },
        },
        y: {
          beginAtZero: true,
          stacked: false,
          grid: { color: faint(ink, 0.15) },
          border: { display: false },
          ticks: { callback: said, color: ink, maxTicksLimit: 5, precision: unit === "jobs" ? 0 : undefined, font: { size: 11 } },
        },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          callbacks: {
            title: ([item]) => labels[item.parsed.x],
            label: (item) => ` ${item.dataset.label} ${said(item.parsed.y)}`,
          },
        },
      },
    };
  }

  function draw() {
    for (const [canvas, chart] of drawn) {
      if (canvas.isConnected) continue;
      chart.destroy();
      drawn.delete(canvas);
    }
    shown = document.getElementById("chart-data");
    for (const chart of shown ? JSON.parse(shown.textContent) : []) {
      const canvas = document.getElementById(`chart-${chart.key}`);
      drawn.get(canvas)?.destroy();
      drawn.set(canvas, new Chart(canvas, { type: "bar", data: { datasets: datasets(chart) }, options: options(chart) }));
    }
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:afterSwap", () => {
    if (shown !== document.getElementById("chart-data")) draw();
  });
  document.addEventListener("themechange", draw);
})();
