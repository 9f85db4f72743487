"use strict";
// Gradient descent, momentum, Nesterov, RMSProp, Adam and AdamW from one start.

{
  const RACERS = [
    ["sgd", "Gradient descent", "circle", "c1"],
    ["momentum", "Momentum", "square", "c2"],
    ["nesterov", "Nesterov", "triangle", "c3"],
    ["rmsprop", "RMSProp", "diamond", "c4"],
    ["adam", "Adam", "cross", "c5"],
    ["adamw", "AdamW", "plus", "c6"],
  ];
  const STEPS = 300;
  const VIEWS = {
    bowl: { x: [-4, 4], y: [-3, 3], start: { x: -3, y: 2, lr: 0.1, lr_adaptive: 0.1 } },
    ravine: { x: [-4, 4], y: [-1.5, 1.5], start: { x: -3.5, y: 1, lr: 0.025, lr_adaptive: 0.1 } },
    rosenbrock: { x: [-2, 2], y: [-1, 3], start: { x: -1.2, y: 1, lr: 0.0005, lr_adaptive: 0.05 } },
    beale: { x: [-4.5, 4.5], y: [-4.5, 4.5], start: { x: 1, y: 1.5, lr: 0.002, lr_adaptive: 0.05 } },
  };
  const ADAPTIVE = ["rmsprop", "adam", "adamw"];
  const BOUNDS = VIEWS.beale;

  const runs = state => RACERS.filter(([rule]) => state[rule]).map(([rule, label, shape, style]) => {
    const options = { ...state, lr: ADAPTIVE.includes(rule) ? state.lr_adaptive : state.lr };
    if (rule === "rmsprop") options.beta2 = state.alpha;
    const formula = rule === "momentum" && state.form === "average" ? "average" : rule;
    return { rule, label, shape, style, path: Maths.descend(state.landscape, formula, [state.x, state.y], STEPS, options) };
  });

  // m and v as the step uses them: of Adam divided by 1 − βᵗ, unless that is switched off.
  function used(rule, step, t, { beta1, beta2, correction }) {
    const adam = rule === "adam" || rule === "adamw", corrected = adam && correction && t > 0;
    const m = step.m.map(value => corrected ? value / (1 - beta1 ** t) : value);
    const root = step.v.map(value => Math.sqrt(corrected ? value / (1 - beta2 ** t) : value));
    return { m: rule === "sgd" || rule === "rmsprop" ? null : m, root: ADAPTIVE.includes(rule) ? root : null };
  }

  function drawMap(host, state, all) {
    const view = VIEWS[state.landscape], { f, lowest } = Maths.landscapes[state.landscape];
    const words = all.map(({ label, path }) => `${label} at ${path[state.step].at.map(v => Play.text(v, 3)).join(", ")}`);
    const plot = new Plot(host, `Paths over the level lines after ${state.step} steps. ${words.join("; ")}.`, {
      ...view, height: Math.min(460, Math.max(300, host.clientWidth * 0.62)), xlabel: "first parameter x", ylabel: "second parameter y",
    });
    const heights = plot.sample((x, y) => Math.log(f(x, y) + 0.05), 72), flat = heights.flatMap(row => [...row]);
    const [low, high] = [Math.min(...flat), Math.max(...flat)], count = 14;
    for (let i = 1; i < count; i++) {
      plot.level(heights, low + (high - low) * i / count, "contour");
      plot.region(heights, -Infinity, low + (high - low) * i / count, "depth");
    }
    plot.mark(...lowest, "plus", "goal", 7);
    for (const { shape, style, path } of all) {
      const shown = path.slice(0, state.step + 1);
      plot.line(shown.map(({ at }) => at), style);
      shown.forEach(({ at }, t) => { if (t && t % 10 === 0) plot.mark(...at, shape, style, 3); });
      plot.mark(...shown.at(-1).at, shape, `${style} now`, 6);
    }
    const handle = plot.mark(state.x, state.y, "circle", "handle", 20);  // as large as a finger
    plot.mark(state.x, state.y, "circle", "ring", 9);
    for (const [name, value] of Object.entries({
      "data-focus": "start", tabindex: 0, role: "slider", "aria-label": "Start; the arrow keys move it",
      "aria-valuenow": state.x, "aria-valuetext": `x ${Play.text(state.x)}, y ${Play.text(state.y)}`,
    })) handle.setAttribute(name, value);
    plot.svg.setAttribute("role", "group");
    host.plot = plot;
  }

  function drag(host, ui, state) {
    if (host.onpointerdown) return;
    const bounded = ([x, y]) => ({ x: Number(x.toFixed(2)), y: Number(y.toFixed(2)) });
    host.onpointerdown = event => {
      if (!event.target.closest(".handle")) return;
      host.setPointerCapture(event.pointerId);
      event.preventDefault();
      host.onpointermove = moved => ui.set(bounded(host.plot.at(moved)));
    };
    host.onpointerup = host.onpointercancel = () => { host.onpointermove = null; };
    host.onkeydown = event => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!step || !event.target.closest(".handle")) return;
      event.preventDefault();
      const now = state();
      const within = (value, [low, high]) => Math.min(high, Math.max(low, value));
      ui.set(bounded([within(now.x + step[0] * 0.1, BOUNDS.x), within(now.y + step[1] * 0.1, BOUNDS.y)]));
    };
  }

  function drawArrows(host, state, run) {
    if (!run || state.step === 0) return host.replaceChildren(Play.element("p", { class: "soft" }, "The arrows begin with the first step."));
    const step = run.path[state.step], { m, root } = used(run.rule, step, state.step, state);
    const hat = run.rule.startsWith("adam") && state.correction;
    const arrows = [[step.grad, "g", "c1"], [m, hat ? "m̂" : "m", "c2"], [root, hat ? "√v̂" : "√v", "c3"]].filter(([arrow]) => arrow);
    const size = 1.25 * Math.max(1e-12, ...arrows.flatMap(([arrow]) => arrow.map(Math.abs)));
    if (!Number.isFinite(size))
      return host.replaceChildren(Play.element("p", { class: "soft" }, `${run.label} has diverged: its arrows are longer than any number.`));
    const words = arrows.map(([arrow, name]) => `${name} (${arrow.map(v => Play.text(v)).join(", ")})`).join(", ");
    const plot = new Arrows(host, `Arrows of step ${state.step} of ${run.label}: ${words}.`, { x: [-size, size], y: [-size, size], equal: true, height: 300, xlabel: "along x", ylabel: "along y" });
    for (const [arrow, , style] of arrows) plot.arrow([0, 0], arrow, style);
    for (const [arrow, name, style] of arrows) plot.name(...arrow, name, `${style} big`);
  }

  function drawCosts(host, state, all) {
    const costs = all.flatMap(({ path }) => path.map(({ cost }) => cost)).filter(cost => cost > 0 && Number.isFinite(cost));
    const high = Math.min(1e4, Math.max(1e-2, ...costs)), low = Math.max(1e-12, Math.min(...costs, high / 10));
    const ends = all.map(({ label, path }) => `${label} ${Play.text(path[state.step].cost)}`).join(", ");
    const plot = new Plot(host, `Cost at every step; at step ${state.step}: ${ends}.`, { x: [0, STEPS], y: [low / 2, high * 2], logy: true, height: 240, xlabel: "step", ylabel: "cost" });
    plot.line([[state.step, low / 2], [state.step, high * 2]], "now");
    for (const { path, shape, style } of all) {
      plot.line(path.map(({ cost }, t) => [t, cost]), style);
      path.forEach(({ cost }, t) => { if (t % 50 === 0 && cost > 0) plot.mark(t, cost, shape, style, 3.5); });
    }
  }

  const range = (name, label, min, max, value, more = {}) => ({ kind: "range", name, label, min, max, value, step: 0.01, ...more });
  let current;
  Play.add({
    name: "optimizers",
    controls: [
      { kind: "choice", name: "landscape", label: "Landscape", value: "ravine", then: state => VIEWS[state.landscape].start, options: [
        ["bowl", "bowl, ½(x² + y²)"], ["ravine", "ravine, ½(x² + 50y²)"], ["rosenbrock", "Rosenbrock, (1 − x)² + 100(y − x²)²"], ["beale", "Beale, lowest at (3, ½)"]] },
      range("lr", "lr of gradient descent, momentum, Nesterov", 1e-5, 1, 0.025, { log: true }),
      range("lr_adaptive", "lr of RMSProp, Adam, AdamW", 1e-4, 1, 0.1, { log: true }),
      range("beta1", "β₁ (of momentum and Nesterov μ)", 0, 0.99, 0.9),
      range("beta2", "β₂ of Adam and AdamW", 0, 0.999, 0.999, { step: 0.001 }),
      range("alpha", "α of RMSProp", 0, 0.999, 0.99, { step: 0.001 }),
      ...RACERS.map(([name, label, shape, style], i) => ({ kind: "check", name, label, value: name !== "adamw", key: [shape, style], ...i ? {} : { group: "In the race" } })),
      range("x", "Start, x", -4.5, 4.5, -3.5, { more: true, group: "" }), range("y", "Start, y", -4.5, 4.5, 1, { more: true }),
      range("eps", "ε", 1e-10, 1, 1e-8, { log: true, more: true }),
      range("decay", "weight decay λ", 0, 1, 0, { more: true }),
      { kind: "choice", name: "form", label: "Momentum’s form", value: "sum", more: true, options: [["sum", "PyTorch’s sum, b ← μb + g"], ["average", "textbook’s average, v ← βv + (1 − β)g"]] },
      { kind: "choice", name: "shown", label: "Arrows and numbers of", value: "adam", more: true, options: RACERS.map(([rule, label]) => [rule, label]) },
      { kind: "check", name: "correction", label: "Adam’s bias correction", value: true, more: true },
      range("step", "Step", 0, STEPS, 40, { step: 1, whole: true, play: true }),
    ],
    presets: [
      { label: "Adam as published", why: "β₁ = 0.9, β₂ = 0.999, ε = 1e−8: the defaults of the paper and of PyTorch. Both directions of the ravine get steps of about lr, although one is 50 times as steep.", state: {} },
      { label: "Without bias correction", why: "m and v start at 0, and v is the slower one: √v is far too small at first, so that the first steps are three times too long.", state: { correction: false, step: 12 } },
      { label: "Just too fast", why: "along y the slope grows by 50, so gradient descent diverges from lr = 2/50 = 0.04 on. With momentum the limit is higher, 2(1 + μ)/50, with Nesterov’s it is lower.", state: { lr: 0.041, step: 40, momentum: false, nesterov: false, rmsprop: false, adam: false, adamw: false, shown: "sgd" } },
      { label: "Two meanings of momentum", why: "the textbook’s average is 1 − β times PyTorch’s sum: the same lr takes steps a tenth as long.", state: { form: "average", rmsprop: false, adam: false, adamw: false, shown: "momentum", step: 100 } },
      { label: "Rosenbrock’s valley", why: "the floor of the valley is nearly flat: momentum carries along it, plain gradient descent hardly moves.", state: { landscape: "rosenbrock", ...VIEWS.rosenbrock.start, step: 300 } },
      { label: "Decay, coupled or not", why: "Adam divides λθ by √v̂ with the rest of the gradient; AdamW shrinks θ by itself. They end in two places.", state: { landscape: "beale", ...VIEWS.beale.start, decay: 0.5, adamw: true, sgd: false, momentum: false, nesterov: false, rmsprop: false, step: 300, shown: "adamw" } },
    ],
    figures: {
      map: "The way of each, a mark every ten steps; + is the lowest point. Drag the ring, or move it with the arrow keys.",
      arrows: "What the step is made of: the gradient g, and what the rule remembers of earlier ones.",
      costs: "The cost at every step; the upright line is the step shown.",
    },
    draw(state, ui) {
      current = state;
      const all = runs(state), shown = all.find(({ rule }) => rule === state.shown);
      drawMap(ui.map, state, all);
      drag(ui.map, ui, () => current);
      drawArrows(ui.arrows, state, shown);
      drawCosts(ui.costs, state, all);
      const tables = [Play.table(`After step ${state.step}`, ["", "x", "y", "cost"],
        all.map(({ label, path }) => [label, ...path[state.step].at, path[state.step].cost]))];
      if (shown && state.step > 0) {
        const step = shown.path[state.step], { m, root } = used(shown.rule, step, state.step, state), adam = shown.rule.startsWith("adam"), hat = state.correction ? "\u0302" : "";
        tables.push(Play.table(`Step ${state.step} of ${shown.label}`, ["", "along x", "along y"], [
          ["gradient g", ...step.grad],
          ...m ? [[adam ? "m" : "buffer", ...step.m]] : [], ...root ? [["v", ...step.v]] : [],
          ...adam ? [[`m${hat}, as used`, ...m]] : [], ...root ? [[adam ? `√v${hat}, as used` : "√v", ...root]] : [],
          ["θ after the step", ...step.at],
        ]));
      }
      ui.tables.replaceChildren(...tables);
    },
  });
}
