"use strict";
// Charts, the one cursor they share, the selectors and the theme.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const clock = document.getElementById("clock");
  const plots = [];
  const chosen = { operation: "", view: "response" };
  const probe = document.body.appendChild(document.createElement("i"));
  const schemeQuery = matchMedia("(prefers-color-scheme: dark)");
  let moment = null, colors = {}, printing = false, queued = false;

  const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : schemeQuery.matches);

  // A custom property holds light-dark(…) unresolved; an element's own colour is resolved.
  function readColors() {
    for (const name of ["fg", "muted", "grid", "band", "band2", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]) {
      probe.style.color = `var(--${name})`;
      colors[name] = getComputedStyle(probe).color;
    }
  }

  for (const heat of figures.heat)
    for (const name of Object.keys(heat)) {
      let cell = 0;
      heat[name] = { cells: heat[name][0].map(d => (cell += d)), counts: heat[name][1] };
    }

  function linesOf(chart, variant) {
    const data = (figures.lines[variant][chart.id] || {})[chart.by_operation ? chosen.operation : ""] || {};
    const lines = [];
    let below = null;
    for (const [key, label, color, dash, views] of chart.lines) {
      if (!(key in data) || (views.length && !views.includes(chosen.view))) continue;
      const own = data[key], sampled = Array.isArray(own[0]);
      const line = { key, label, color, dash, step: figures.step_s, x: sampled ? own[0] : null, y: sampled ? own[1] : own };
      if (chart.form === "stacked" && !dash) below = line.sum = line.y.map((v, i) => (v === null ? null : v + (below ? below[i] || 0 : 0)));
      lines.push(line);
    }
    return lines;
  }

  // The same vertical scale for all variants, or they could not be compared.
  function rangeOf(chart) {
    if (chart.form === "heat") return [10 ** figures.lowest_decade, 10 ** (figures.lowest_decade + figures.rows / figures.rows_per_decade)];
    let low = Infinity, high = 0;
    for (let i = 0; i < figures.variants.length; i++)
      for (const line of linesOf(chart, i))
        for (const v of line.sum || line.y) {
          if (v > high) high = v;
          if (v > 0 && v < low) low = v;
        }
    if (chart.log) return high ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.02))] : [1e-3, 1];
    return [0, Math.max(chart.top, high || 1) * 1.06];
  }

  function mostInCell() {
    let most = 1;
    for (const heat of figures.heat) for (const n of (heat[chosen.operation] || { counts: [] }).counts) if (n > most) most = n;
    return most;
  }

  // Value of a line at a moment; null where nothing was measured near it.
  function valueAt(line, t) {
    if (!line.x) {
      const v = line.y[Math.floor(t / line.step)];
      return v === undefined ? null : v;
    }
    let low = 0, high = line.x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (line.x[middle] <= t) low = middle;
      else high = middle;
    }
    // Two points far apart are a declared constant, not samples.
    if (line.x.length === 2 && line.y[0] === line.y[1]) return t >= line.x[0] && t <= line.x[1] ? line.y[0] : null;
    const near = t - line.x[low] <= line.x[high] - t ? low : high;
    return Math.abs(line.x[near] - t) <= Math.max(1, figures.step_s) ? line.y[near] : null;
  }

  const peakOf = line => line.y.reduce((most, v) => (v !== null && (most === null || v > most) ? v : most), null);

  function heatAt(plot, t) {
    const heat = figures.heat[plot.variant][chosen.operation];
    const column = Math.floor(t / figures.step_s);
    let count = 0, low = null, high = null;
    if (heat)
      heat.cells.forEach((cell, i) => {
        if (Math.floor(cell / figures.rows) !== column) return;
        count += heat.counts[i];
        const row = cell % figures.rows;
        if (low === null) low = row;
        high = row;
      });
    if (!count) return "no requests";
    const edge = row => show.seconds(10 ** (figures.lowest_decade + row / figures.rows_per_decade));
    return `${count.toLocaleString("en")} requests, ${edge(low)} to ${edge(high + 1)}`;
  }

  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  function swatch(chart, line) {
    const box = svg("svg", { viewBox: "0 0 18 8", "aria-hidden": "true" });
    const filled = chart.form === "stacked" && !line.dash;
    box.append(filled ? svg("rect", { width: 18, height: 8, fill: line.stroke }) : svg("path", { d: "M0 4H18", stroke: line.stroke, "stroke-width": 2.5, "stroke-dasharray": line.dash ? "5 3" : "none" }));
    return box;
  }

  function rampKey() {
    const box = svg("svg", { viewBox: "0 0 84 9", class: "ramp", "aria-hidden": "true" });
    for (let i = 0; i < 28; i++) box.append(svg("rect", { x: i * 3, width: 3.2, height: 9, fill: draw.ramp(isDark(), i / 27) }));
    return box;
  }

  function buildKey(plot) {
    plot.key.replaceChildren();
    plot.outputs = [];
    const add = (mark, label) => {
      const item = plot.key.appendChild(document.createElement("li"));
      if (mark) item.append(mark);
      item.append(label);
      plot.outputs.push(item.appendChild(document.createElement("b")));
    };
    if (plot.chart.form === "heat") {
      const item = plot.key.appendChild(document.createElement("li"));
      item.append("1 ", rampKey(), ` ${mostInCell().toLocaleString("en")}`);
      add(null, "");
    } else for (const line of plot.lines) add(swatch(plot.chart, line), line.label);
  }

  function describe(plot) {
    const unit = plot.chart.unit;
    if (plot.chart.form === "heat") {
      const heat = figures.heat[plot.variant][chosen.operation];
      const total = heat ? heat.counts.reduce((a, b) => a + b, 0) : 0;
      plot.text.textContent = `${total.toLocaleString("en")} requests over ${figures.end_s} seconds.`;
      return;
    }
    plot.text.textContent = plot.lines
      .map(line => {
        const known = line.y.filter(v => v !== null).sort((a, b) => a - b);
        if (!known.length) return `${line.label}: not measured.`;
        const high = known[known.length - 1], at = line.y.indexOf(high);
        const when = line.x ? line.x[at] : at * line.step;
        return `${line.label}: highest ${show.value(high, unit)} at ${show.moment(when)}, median ${show.value(known[(known.length - 1) >> 1], unit)}, lowest ${show.value(known[0], unit)}.`;
      })
      .join(" ");
  }

  function build(plot) {
    const { chart, element } = plot, variant = figures.variants[plot.variant];
    if (plot.u) plot.u.destroy();
    plot.lines = linesOf(chart, plot.variant);
    for (const line of plot.lines) line.stroke = colors[line.color];
    const [low, high] = rangeOf(chart), dark = isDark();
    const decades = (u, splits) => splits.map(v => (chart.log && Math.abs(Math.log10(v) - Math.round(Math.log10(v))) > 1e-6 ? null : v));
    const axis = { stroke: colors.muted, font: "11px system-ui, sans-serif", grid: { stroke: colors.grid, width: 1 }, ticks: { show: false } };
    plot.u = new uPlot(
      {
        width: Math.max(120, Math.floor(element.clientWidth)),
        height: chart.form === "heat" || chart.id === "latency" ? 210 : 150,
        padding: [6, 20, 0, 0],
        legend: { show: false },
        // The pointer is ours (below): one moment for all charts, and touch and keys as well.
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false, setScale: false }, bind: { mousemove: () => null, mouseenter: () => null, mouseleave: () => null, mousedown: () => null, mouseup: () => null, click: () => null, dblclick: () => null } },
        scales: { x: { time: false, range: () => [0, figures.end_s] }, y: { distr: chart.log ? 3 : 1, log: 10, range: () => [low, high] } },
        axes: [
          { ...axis, size: 24, gap: 3, space: 56, incrs: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400], values: (u, splits) => splits.map(v => `${v} s`) },
          { ...axis, size: 54, gap: 4, space: 26, filter: decades, grid: { ...axis.grid, filter: decades }, values: (u, splits) => splits.map(v => (v === null ? "" : show.tick(v, chart.unit))) },
        ],
        series: [{}, { show: true, paths: () => null, points: { show: false } }],
        hooks: {
          drawClear: [u => draw.bands(u, variant, colors)],
          draw: [
            u => {
              if (chart.form === "heat") {
                const heat = figures.heat[plot.variant][chosen.operation];
                if (heat) draw.heat(u, heat, mostInCell(), figures, dark);
              }
              draw.stack(u, plot.lines.filter(line => line.sum));
              for (const line of plot.lines) if (!line.sum) draw.stroke(u, line);
              draw.over(u, variant, colors);
            },
          ],
        },
      },
      [[0, figures.end_s], [low, high]],
      element,
    );
    plot.u.over.addEventListener("pointermove", event => moveTo(plot.u.posToVal(event.offsetX, "x")));
    plot.u.over.addEventListener("pointerdown", event => moveTo(plot.u.posToVal(event.offsetX, "x")));
    buildKey(plot);
    describe(plot);
    read(plot);
  }

  // Put a chart's cursor and figures at the shared moment.
  function read(plot) {
    const { chart, u } = plot, unit = chart.unit;
    u.setCursor(moment === null ? { left: -10, top: -10 } : { left: u.valToPos(moment, "x"), top: 0 }, false);
    const texts =
      chart.form === "heat"
        ? [moment === null ? "requests per cell" : heatAt(plot, moment)]
        : plot.lines.map(line => show.value(moment === null ? peakOf(line) : valueAt(line, moment), unit));
    texts.forEach((text, i) => (plot.outputs[i].textContent = text));
    plot.element.setAttribute("aria-valuenow", String(moment === null ? 0 : moment));
    const said = texts.map((text, i) => `${plot.lines[i] ? plot.lines[i].label + " " : ""}${text}`).join(", ");
    plot.element.setAttribute("aria-valuetext", moment === null ? `no moment chosen; highest: ${said}` : `${show.moment(moment)}: ${said}`);
  }

  function refresh() {
    queued = false;
    if (clock) clock.textContent = moment === null ? "peak of each line" : `at ${show.moment(moment)}`;
    plots.forEach(read);
  }

  function moveTo(t) {
    moment = t === null ? null : Math.min(figures.end_s - 1e-6, Math.max(0, t));
    if (!queued) {
      queued = true;
      requestAnimationFrame(refresh);
    }
  }

  function onKey(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    const middle = figures.step_s / 2;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (by) moveTo(moment === null ? middle : (Math.floor(moment / figures.step_s) + by * (event.shiftKey ? 10 : 1)) * figures.step_s + middle);
    else if (event.key === "Home") moveTo(middle);
    else if (event.key === "End") moveTo(figures.end_s - middle);
    else if (event.key === "Escape") moveTo(null);
    else return;
    event.preventDefault();
  }

  function rebuild(which) {
    readColors();
    plots.filter(which || (() => true)).forEach(build);
  }

  for (const element of document.querySelectorAll(".plot")) {
    const chart = figures.charts.find(c => c.id === element.dataset.chart), variant = +element.dataset.variant;
    const id = `${chart.id}-${variant}`;
    const plot = { chart, variant, element, key: document.getElementById(`key-${id}`), text: document.getElementById(`text-${id}`) };
    const attributes = { tabindex: "0", role: "slider", "aria-label": `${chart.title}, ${figures.variants[variant].name}: moment`, "aria-describedby": `text-${id}`, "aria-valuemin": "0", "aria-valuemax": String(figures.end_s) };
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.addEventListener("keydown", onKey);
    plots.push(plot);
  }
  rebuild();

  const resized = new ResizeObserver(entries => {
    if (printing) return;
    for (const entry of entries) {
      const plot = plots.find(p => p.element === entry.target), width = Math.floor(entry.contentRect.width);
      if (width > 0 && width !== plot.u.width) {
        plot.u.setSize({ width, height: plot.u.height });
        read(plot);
      }
    }
  });
  plots.forEach(plot => resized.observe(plot.element));

  const controls = document.querySelector(".controls");
  controls.hidden = false;
  controls.addEventListener("change", event => {
    chosen[event.target.name] = event.target.value;
    rebuild(plot => plot.chart.by_operation);
  });

  const theme = document.getElementById("theme");
  const label = () => (theme.textContent = isDark() ? "Light" : "Dark");
  theme.hidden = false;
  label();
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
    rebuild();
  });
  schemeQuery.addEventListener("change", () => {
    label();
    rebuild();
  });

  // On paper: light, two columns, everything that can be opened of the evidence open.
  let before = null;
  addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, opened: [...document.querySelectorAll("details:not([open])")] };
    printing = true;
    root.dataset.theme = "light";
    before.opened.forEach(details => (details.open = true));
    const columns = Math.min(2, figures.variants.length);
    readColors();
    for (const plot of plots) {
      build(plot);
      plot.u.setSize({ width: columns === 2 ? 330 : 680, height: plot.u.height });
    }
  });
  addEventListener("afterprint", () => {
    printing = false;
    if (before.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    before.opened.forEach(details => (details.open = false));
    rebuild();
  });
})();
