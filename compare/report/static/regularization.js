"use strict";
// Too large a network on too few noisy examples: the L2 penalty, dropout and early stopping against it.

{
  const STEPS = 200, TRAIN = 40, TEST = 100;
  const run = Training.remembered(["l2", "dropout", "width", "noise", "lr", "seed"], state => {
    const [x, targets] = Network.rings(TRAIN, state.noise, 1), [xTest, targetsTest] = Network.rings(TEST, state.noise, 2);
    const stream = new TorchStream(state.seed);
    const network = new Network([2, state.width, state.width, 1], stream, { l2: state.l2, dropout: state.dropout });
    const history = network.train(x, targets, STEPS, "adam", { lr: state.lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0 }, now => {
      now.forward(x, TRAIN, false);
      const train = now.cost(targets, false);
      const logits = now.forward(xTest, TEST, false);
      return { train, test: now.cost(targetsTest, false), right: Training.accuracy(logits, targetsTest) };
    });
    return { x, targets, xTest, targetsTest, network, history };
  });

  // scratch.early_stopping: the step with the best validation cost up to the one at which the patience is over.
  function stopping(costs, patience) {
    let best = Infinity, bestStep = -1, wait = 0;
    for (let t = 0; t < costs.length; t++) {
      if (costs[t] < best) [best, bestStep, wait] = [costs[t], t, 0];
      else wait++;
      if (wait >= patience || Number.isNaN(costs[t])) return { bestStep, stopped: t };
    }
    return { bestStep, stopped: null };
  }

  function drawWeights(host, network) {
    const weights = network.layers.flatMap(({ weight }) => [...weight]);
    const { counts, edges } = histogram(weights, -3, 3, 45), share = weights.filter(w => Math.abs(w) < 0.1).length / weights.length;
    const plot = new Plot(host, `Histogram of all ${weights.length} weights; ${Math.round(100 * share)} % are between −0.1 and 0.1.`, {
      x: [-3, 3], y: [0, Math.max(...counts) * 1.05], height: 220, xlabel: "weight", ylabel: "how many" });
    plot.bars(edges, counts, "c3");
  }

  // A row for an example, a column for a unit: open where dropout zeroes it in this step.
  function drawMask(host, mask, width, p) {
    if (!mask) return host.replaceChildren(Play.element("p", { class: "soft" }, "No mask: with p = 0 nothing is drawn from the stream."));
    const rows = 16, kept = mask.reduce((sum, value) => sum + value, 0);
    const plot = new Plot(host, `Dropout mask: ${kept} of ${mask.length} activations are kept, at p = ${Play.text(p)}.`, {
      x: [0, width], y: [rows, 0], height: 250, xlabel: "unit of the first hidden layer", ylabel: "example" });
    const r = Math.min(6, (plot.box.right - plot.box.left) / width / 2.6);
    for (let n = 0; n < rows; n++) for (let i = 0; i < width; i++) plot.mark(i + 0.5, n + 0.5, "square", mask[n * width + i] ? "c1" : "hollow", r);
  }

  const range = (name, label, min, max, value, more = {}) => ({ kind: "range", name, label, min, max, value, step: 0.05, ...more });
  Play.add({
    name: "regularization",
    controls: [
      range("l2", "λ of the L2 penalty", 0, 3, 0), range("dropout", "p of dropout", 0, 0.8, 0),
      range("patience", "patience of early stopping, 0 for none", 0, 100, 0, { step: 1, whole: true }),
      range("noise", "noise of the data", 0, 0.5, 0.25, { more: true, step: 0.01 }), range("width", "units in each of two hidden layers", 2, 32, 24, { more: true, step: 1, whole: true }),
      range("lr", "lr of Adam", 1e-3, 0.1, 0.02, { more: true, log: true }), range("seed", "seed of torch.manual_seed", 0, 999, 0, { more: true, step: 1, whole: true }),
      range("step", "Step of the training", 0, STEPS, STEPS, { step: 1, whole: true, play: true }),
    ],
    presets: [
      { label: "Nothing", why: "the network winds around every noisy example: the training cost goes to 0, the validation cost turns and rises.", state: {} },
      { label: "L2 penalty", why: "large weights cost; the boundary becomes smooth, and the weights gather around 0.", state: { l2: 0.5 } },
      { label: "Too much of it", why: "with λ = 3 the penalty outweighs the data.", state: { l2: 3 } },
      { label: "Dropout", why: "no unit can rely on another one: the curve of the training cost trembles with the masks, the validation cost rises later and less.", state: { dropout: 0.5 } },
      { label: "Early stopping", why: "nothing is changed but the end: the weights are those of the best validation cost.", state: { patience: 20 } },
      { label: "All three", why: "they do not exclude each other; each needs less then.", state: { l2: 0.15, dropout: 0.2, patience: 40 } },
    ],
    figures: {
      boundary: "Large marks are the examples that it was trained on, small ones the 100 that it has not seen. It takes what is striped for triangles.",
      costs: "Cost without the penalty, in evaluation mode, on the training and the validation examples.",
      weights: "All weights at this step.",
      mask: "The mask of this step, of the first 16 examples: hollow is dropped. These are PyTorch’s own bits for the seed.",
    },
    draw(state, ui) {
      const { x, targets, xTest, targetsTest, network, history } = run(state), tests = history.map(({ test }) => test);
      const { bestStep, stopped } = stopping(tests, state.patience || Infinity);
      const step = state.patience && stopped !== null && state.step >= stopped ? bestStep : state.step, now = history[step];
      network.parameters.set(now.parameters);
      Training.boundary(ui.boundary, network, [{ x: xTest, targets: targetsTest, style: "small" }, { x, targets, style: "" }],
        `Regions of the network: train cost ${Play.text(now.train)}, validation cost ${Play.text(now.test)}.`);
      Training.curves(ui.costs, step, [[history.map(({ train }) => train), "c1", "train", "circle"], [tests, "c2", "validation", "triangle"]], "cost",
        `Train cost ends at ${Play.text(history.at(-1).train)}, validation cost at ${Play.text(tests.at(-1))}; the best validation cost, ${Play.text(tests[bestStep])}, is that of step ${bestStep}.`);
      drawWeights(ui.weights, network);
      drawMask(ui.mask, history[step].masks[0], state.width, state.dropout);
      const squares = network.layers.reduce((sum, { weight }) => sum + weight.reduce((s, w) => s + w * w, 0), 0);
      ui.tables.replaceChildren(
        Play.table(`Step ${step}`, ["", ""], [["train cost", now.train], ["validation cost", now.test], ["right, of the validation examples", now.right],
          ["cost of the training step, with penalty", now.cost], ["Σ‖W‖²", squares]]),
        Play.table("The whole run", ["", ""], [["best validation cost", tests[bestStep]], ["in step", bestStep],
          ["early stopping ends at", stopped ?? "–"], ["kept of the mask", history[step].masks[0]?.reduce((s, v) => s + v, 0) ?? "–"]]));
    },
  });
}
