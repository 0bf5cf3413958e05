"use strict";
// Numbers as people read them; the same rules as harness/units.py.
const show = {
  seconds(v) {
    const a = Math.abs(v);
    if (a >= 100) return Math.round(v).toLocaleString("en") + " s";
    if (a >= 1) return v.toFixed(2) + " s";
    if (a >= 0.1) return Math.round(v * 1e3) + " ms";
    if (a >= 1e-3) return +(v * 1e3).toPrecision(3) + " ms";
    return a ? Math.round(v * 1e6) + " µs" : "0 s";
  },
  value(v, unit) {
    if (v === null || v === undefined) return "—";
    if (unit === "s") return show.seconds(v);
    if (unit === "ratio") return (v * 100).toFixed(1) + " %";
    const text = Number.isInteger(v) || Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : String(+v.toPrecision(3));
    return unit === "1/s" ? text + "/s" : text;
  },
  tick(v, unit) {
    if (v === null || v === undefined) return "";
    if (unit === "s") return v >= 1 ? +v.toPrecision(3) + " s" : v >= 1e-3 ? +(v * 1e3).toPrecision(3) + " ms" : +(v * 1e6).toPrecision(3) + " µs";
    if (unit === "ratio") return +(v * 100).toPrecision(4) + " %";
    return Math.abs(v) >= 10000 ? v / 1000 + "k" : String(+v.toPrecision(6));
  },
  moment(t) {
    return t.toFixed(1) + " s";
  },
};
