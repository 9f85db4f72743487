"use strict";
// One small network with numbers in it: forward, then backward, a line of scratch/ at a time; with a mistake, if wanted.

{
  const RATE = 0.1;  // of the update that comes too early, in one of the mistakes
  const ACTIVATIONS = {
    tanh: { forward: Math.tanh, slope: y => 1 - y * y },
    sigmoid: { forward: x => Network.sigmoid(x), slope: y => (1 - y) * y },
    relu: { forward: x => Math.max(x, 0), slope: y => y > 0 ? 1 : 0 },
  };

  // x Wᵀ + b of rows x
  const linear = (x, weight, bias) => x.map(row => weight.map((w, i) => w.reduce((sum, value, j) => sum + row[j] * value, 0) + bias[i]));
  const product = (a, b) => a.map(row => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
  const transposed = a => a[0].map((_, j) => a.map(row => row[j]));
  const sums = rows => rows[0].map((_, j) => rows.reduce((sum, row) => sum + row[j], 0));
  const map = (rows, f) => rows.map((row, n) => row.map((value, i) => f(value, n, i)));

  function forward({ x, y, W1, b1, W2, b2 }, activation) {
    const z1 = linear(x, W1, b1), a1 = map(z1, ACTIVATIONS[activation].forward), z2 = linear(a1, W2, b2);
    const losses = z2.map(([z], n) => (1 - y[n]) * z - (Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z)))));
    return { z1, a1, z2, L: [[losses.reduce((sum, loss) => sum + loss, 0) / losses.length]] };
  }

  function backward({ x, y, W2 }, { z1, a1, z2 }, activation, mistake) {
    const n = mistake === "mean" ? 1 : y.length, { slope } = ACTIVATIONS[activation];
    const dz2 = map(z2, (z, k) => {
      const p = Network.sigmoid(z);
      return (p - y[k]) / n * (mistake === "twice" ? p * (1 - p) : 1);
    });
    const bias = dz => mistake === "bias" ? dz[0] : sums(dz);
    const dW2 = product(transposed(dz2), a1), db2 = bias(dz2);
    const weight = mistake === "early" ? map(W2, (w, i, j) => w - RATE * dW2[i][j]) : W2;
    const da1 = product(dz2, weight), dz1 = map(da1, (d, k, i) => d * slope(mistake === "slope" ? z1[k][i] : a1[k][i]));
    const dW1 = product(transposed(dz1), x);
    return { dz2, dW2, db2, da1, dz1, dW1: mistake === "transposed" ? transposed(dW1) : dW1, db1: bias(dz1) };
  }

  // (L(θ + ε) − L(θ − ε))/(2ε), of every number of W1, b1, W2 and b2
  function numerical(given, activation, eps = 1e-6) {
    const cost = () => forward(given, activation).L[0][0];
    const slope = (array, i) => {
      const value = array[i];
      array[i] = value + eps;
      const plus = cost();
      array[i] = value - eps;
      const minus = cost();
      array[i] = value;
      return (plus - minus) / (2 * eps);
    };
    const all = array => array.map((_, i) => slope(array, i));
    return { W1: given.W1.map(all), b1: all(given.b1), W2: given.W2.map(all), b2: all(given.b2) };
  }

  // What each step computes: the quantity, its formula, and the key of its line in scratch/.
  const STEPS = [
    ["z1", "z₁ = x W₁ᵀ + b₁", "linear"], ["a1", "a₁ = act(z₁)", "activation"], ["z2", "z₂ = a₁ W₂ᵀ + b₂", "linear"], ["L", "L = mean((1 − y)·z₂ − log σ(z₂))", "loss"],
    ["dz2", "dz₂ = (σ(z₂) − y)/n", "dloss"], ["dW2", "dW₂ = dz₂ᵀ a₁", "dweight"], ["db2", "db₂ = Σ dz₂ over the batch", "dbias"], ["da1", "da₁ = dz₂ W₂", "dx"],
    ["dz1", "dz₁ = da₁ · act′", "dactivation"], ["dW1", "dW₁ = dz₁ᵀ x", "dweight"], ["db1", "db₁ = Σ dz₁ over the batch", "dbias"],
  ];
  const CARDS = [["x", "x"], ["W1", "W₁"], ["b1", "b₁"], ["z1", "z₁"], ["a1", "a₁"], ["W2", "W₂"], ["b2", "b₂"], ["z2", "z₂"], ["L", "L"]];
  const rowsOf = value => Array.isArray(value[0]) ? value : [value];

  function matrix(values, style) {
    return Play.element("table", { class: `matrix ${style}`, role: "presentation" }, Play.element("tbody", {}, rowsOf(values).map(row =>
      Play.element("tr", {}, row.map(value => Play.element("td", {}, Play.text(value, 3)))))));
  }

  function drawCards(host, values, step) {
    const done = new Set(STEPS.slice(0, step).map(([name]) => name)), [now] = STEPS[step - 1];
    host.replaceChildren(...CARDS.map(([name, label]) => {
      const known = !STEPS.some(([made]) => made === name) || done.has(name), gradient = `d${name}`;
      const parts = [Play.element("p", {}, label), known ? matrix(values[name], now === name ? "just" : "") : Play.element("p", { class: "soft" }, "not yet")];
      if (done.has(gradient)) parts.push(Play.element("p", {}, `d${label}`), matrix(values[gradient], now === gradient ? "gradient just" : "gradient"));
      return Play.element("div", { class: "card" }, parts);
    }));
  }

  const range = (name, label, value, more = {}) => ({ kind: "range", name, label, min: -2, max: 2, step: 0.05, value, more: true, ...more });
  const read = s => ({ x: [[s.x11, s.x12], [s.x21, s.x22]], y: [Number(s.y1), Number(s.y2)], W1: [[s.w11, s.w12], [s.w21, s.w22]], b1: [s.b11, s.b12], W2: [[s.v1, s.v2]], b2: [s.c] });
  const classes = [["0", "0"], ["1", "1"]];
  Play.add({
    name: "backward",
    controls: [
      { kind: "choice", name: "mistake", label: "A mistake", value: "none", options: [["none", "none"], ["mean", "the mean is forgotten: no division by n"], ["twice", "σ′ once more, though the loss has it"],
        ["slope", "act′ taken at z₁ instead of a₁"], ["bias", "db not summed over the batch"], ["transposed", "dW₁ transposed: square, so nothing complains"], ["early", "W₂ updated before da₁ is computed"]] },
      { kind: "choice", name: "activation", label: "Activation", value: "tanh", options: [["tanh", "tanh"], ["sigmoid", "sigmoid"], ["relu", "ReLU"]] },
      { kind: "choice", name: "y1", label: "target of the first example", value: "1", options: classes }, { kind: "choice", name: "y2", label: "target of the second", value: "0", options: classes, more: true },
      range("x11", "first example, x₁", 1), range("x12", "first example, x₂", -0.5), range("x21", "second example, x₁", 0.3), range("x22", "second example, x₂", 0.8),
      range("w11", "W₁, first row, first", 0.5), range("w12", "W₁, first row, second", -0.3), range("w21", "W₁, second row, first", 0.8), range("w22", "W₁, second row, second", 0.2),
      range("b11", "b₁, first", 0.1), range("b12", "b₁, second", -0.1), range("v1", "W₂, first", 0.7), range("v2", "W₂, second", -0.6), range("c", "b₂", 0.2),
      { kind: "range", name: "step", label: "Step", min: 1, max: STEPS.length, step: 1, whole: true, value: STEPS.length, play: true },
    ],
    presets: [
      { label: "From the start", why: "go through the eleven steps with the slider: four forward, seven backward.", state: { step: 1 } },
      { label: "No mean", why: "every gradient is n times too large. Training goes on, with another learning rate: hard to notice without a check.", state: { mistake: "mean" } },
      { label: "σ′ once more", why: "the gradient of loss and sigmoid together is σ(z) − y. Times σ′, which is ¼ at most, learning is slow, and slowest where the network is wrong and sure of it.", state: { mistake: "twice" } },
      { label: "Slope at z", why: "1 − y² is the slope of tanh in terms of its output. With the input in it, the last layer is right and all before it are wrong.", state: { mistake: "slope" } },
      { label: "Transposed", why: "with as many units as inputs the shape fits. Off the diagonal the gradients have changed places.", state: { mistake: "transposed" } },
      { label: "Updated too early", why: "da₁ belongs to the W₂ that made z₂. With the new one all gradients of the first layer are slightly wrong.", state: { mistake: "early" } },
    ],
    figures: { cards: "Everything there is in the network, a row for an example or for a unit; below it its gradient, once it is known. What this step computes is framed." },
    draw(state, ui) {
      const given = read(state), values = { ...given, ...forward(given, state.activation) };
      Object.assign(values, backward(given, values, state.activation, state.mistake));
      drawCards(ui.cards, values, state.step);
      const [name, formula, line] = STEPS[state.step - 1];
      ui.cards.setAttribute("role", "group");
      ui.cards.setAttribute("aria-label", `The network after step ${state.step}, ${formula}: ${rowsOf(values[name]).map(row => row.map(value => Play.text(value)).join(", ")).join("; ")}`);
      const key = line.replace(/activation$/, found => `${found}-${state.activation}`);
      ui.cards.after(document.querySelector("#backward .source"));
      document.querySelectorAll("#backward .source-line").forEach(row => {
        if (row.dataset.key === key) row.setAttribute("aria-current", "step");
        else row.removeAttribute("aria-current");
        row.hidden = /activation/.test(row.dataset.key) && !row.dataset.key.endsWith(state.activation);
      });
      const quotient = numerical(given, state.activation), rows = [];
      for (const parameter of ["W1", "b1", "W2", "b2"]) rowsOf(values[`d${parameter}`]).forEach((row, i) => row.forEach((value, j) => {
        const right = rowsOf(quotient[parameter])[i][j], label = CARDS.find(([id]) => id === parameter)[1];
        const index = Array.isArray(values[parameter][0]) ? `${i + 1}${j + 1}` : `${j + 1}`;
        rows.push([`d${label}, ${index}`, value, right, Math.abs(value - right) <= 1e-7 * (1 + Math.abs(right)) ? "✓" : "✗ wrong"]);
      }));
      ui.tables.replaceChildren(
        Play.table(`Step ${state.step} of ${STEPS.length}: ${formula}`, ["", ...rowsOf(values[name])[0].map((_, j) => `${j + 1}`)], rowsOf(values[name]).map((row, i) => [`row ${i + 1}`, ...row]), 6),
        Play.table("The gradients against the difference quotient", ["", "computed", "quotient", ""], rows, 6));
    },
  });
}
