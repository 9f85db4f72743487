"use strict";
// Batch normalisation of one feature: a batch to push and stretch, and the running statistics over many of them.

{
  const STEPS = 60;
  const mean = x => x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x => {
    const middle = mean(x);
    return x.reduce((sum, value) => sum + (value - middle) * (value - middle), 0) / x.length;
  };

  // scratch.batch_norm: normalised by the batch in training, by the running statistics in evaluation.
  function normalise(x, center, spread, { gamma, beta, eps }) {
    const std = Math.sqrt(spread + eps), hat = x.map(value => (value - center) / std);
    return { hat, y: hat.map(value => gamma * value + beta) };
  }

  // The batches of all steps, from one stream, and what is kept of them.
  function batches({ m, push, stretch, momentum, seed }) {
    const stream = new TorchStream(seed), found = [];
    let running = { mean: 0, variance: 1 };
    for (let t = 1; t <= STEPS; t++) {
      const x = [...stream.normal(m)].map(value => push + stretch * value), batch = { mean: mean(x), variance: variance(x) };
      running = {
        mean: (1 - momentum) * running.mean + momentum * batch.mean,
        variance: (1 - momentum) * running.variance + momentum * (batch.variance * m / (m - 1)),
      };
      found.push({ x, batch, running });
    }
    return found;
  }

  // Three lines of points below each other: x, x̂ and y of the same example are joined.
  function drawLines(host, { x, hat, y }, words) {
    const size = Math.max(3, ...[...x, ...hat, ...y].map(Math.abs)) * 1.08;
    const plot = new Plot(host, words, { x: [-size, size], y: [0, 3], height: Math.min(440, Math.max(300, host.clientWidth * 0.62)), rows: true, xlabel: "value" });
    const rows = [[x, 2.5, "circle", "c1", "x, as it comes"], [hat, 1.5, "square", "c2", "x̂, normalised"], [y, 0.5, "triangle", "c3", "y = γ·x̂ + β"]];
    plot.line([[0, 0], [0, 3]], "now");
    x.forEach((_, i) => plot.line(rows.map(([values, at]) => [values[i], at]), "contour"));
    for (const [values, at, shape, style, name] of rows) {
      values.forEach(value => plot.mark(value, at, shape, style, 4.5));
      plot.word(-size, at + 0.3, ` ${name}`, style);
    }
  }

  function drawRunning(host, step, all, value, truth, name) {
    const lines = [all.map(({ batch }) => value(batch)), all.map(({ running }) => value(running))];
    const values = [...lines.flat(), truth], [low, high] = [Math.min(...values), Math.max(...values)], room = (high - low) * 0.08 + 1e-9;
    const plot = new Plot(host, `${name} of the batches and its running average, which is ${Play.text(lines[1][step - 1])} after step ${step}; of the data it is ${Play.text(truth)}.`, {
      x: [1, STEPS], y: [low - room, high + room], height: 240, xlabel: "step", ylabel: name });
    plot.legend([["circle", "c1", "of the batch"], ["square", "c2", "running"], ["plus", "c6", "of the data"]]);
    plot.line([[step, low - room], [step, high + room]], "now");
    plot.line([[1, truth], [STEPS, truth]], "c6");
    lines[0].forEach((v, t) => plot.mark(t + 1, v, "circle", "c1", 3));
    plot.line(lines[1].map((v, t) => [t + 1, v]), "c2");
    lines[1].forEach((v, t) => { if (t % 8 === 0) plot.mark(t + 1, v, "square", "c2", 3.5); });
  }

  const range = (name, label, min, max, value, more = {}) => ({ kind: "range", name, label, min, max, value, step: 0.05, ...more });
  Play.add({
    name: "batch_norm",
    controls: [
      range("push", "push: mean of the data", -6, 6, 2), range("stretch", "stretch: its standard deviation", 0, 4, 1.5),
      range("m", "examples in a batch, m", 2, 32, 8, { step: 1, whole: true }),
      range("gamma", "γ", -3, 3, 1), range("beta", "β", -3, 3, 0),
      { kind: "choice", name: "mode", label: "Mode", value: "train", options: [["train", "training: statistics of the batch"], ["eval", "evaluation: running statistics"]] },
      range("momentum", "momentum, the weight of the new value", 0, 1, 0.1, { more: true, step: 0.01 }), range("eps", "ε", 1e-8, 1, 1e-5, { more: true, log: true }),
      range("seed", "seed of torch.manual_seed", 0, 999, 0, { more: true, step: 1, whole: true }),
      range("step", "Batches seen so far", 1, STEPS, 1, { step: 1, whole: true, play: true }),
    ],
    presets: [
      { label: "Training", why: "wherever the batch lies and however wide it is, x̂ has mean 0 and variance 1. Push and stretch it: x̂ stays.", state: {} },
      { label: "Evaluated too early", why: "after two batches the running statistics are still mostly their start, 0 and 1: x̂ is not normalised at all.", state: { mode: "eval", step: 2 } },
      { label: "Evaluated late", why: "after fifty batches they are near the data’s own, and one example no longer depends on the others.", state: { mode: "eval", step: 50 } },
      { label: "A batch of two", why: "x̂ is −1 and 1, but for ε, whatever the examples are: all that is left of them is which one is larger.", state: { m: 2 } },
      { label: "Momentum 0.9", why: "the paper’s and Keras’ 0.9 is PyTorch’s 0.1. Taken over as it stands, the running statistics are those of the last batch.", state: { momentum: 0.9, step: 30, mode: "eval" } },
      { label: "Nothing varies", why: "with variance 0 only ε keeps the division from being 0/0.", state: { stretch: 0 } },
    ],
    figures: {
      map: "The batch, the batch normalised, and scaled and shifted; a line joins the same example.",
      mean: "Means: dots are those of the batches, the line is what is kept for evaluation.",
      variance: "Variances: the batch is normalised with the biased one; what is kept is the unbiased one, m/(m − 1) times as large.",
    },
    draw(state, ui) {
      const all = batches(state), { x, batch, running } = all[state.step - 1], training = state.mode === "train";
      const used = training ? batch : running, { hat, y } = normalise(x, used.mean, used.variance, state);
      drawLines(ui.map, { x, hat, y }, `A batch of ${state.m}: x has mean ${Play.text(batch.mean)} and variance ${Play.text(batch.variance)}, x̂ has ${Play.text(mean(hat))} and ${Play.text(variance(hat))}.`);
      drawRunning(ui.mean, state.step, all, ({ mean }) => mean, state.push, "mean");
      drawRunning(ui.variance, state.step, all, ({ variance }) => variance, state.stretch ** 2, "variance");
      ui.tables.replaceChildren(
        Play.table(`Statistics in step ${state.step}`, ["", "mean", "variance"], [
          ["of the batch (biased)", batch.mean, batch.variance], ["of the batch, unbiased", batch.mean, batch.variance * state.m / (state.m - 1)],
          ["running", running.mean, running.variance], ["used here", used.mean, used.variance], ["of x̂", mean(hat), variance(hat)], ["of y", mean(y), variance(y)]]),
        Play.table("The first examples", ["", "x", "x̂", "y"], x.slice(0, 8).map((value, i) => [`example ${i + 1}`, value, hat[i], y[i]])));
    },
  });
}
