"use strict";
// What is painted into a chart's canvas. uPlot gives axes, scales and the cursor; the lines have times of their own
// (requests by the second, each probe by its tick), so they are painted from their own arrays, and null ends a stroke.
const draw = {
  // Ramps from few to many, after cividis, which reads the same with any colour vision.
  ramps: {
    light: [[240, 228, 160], [222, 200, 100], [166, 157, 117], [94, 98, 118], [0, 44, 98]],
    dark: [[28, 38, 62], [38, 71, 118], [107, 110, 122], [180, 166, 105], [255, 233, 69]],
  },

  ramp(dark, share) {
    const stops = draw.ramps[dark ? "dark" : "light"];
    const at = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1);
    const low = Math.floor(at), part = at - low;
    return "rgb(" + stops[low].map((c, i) => Math.round(c + (stops[low + 1][i] - c) * part)).join(",") + ")";
  },

  bands(u, variant, colors) {
    const { ctx, bbox } = u;
    ctx.save();
    variant.bands.forEach(([name, begin, end], i) => {
      const left = Math.max(bbox.left, u.valToPos(begin, "x", true));
      const right = Math.min(bbox.left + bbox.width, u.valToPos(end, "x", true));
      ctx.fillStyle = i % 2 ? colors.band2 : colors.band;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    });
    ctx.restore();
  },

  over(u, variant, colors) {
    const { ctx, bbox } = u, dpr = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = 10.5 * dpr + "px system-ui, sans-serif";
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    ctx.fillStyle = colors.muted;
    for (const [name, begin, end] of variant.bands) {
      const left = u.valToPos(begin, "x", true), right = u.valToPos(end, "x", true);
      if (ctx.measureText(name).width < right - left - 8 * dpr) ctx.fillText(name, left + 4 * dpr, bbox.top + 3 * dpr);
    }
    ctx.strokeStyle = colors.muted;
    ctx.lineWidth = dpr;
    ctx.setLineDash([2 * dpr, 3 * dpr]);
    let last = -1e9;
    for (const [number, at] of variant.marks) {
      const x = Math.round(u.valToPos(at, "x", true)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (x - last > 14 * dpr) {
        ctx.fillText(String(number), x + 3 * dpr, bbox.top + 16 * dpr);
        last = x;
      }
    }
    ctx.restore();
  },

  // Stretches of points without a null between them, as canvas positions. A step is held to its end.
  stretches(u, line, values) {
    const all = [];
    let current = null;
    const px = t => u.valToPos(t, "x", true), py = v => u.valToPos(v, "y", true);
    values.forEach((v, i) => {
      if (v === null || v === undefined) {
        current = null;
        return;
      }
      if (!current) all.push((current = []));
      const x = line.x ? line.x[i] : i * line.step;
      current.push([px(x), py(v)]);
      if (!line.x) current.push([px(x + line.step), py(v)]);
    });
    return all;
  },

  stroke(u, line) {
    const { ctx, bbox } = u, dpr = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - dpr, bbox.width, bbox.height + 2 * dpr);
    ctx.clip();
    ctx.strokeStyle = line.stroke;
    ctx.lineWidth = (line.dash ? 1.3 : 1.6) * dpr;
    ctx.lineJoin = "round";
    ctx.setLineDash(line.dash ? [5 * dpr, 4 * dpr] : []);
    for (const points of draw.stretches(u, line, line.y)) {
      ctx.beginPath();
      // A single sample between two gaps is a dot, or it would not be seen.
      if (points.length === 1) ctx.arc(points[0][0], points[0][1], dpr, 0, 7);
      else points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
      ctx.stroke();
    }
    ctx.restore();
  },

  // Layers from the top of the stack down, each filled to the bottom: what lies below is painted over it.
  stack(u, lines) {
    const { ctx, bbox } = u;
    const bottom = bbox.top + bbox.height, width = 1.2 * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const line of [...lines].reverse()) {
      ctx.fillStyle = line.stroke;
      for (const points of draw.stretches(u, line, line.sum)) {
        if (points.length === 1) points.push([points[0][0] + width, points[0][1]]);
        ctx.beginPath();
        points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
        ctx.lineTo(points[points.length - 1][0], bottom);
        ctx.lineTo(points[0][0], bottom);
        ctx.fill();
      }
    }
    ctx.restore();
  },

  // Cells narrower than a pixel are summed up, so that none is lost between two.
  heat(u, heat, most, figures, dark) {
    const { ctx, bbox } = u, { rows, step_s, lowest_decade, rows_per_decade } = figures;
    const cellWidth = (bbox.width * step_s) / figures.end_s;
    const group = Math.max(1, Math.ceil(1.5 / cellWidth));
    const sums = new Map();
    heat.cells.forEach((cell, i) => {
      const key = Math.floor(Math.floor(cell / rows) / group) * rows + (cell % rows);
      sums.set(key, (sums.get(key) || 0) + heat.counts[i]);
    });
    ctx.save();
    for (const [key, count] of sums) {
      const column = Math.floor(key / rows) * group, row = key % rows;
      const left = Math.round(u.valToPos(column * step_s, "x", true));
      const right = Math.round(u.valToPos((column + group) * step_s, "x", true));
      const top = Math.round(u.valToPos(10 ** (lowest_decade + (row + 1) / rows_per_decade), "y", true));
      const bottom = Math.round(u.valToPos(10 ** (lowest_decade + row / rows_per_decade), "y", true));
      ctx.fillStyle = draw.ramp(dark, Math.log1p(count / group) / Math.log1p(most));
      ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
    }
    ctx.restore();
  },
};
