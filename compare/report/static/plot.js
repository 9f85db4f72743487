"use strict";
// Small figures in SVG: axes, lines, markers, bars, the level lines and regions of a function.
// Drawn at the width that there is, so that text keeps its size on a phone.

const SHAPES = {
  circle: r => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  square: r => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  triangle: r => `M0,${-1.2 * r}L${1.1 * r},${0.8 * r}H${-1.1 * r}z`,
  diamond: r => `M0,${-1.35 * r}L${1.2 * r},0L0,${1.35 * r}L${-1.2 * r},0z`,
  cross: r => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`,
  plus: r => `M${-1.2 * r},0H${1.2 * r}M0,${-1.2 * r}V${1.2 * r}`,
};

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) made.setAttribute(name, value);
  made.append(...children.flat());
  return made;
}

// What a curve looks like, for the label of its control.
function key(shape, style) {
  return svg("svg", { class: "key", viewBox: "-18 -8 36 16", "aria-hidden": "true" },
    svg("path", { class: `curve ${style}`, d: "M-18,0H18" }), svg("path", { class: `mark ${style}`, d: SHAPES[shape](4.5) }));
}

function ticks(low, high, count, log) {
  if (log) {
    const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const step = Math.max(1, Math.ceil((last - first) / count));
    return Array.from({ length: Math.max(0, Math.floor((last - first) / step)) + 1 }, (_, i) => 10 ** (first + i * step));
  }
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(factor => factor * power >= rough * 0.999) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

class Plot {
  static count = 0;

  // x and y are [lowest, highest]; `alternative` says in words what is seen. Of `rows` that stand below each other
  // only the last has numbers at its axis. With `equal`, one is as long in x as in y, and a circle is round.
  constructor(host, alternative, { x, y, height = 300, xlabel = "", ylabel = "", logx = false, logy = false, rows = false, last = true, equal = false }) {
    Object.assign(this, { host, x, y, logx, logy });
    this.width = Math.max(200, host.clientWidth);
    this.height = height;
    const [left, right, top, bottom] = rows ? [10, 10, 4, last ? 42 : 4] : [ylabel ? (logy ? 66 : 58) : 42, 16, 10, xlabel ? 42 : 26];
    this.box = { left, top, right: this.width - right, bottom: height - bottom };
    if (equal) {
      const { box } = this, size = ([low, high]) => high - low, across = box.right - box.left, down = box.bottom - box.top;
      const unit = Math.min(across / size(x), down / size(y));
      box.left += (across - unit * size(x)) / 2;
      box.right = box.left + unit * size(x);
      box.top = box.bottom - unit * size(y);
    }
    const { box } = this, id = `clip-${Plot.count++}`;
    this.inside = svg("g", { "clip-path": `url(#${id})` });
    this.svg = svg("svg", { width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, role: "img", "aria-label": alternative },
      svg("clipPath", { id }, svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })));
    this.axes(xlabel, ylabel, rows, last);
    this.svg.append(this.inside);
    host.replaceChildren(this.svg);
  }

  px(value) { return this.scale(value, this.x, this.logx, this.box.left, this.box.right); }
  py(value) { return this.scale(value, this.y, this.logy, this.box.bottom, this.box.top); }
  scale(value, [low, high], log, from, to) {
    const share = log ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (value - low) / (high - low);
    return from + Math.min(50, Math.max(-50, share)) * (to - from);
  }

  // The values at a place of the pointer.
  at(event) {
    const corner = this.svg.getBoundingClientRect(), { box } = this;
    const share = [(event.clientX - corner.left - box.left) / (box.right - box.left), (box.bottom - (event.clientY - corner.top)) / (box.bottom - box.top)];
    return [this.x, this.y].map(([low, high], i) => low + Math.min(1, Math.max(0, share[i])) * (high - low));
  }

  axes(xlabel, ylabel, rows, last) {
    const { box } = this, middle = (a, b) => (a + b) / 2;
    for (const value of ticks(...this.x, Math.min(8, (box.right - box.left) / 60), this.logx)) {
      const at = this.px(value);
      this.svg.append(svg("path", { class: "grid", d: `M${at},${box.top}V${box.bottom}` }));
      if (last) this.svg.append(svg("text", { x: at, y: box.bottom + 16, "text-anchor": "middle" }, Play.text(value)));
    }
    if (rows) this.svg.append(svg("path", { class: "grid", d: `M${box.left},${box.bottom}H${box.right}` }));
    else    for (const value of ticks(...this.y, Math.min(6, (box.bottom - box.top) / 40), this.logy)) {
      const at = this.py(value);
      this.svg.append(svg("path", { class: "grid", d: `M${box.left},${at}H${box.right}` }),
        svg("text", { x: box.left - 6, y: at + 4, "text-anchor": "end" }, Play.text(value)));
    }
    if (xlabel) this.svg.append(svg("text", { x: middle(box.left, box.right), y: this.height - 6, "text-anchor": "middle" }, xlabel));
    if (ylabel) this.svg.append(svg("text", { transform: `translate(${box.left - (this.logy ? 53 : 45)},${middle(box.top, box.bottom)}) rotate(-90)`, "text-anchor": "middle" }, ylabel));
  }

  // Points that are no numbers, or not above 0 on a logarithmic axis, interrupt the line.
  line(points, style = "") {
    let d = "", pen = "M";
    for (const [x, y] of points) {
      const shown = !Number.isNaN(x) && !Number.isNaN(y) && !(this.logy && y <= 0) && !(this.logx && x <= 0);
      if (shown) d += `${pen}${this.px(x).toFixed(1)},${this.py(y).toFixed(1)}`;
      pen = shown ? "L" : "M";
    }
    this.inside.append(svg("path", { class: `curve ${style}`, d }));
  }

  mark(x, y, shape = "circle", style = "", r = 4) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
    const made = svg("path", { class: `mark ${style}`, d: SHAPES[shape](r), transform: `translate(${this.px(x).toFixed(1)},${this.py(y).toFixed(1)})` });
    this.inside.append(made);
    return made;
  }

  word(x, y, words, style = "", anchor = "start") {
    this.svg.append(svg("text", { x: this.px(x), y: this.py(y), class: `over ${style}`, "text-anchor": anchor }, words));
  }

  // Names of the lines, in a row above the figure.
  legend(entries) {
    const row = Play.element("div", { class: "legend" }, entries.map(([shape, style, name]) => Play.element("span", {}, key(shape, style), name)));
    this.host.prepend(row);
  }

  // Bars from `edges[i]` to `edges[i + 1]`.
  bars(edges, heights, style = "") {
    const d = heights.map((height, i) => {
      const [left, right] = [this.px(edges[i]), this.px(edges[i + 1])];
      return height ? `M${left.toFixed(1)},${this.py(0)}V${this.py(height).toFixed(1)}H${right.toFixed(1)}V${this.py(0)}z` : "";
    }).join("");
    this.inside.append(svg("path", { class: `bars ${style}`, d }));
  }

  // f at the corners of n × n cells.
  sample(f, n) {
    const at = ([low, high], i) => low + (high - low) * i / n;
    return Array.from({ length: n + 1 }, (_, j) => Float64Array.from({ length: n + 1 }, (_, i) => f(at(this.x, i), at(this.y, j))));
  }

  // Where the sampled function has this value: in each cell between the two edges that the level crosses.
  level(values, level, style = "") {
    const n = values.length - 1, { box } = this;
    const px = i => (box.left + (box.right - box.left) * i / n).toFixed(1), py = j => (box.bottom - (box.bottom - box.top) * j / n).toFixed(1);
    let d = "";
    for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], ends = [];
      corners.forEach(([a, b], k) => {
        const [c, e] = corners[(k + 1) % 4], low = values[b][a], high = values[e][c];
        if ((low < level) === (high < level)) return;
        const share = (level - low) / (high - low);
        ends.push(`${px(a + share * (c - a))},${py(b + share * (e - b))}`);
      });
      for (let k = 0; k + 1 < ends.length; k += 2) d += `M${ends[k]}L${ends[k + 1]}`;
    }
    this.inside.append(svg("path", { class: `curve ${style}`, d }));
  }

  // The cells in which the sampled function lies from `low` to below `high`, a row of neighbours at a time.
  region(values, low, high, style = "") {
    const n = values.length - 1, { box } = this;
    const w = (box.right - box.left) / n, h = (box.bottom - box.top) / n;
    let d = "";
    for (let j = 0; j < n; j++) for (let i = 0, from = -1; i <= n; i++) {
      const middle = i < n ? (values[j][i] + values[j][i + 1] + values[j + 1][i] + values[j + 1][i + 1]) / 4 : NaN;
      const within = middle >= low && middle < high;
      if (within && from < 0) from = i;
      if (!within && from >= 0) {
        d += `M${(box.left + from * w).toFixed(1)},${(box.bottom - j * h).toFixed(1)}v${(-h - 0.3).toFixed(1)}h${((i - from) * w).toFixed(1)}v${(h + 0.3).toFixed(1)}z`;
        from = -1;
      }
    }
    this.inside.append(svg("path", { class: `region ${style}`, d }));
  }
}

// Counts of values in n bins of equal width from low to high; what lies outside is in the outermost ones.
function histogram(values, low, high, n) {
  const counts = new Array(n).fill(0), edges = Array.from({ length: n + 1 }, (_, i) => low + (high - low) * i / n);
  for (const value of values) if (!Number.isNaN(value)) counts[Math.min(n - 1, Math.max(0, Math.floor((value - low) / (high - low) * n)))]++;
  return { counts, edges };
}
