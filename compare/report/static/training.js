"use strict";
// What the widgets share that train a network on two rings: the boundary, the curve of the cost, a memory.

const Training = (() => {
  // The two regions of a network, that of class 1 (inner ring) striped, and examples: of class 1 triangles, of class
  // 0 circles.
  function boundary(host, network, sets, words) {
    const plot = new Plot(host, words, { x: [-1.7, 1.7], y: [-1.7, 1.7], equal: true, height: Math.min(420, Math.max(280, host.clientWidth * 0.85)) });
    const n = 60, grid = new Float64Array(2 * (n + 1) ** 2);
    for (let k = 0; k < (n + 1) ** 2; k++) {
      grid[2 * k] = -1.7 + 3.4 * (k % (n + 1)) / n;
      grid[2 * k + 1] = -1.7 + 3.4 * Math.floor(k / (n + 1)) / n;
    }
    const logits = network.forward(grid, (n + 1) ** 2, false);
    const values = Array.from({ length: n + 1 }, (_, j) => logits.slice(j * (n + 1), (j + 1) * (n + 1)).map(Network.sigmoid));
    for (const [low, high, style] of [[-1, 0.1, "c1"], [-1, 0.3, "c1"], [-1, 0.5, "c1"], [0.5, 2, "c2"], [0.7, 2, "c2"], [0.9, 2, "c2"]]) plot.region(values, low, high, `${style} pale`);
    for (let j = 2; j < n; j += 4) plot.line(Array.from(values[j], (p, i) => [p > 0.5 ? grid[2 * i] : NaN, grid[2 * j * (n + 1) + 1]]), "stripe");
    plot.level(values, 0.5, "edge");
    for (const { x, targets, style } of sets) targets.forEach((target, k) => plot.mark(x[2 * k], x[2 * k + 1], target ? "triangle" : "circle", `${target ? "c2" : "c1"} ${style}`, style ? 2.6 : 3.6));
    return plot;
  }

  // Lines over the steps, or epochs, of a training: [[values, style, name, shape], …].
  function curves(host, step, lines, ylabel, words, xlabel = "step") {
    if (!lines.length) return host.replaceChildren();
    const all = lines.flatMap(([values]) => [...values]).filter(value => value > 0 && Number.isFinite(value));
    const high = Math.min(1e6, Math.max(1, ...all)), low = Math.max(1e-5, Math.min(0.1, ...all));
    const last = lines[0][0].length - 1;
    const plot = new Plot(host, words, { x: [0, last], y: [low / 1.5, high * 1.5], logy: true, height: 250, xlabel, ylabel });
    plot.line([[step, low / 1.5], [step, high * 1.5]], "now");
    if (lines.length > 1) plot.legend(lines.map(([, style, name, shape]) => [shape, style, name]));
    for (const [values, style, , shape] of lines) {
      plot.line([...values].map((value, t) => [t, value]), style);
      [...values].forEach((value, t) => { if (t % Math.ceil(last / 8) === 0 && value > 0) plot.mark(t, value, shape, style, 3.5); });
    }
  }

  // The share of examples on the right side of 0.
  const accuracy = (logits, targets) => targets.reduce((sum, target, k) => sum + ((logits[k] > 0) === (target === 1)), 0) / targets.length;

  // What `make` returned for the last settings of these names: a step of the scrubber trains nothing anew.
  function remembered(names, make) {
    let known, result;
    return state => {
      const now = JSON.stringify(names.map(name => state[name]));
      if (now !== known) [known, result] = [now, make(state)];
      return result;
    };
  }

  return { accuracy, boundary, curves, remembered };
})();
