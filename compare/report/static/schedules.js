"use strict";
// The learning rate of every epoch, as scratch.schedules has it, and of every step within; and what a small
// network makes of it.

{
  // (initial rate, epoch, parameters) → rate
  const RULES = {
    inverse_time: (lr, epoch, { decay_rate }) => lr * (1 / (1 + decay_rate * epoch)),
    fixed_interval: (lr, epoch, { decay_rate, interval }) => lr * (1 / (1 + decay_rate * Math.floor(epoch / interval))),
    exponential: (lr, epoch, { gamma }) => lr * gamma ** epoch,
    inverse_sqrt: (lr, epoch, { k }) => lr * (k / Math.sqrt(epoch + 1)),
    staircase: (lr, epoch, { interval, gamma_step }) => lr * gamma_step ** Math.floor(epoch / interval),
    milestones: (lr, epoch, { first, second, gamma_step }) => lr * gamma_step ** [first, Math.max(first + 1, second)].filter(milestone => milestone <= epoch).length,
    cosine_with_warmup(lr, epoch, { warmup, total, lr_min }) {
      const w = Math.min(warmup, total - 1);
      if (epoch < w) return lr * ((epoch + 1) / w);
      return lr_min + (lr - lr_min) * (1 + Math.cos(Math.PI * (epoch - w) / (total - w))) / 2;
    },
    cosine_with_restarts(lr, epoch, { T_0, T_mult, lr_min }) {
      let length = T_0;
      while (T_mult > 1 && epoch >= length) [epoch, length] = [epoch - length, length * T_mult];
      return lr_min + (lr - lr_min) * (1 + Math.cos(Math.PI * (epoch % length) / length)) / 2;
    },
    one_cycle(lr, epoch, { total, pct_start, div_factor, final_div_factor }) {
      const first = lr / div_factor, points = [[0, first], [pct_start * total - 1, lr], [total - 1, first / final_div_factor]];
      const phases = [[points[0], points[1]], [points[1], points[2]]];
      const [[begin, a], [end, b]] = epoch <= points[1][0] ? phases[0] : phases[1];
      const progress = end === begin ? 1 : (epoch - begin) / (end - begin);
      return b + (a - b) / 2 * (1 + Math.cos(Math.PI * progress));
    },
  };
  const NAMES = { inverse_time: "inverse time", fixed_interval: "fixed interval", exponential: "exponential", inverse_sqrt: "inverse square root",
    staircase: "staircase", milestones: "milestones", cosine_with_warmup: "cosine with warm-up", cosine_with_restarts: "cosine with restarts", one_cycle: "one cycle" };
  const USES = { inverse_time: ["decay_rate"], fixed_interval: ["decay_rate", "interval"], exponential: ["gamma"], inverse_sqrt: ["k"],
    staircase: ["interval", "gamma_step"], milestones: ["first", "second", "gamma_step"], cosine_with_warmup: ["warmup", "lr_min"],
    cosine_with_restarts: ["T_0", "T_mult", "lr_min"], one_cycle: ["pct_start", "div_factor", "final_div_factor"] };
  const LOOKS = [["circle", "c1"], ["square", "c2"], ["triangle", "c3"], ["diamond", "c4"], ["cross", "c5"], ["plus", "c6"],
    ["circle", "c1 long"], ["square", "c2 long"], ["diamond", "c4 long"]];

  const range = (name, label, min, max, value, more = {}) => ({ kind: "range", name, label, min, max, value, step: 1, whole: true, ...more });
  const real = (name, label, min, max, value, step, more = {}) => range(name, label, min, max, value, { whole: false, step, ...more });

  // The rates of all steps: the rate of an epoch holds for each of its steps; or each step has a rate of its own.
  function rates(rule, state) {
    const { total, steps } = state, length = state.per === "epoch" ? total : total * steps;
    const options = state.per === "epoch" ? state : { ...state, total: length };
    return Array.from({ length: total * steps }, (_, t) => RULES[rule](state.lr, state.per === "epoch" ? Math.floor(t / steps) : t, options));
  }

  // Examples in an order in which both rings take turns: 37 and their number have no factor in common.
  const POINTS = 80, [ringX, ringTargets] = Network.rings(POINTS, 0.2, 1), order = Array.from({ length: POINTS }, (_, k) => 37 * k % POINTS);
  const x = Float64Array.from(order.flatMap(k => [ringX[2 * k], ringX[2 * k + 1]])), targets = Float64Array.from(order, k => ringTargets[k]);

  // The cost over all examples before the first epoch and after each, of momentum 0.9 on mini-batches.
  function costs(rates, steps) {
    const network = new Network([2, 12, 1], new TorchStream(0)), found = [];
    const state = Maths.newState(network.parameters.length);
    const cost = () => { network.forward(x, POINTS, false); return network.cost(targets); };
    rates.forEach((lr, t) => {
      if (t % steps === 0) found.push(cost());
      const [from, to] = [t % steps, t % steps + 1].map(batch => Math.floor(batch * POINTS / steps));
      network.forward(x.subarray(2 * from, 2 * to), to - from);
      network.backward(targets.subarray(from, to));
      Maths.rules.momentum(network.parameters, network.gradients, state, t + 1, { lr, beta1: 0.9, decay: 0 });
    });
    return [...found, cost()];
  }

  const controls = [
    real("lr", "initial rate lr (of one cycle the largest)", 1e-4, 1, 0.1, 0, { log: true }), range("total", "epochs in all, T", 10, 100, 60), range("steps", "steps in an epoch", 1, 20, 4),
    { kind: "choice", name: "per", label: "scheduler.step() is called", value: "epoch", options: [["epoch", "after every epoch"], ["step", "after every step"]] },
    ...Object.keys(RULES).map((name, i) => ({ kind: "check", name, label: NAMES[name], key: LOOKS[i], value: ["exponential", "staircase", "cosine_with_warmup", "cosine_with_restarts", "one_cycle"].includes(name), ...i ? {} : { group: "Schedules" } })),
    real("decay_rate", "decay rate k of inverse time", 0, 2, 0.1, 0.01, { more: true, group: "" }), range("interval", "interval (step_size)", 1, 40, 15, { more: true }),
    real("gamma", "γ of exponential", 0.8, 1, 0.95, 0.005, { more: true }), real("gamma_step", "γ of staircase and milestones", 0.05, 1, 0.5, 0.05, { more: true }),
    real("k", "k of inverse square root", 0.1, 2, 1, 0.1, { more: true }), range("first", "first milestone", 0, 100, 20, { more: true }), range("second", "second milestone", 1, 100, 45, { more: true }),
    range("warmup", "warm-up epochs w", 0, 50, 5, { more: true }), real("lr_min", "smallest rate of the cosines", 0, 0.1, 0, 0.001, { more: true }),
    range("T_0", "first cycle T₀", 1, 60, 10, { more: true }), range("T_mult", "each next one times", 1, 4, 2, { more: true }),
    real("pct_start", "share of the way up", 0.05, 0.9, 0.3, 0.05, { more: true }), real("div_factor", "one cycle begins at lr divided by", 1, 100, 25, 1, { more: true }), real("final_div_factor", "and ends divided by another", 1, 1e4, 1e4, 1, { more: true, log: true }),
    range("epoch", "Epoch", 0, 100, 12, { play: true }),
  ];

  // Every rule's rates and costs.
  const computed = Training.remembered(controls.map(control => control.name).filter(name => name !== "epoch"), state => {
    const shown = Object.keys(RULES).map((rule, i) => ({ rule, look: LOOKS[i] })).filter(({ rule }) => state[rule]);
    return shown.map(line => ({ ...line, rates: rates(line.rule, state) })).map(line => ({ ...line, costs: costs(line.rates, state.steps) }));
  });

  Play.add({
    name: "schedules",
    controls,
    presets: [
      { label: "The usual ones", why: "a few epochs of warm-up, then a cosine down to nothing: what large networks are mostly trained with.", state: {} },
      { label: "Stepped after every step", why: "the classic mistake: scheduler.step() in the inner loop, with parameters meant for epochs. What should last for all epochs is over in the first few. (The cosine with warm-up and one cycle are right: they are told their total in steps.)", state: { per: "step" } },
      { label: "Four ways to halve", why: "inverse time, exponential, staircase and milestones, all at half of lr after about fifteen epochs: they part only later.", state: { inverse_time: true, milestones: true, decay_rate: 0.07, gamma: 0.955, first: 15, second: 30, cosine_with_warmup: false, cosine_with_restarts: false, one_cycle: false, epoch: 15 } },
      { label: "Warm restarts", why: "each cycle begins at lr anew and is twice as long as the one before.", state: { exponential: false, staircase: false, cosine_with_warmup: false, one_cycle: false, T_0: 8, total: 56, epoch: 24 } },
      { label: "One cycle", why: "up for three tenths of the time, then down far below the beginning; its total is fixed beforehand.", state: { exponential: false, staircase: false, cosine_with_warmup: false, cosine_with_restarts: false } },
    ],
    figures: {
      epochs: "The rate over epochs. The upright line is the epoch shown.",
      steps: "The same in steps of the optimizer, on a logarithmic axis: a rate that is set once an epoch is a staircase.",
      costs: "The cost of one and the same network under each: 2-12-1, momentum 0.9, on two rings, with as many batches as an epoch has steps.",
    },
    draw(state, ui) {
      const { total, steps } = state, epoch = Math.min(state.epoch, total - 1), shown = computed(state);
      const high = Math.max(state.lr, ...shown.flatMap(line => line.rates)) * 1.05, low = Math.max(1e-6, Math.min(state.lr / 10, ...shown.flatMap(line => line.rates).filter(rate => rate > 0)));
      const words = shown.map(({ rule, rates }) => `${NAMES[rule]} ${Play.text(rates[epoch * steps])}`).join(", ");
      const linear = new Plot(ui.epochs, `Learning rates over ${total} epochs; in epoch ${epoch}: ${words}.`, { x: [0, total], y: [0, high], height: 320, xlabel: "epoch", ylabel: "learning rate" });
      const log = new Plot(ui.steps, `The same over ${total * steps} steps, logarithmic.`, { x: [0, total * steps], y: [low / 1.3, high * 1.2], logy: true, height: 320, xlabel: "step", ylabel: "learning rate" });
      linear.line([[epoch, 0], [epoch, high]], "now");
      log.line([[epoch * steps, low / 1.3], [epoch * steps, high * 1.2]], "now");
      for (const { look: [shape, style], rates } of shown) {
        linear.line(rates.map((rate, t) => [t / steps, rate]), style);
        log.line(rates.flatMap((rate, t) => [[t, rate], [t + 1, rate]]), style);
        rates.forEach((rate, t) => { if (t % Math.ceil(total * steps / 8) === 0) [[linear, t / steps], [log, t]].forEach(([plot, at]) => plot.mark(at, rate, shape, style, 3.5)); });
      }
      const ends = shown.map(({ rule, costs }) => `${NAMES[rule]} ${Play.text(costs.at(-1))}`).join(", ");
      Training.curves(ui.costs, epoch, shown.map(({ rule, look: [shape, style], costs }) => [costs, style, NAMES[rule], shape]), "cost", `Costs over ${total} epochs; at the end: ${ends}.`, "epoch");
      ui.tables.replaceChildren(Play.table(`Rates from epoch ${epoch} on`, ["", "this epoch", "the next", "the last"], shown.map(({ rule, rates }) =>
        [NAMES[rule], rates[epoch * steps], rates[Math.min(epoch + 1, total - 1) * steps], rates.at(-1)])),
        Play.table(`Cost before epoch ${epoch}, and at the end`, ["", "here", "the end"], shown.map(({ rule, costs }) => [NAMES[rule], costs[epoch], costs.at(-1)])),
        Play.table("What each depends on, besides lr", ["", "parameters"], shown.map(({ rule }) => [NAMES[rule], USES[rule].join(", ")])));
    },
  });
}
