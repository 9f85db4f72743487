"use strict";
// How weights start, and what a deep network makes of it before it is trained and while it is.

{
  const STEPS = 150, POINTS = 80;
  const trained = Training.remembered(["init", "std", "activation", "depth", "width", "rule", "lr", "seed"], state => {
    const [x, targets] = Network.rings(POINTS, 0.08, 1);
    const widths = [2, ...new Array(state.depth).fill(state.width), 1];
    const network = new Network(widths, new TorchStream(state.seed), { activation: state.activation, init: state.init === "yours" ? state.std : state.init });
    const options = { lr: state.lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0 };
    const history = network.train(x, targets, STEPS, state.rule, options);
    return { x, targets, network, history };
  });

  const deviation = values => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  };

  // One row a layer: how many of its values have which order of magnitude, from 1e-8 to 1e4.
  function magnitudes(host, layers, style, what) {
    host.replaceChildren(...layers.map(() => Play.element("div", { class: "plot" })));
    layers.forEach(({ name, values }, i) => {
      const size = [...values].filter(value => value !== 0).map(value => Math.log10(Math.abs(value)));
      const { counts, edges } = histogram(size, -8, 4, 48), zero = values.length - size.length;
      const last = i === layers.length - 1, share = Math.round(100 * zero / values.length);
      const words = `${what} of ${name}: ${share} % are zero; standard deviation ${Play.text(deviation([...values]))}.`;
      const plot = new Plot(host.children[i], words, { x: [-8, 4], y: [0, Math.max(1, ...counts) * 1.05], height: last ? 104 : 64, xlabel: last ? "power of ten of the size" : "", rows: true, last });
      plot.bars(edges, counts, style);
      plot.svg.append(svg("text", { x: plot.box.left + 2, y: 20, class: "over" }, `${name}${share ? `: ${share} % zero` : ""}`));
    });
  }

  const range = (name, label, min, max, value, more = {}) => ({ kind: "range", name, label, min, max, value, step: 1, whole: true, ...more });
  Play.add({
    name: "start",
    controls: [
      { kind: "choice", name: "init", label: "Weights start", value: "kaiming_normal", options: [
        ["zeros", "zeros"], ["large_random", "large: normal, std 10"], ["kaiming_normal", "He: std gain/√fan_in"],
        ["xavier_normal", "Xavier: std √(2/(fan_in + fan_out))"], ["yours", "yours: normal, std below"]] },
      range("std", "your standard deviation", 0.001, 20, 0.1, { log: true, whole: false }),
      { kind: "choice", name: "activation", label: "Activation", value: "relu", options: [["relu", "ReLU"], ["tanh", "tanh"], ["sigmoid", "sigmoid"]] },
      range("depth", "hidden layers", 1, 6, 4), range("width", "units in each", 2, 24, 12),
      range("lr", "learning rate", 1e-4, 1, 0.1, { log: true, whole: false }),
      { kind: "choice", name: "rule", label: "Optimizer", value: "sgd", more: true, options: [["sgd", "gradient descent"], ["momentum", "momentum 0.9"], ["adam", "Adam"]] },
      range("seed", "seed of torch.manual_seed", 0, 999, 0, { more: true }),
      range("step", "Step of the training", 0, STEPS, 0, { play: true }),
    ],
    presets: [
      { label: "He for ReLU", why: "ReLU zeroes half of the variance and √2 makes up for it: the rows stay where they are, layer after layer.", state: {} },
      { label: "All zeros", why: "every weight’s gradient is exactly 0, and stays it: nothing is learned, at any rate.", state: { init: "zeros", step: 150 } },
      { label: "Far too large", why: "with std 10 each layer multiplies by tens; tanh saturates, so that for most units the slope 1 − y² is nothing.", state: { init: "large_random", activation: "tanh" } },
      { label: "A little too small", why: "std 0.1 shrinks signal and gradient in each layer: the first ones hardly move.", state: { init: "yours", std: 0.1, step: 150 } },
      { label: "Xavier for tanh", why: "around 0 tanh passes the variance on, hence no gain; both directions stay in range.", state: { init: "xavier_normal", activation: "tanh", depth: 5, step: 150 } },
      { label: "Xavier for ReLU", why: "without the gain √2 half of the variance is lost in each of six layers.", state: { init: "xavier_normal", depth: 6 } },
    ],
    figures: {
      activations: "Activations of each hidden layer, by order of magnitude. Healthy rows stand below each other.",
      gradients: "Gradients of each layer’s weights. Rows that drift left vanish; rows that drift right explode.",
      boundary: "What the network says at this step: it takes what is striped for the inner ring, the triangles.",
      costs: "The cost at every step; the upright line is the step shown.",
    },
    draw(state, ui) {
      const { x, targets, network, history } = trained(state), now = history[state.step];
      network.parameters.set(now.parameters);
      const logits = network.forward(x, POINTS);
      network.backward(targets);
      const right = Training.accuracy(logits, targets), named = i => `layer ${i + 1}`;
      const hidden = network.cache.slice(0, -1).map(({ activations }, i) => ({ name: named(i), values: activations }));
      const weights = network.layers.map(({ dweight }, i) => ({ name: named(i), values: dweight.slice() }));
      magnitudes(ui.activations, hidden, "c1", "Activations");
      magnitudes(ui.gradients, weights, "c2", "Weight gradients");
      Training.boundary(ui.boundary, network, [{ x, targets, style: "" }], `Regions of the network at step ${state.step}: ${Math.round(100 * right)} % of the examples are on the right side.`);
      const costs = history.map(({ cost }) => cost);
      Training.curves(ui.costs, state.step, [[costs, "c1", "cost", "circle"]], "cost", `Cost from ${Play.text(costs[0])} to ${Play.text(costs.at(-1))} in ${STEPS} steps.`);
      ui.tables.replaceChildren(
        Play.table(`Layers at step ${state.step}`, ["", "std of activations", "std of weight gradients"], weights.map(({ name, values }, i) =>
          [i < hidden.length ? name : "output", deviation([...(hidden[i]?.values ?? logits)]), deviation([...values])])),
        Play.table(`Training at step ${state.step}`, ["", ""], [["cost", now.cost], ["right, of all", right], ["first weight", now.parameters[0]], ["last bias", now.parameters.at(-1)]]));
    },
  });
}
