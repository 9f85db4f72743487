"use strict";
// scratch.network: linear layers, activations, dropout and the L2 penalty, with the backward pass by hand.
// Arrays are flat, an example a row. All parameters are one array, all gradients another.

class Network {
  // `init` is zeros, large_random, kaiming_normal, xavier_normal or a standard deviation. The stream is drawn from
  // in the order of scratch: each layer as it is made, then all weights anew.
  constructor(widths, stream, { activation = "relu", init = "kaiming_normal", dropout = 0, l2 = 0 } = {}) {
    Object.assign(this, { widths, stream, activation, dropout, l2 });
    const sizes = widths.slice(1).map((fanOut, i) => [fanOut, widths[i]]);
    const count = sizes.reduce((sum, [fanOut, fanIn]) => sum + fanOut * fanIn + fanOut, 0);
    this.parameters = new Float64Array(count);
    this.gradients = new Float64Array(count);
    let start = 0;
    const view = (array, n) => array.subarray(start, start + n);
    this.layers = sizes.map(([fanOut, fanIn]) => {
      const bound = 1 / Math.sqrt(fanIn), n = fanOut * fanIn;
      stream.uniform(n + fanOut, -bound, bound);
      const [weight, dweight] = [view(this.parameters, n), view(this.gradients, n)];
      start += n;
      const [bias, dbias] = [view(this.parameters, fanOut), view(this.gradients, fanOut)];
      start += fanOut;
      return { weight, dweight, bias, dbias, fanIn, fanOut };
    });
    for (const { weight, fanIn, fanOut } of this.layers) {
      const gain = { relu: Math.sqrt(2), tanh: 5 / 3, sigmoid: 1 }[activation];
      const stds = { zeros: 0, large_random: 10, kaiming_normal: gain / Math.sqrt(fanIn), xavier_normal: Math.sqrt(2 / (fanIn + fanOut)) };
      if (init !== "zeros") weight.set(stream.normal(weight.length, stds[init] ?? Number(init)));
    }
  }

  // Logits of m examples; remembers the input of each layer and, in training, what dropout multiplied by.
  forward(x, m, training = true) {
    this.cache = [];
    this.layers.forEach(({ weight, bias, fanIn, fanOut }, depth) => {
      const y = new Float64Array(m * fanOut);
      for (let n = 0; n < m; n++) for (let i = 0; i < fanOut; i++) {
        let sum = 0;
        for (let j = 0; j < fanIn; j++) sum += x[n * fanIn + j] * weight[i * fanIn + j];
        y[n * fanOut + i] = sum + bias[i];
      }
      const last = depth === this.layers.length - 1, cache = { x, m };
      if (!last) {
        const act = Network.activations[this.activation].forward;
        for (let k = 0; k < y.length; k++) y[k] = act(y[k]);
        cache.activations = y.slice();
        if (training && this.dropout > 0) {
          cache.mask = this.stream.dropoutMask(y.length, this.dropout);
          cache.noise = this.dropout === 1 ? cache.mask : cache.mask.map(value => value / (1 - this.dropout));
          for (let k = 0; k < y.length; k++) y[k] *= cache.noise[k];
        }
      }
      this.cache.push(cache);
      x = y;
    });
    this.logits = x;
    return x;
  }

  // Mean of (1 − y)·x − log σ(x), the binary cross-entropy, + (λ/2m)·Σ‖W‖².
  cost(targets, penalty = true) {
    const { logits } = this, m = logits.length;
    let sum = 0, squares = 0;
    for (let k = 0; k < m; k++) {
      const logSigmoid = Math.min(logits[k], 0) - Math.log1p(Math.exp(-Math.abs(logits[k])));
      sum += (1 - targets[k]) * logits[k] - logSigmoid;
    }
    if (penalty && this.l2) for (const { weight } of this.layers) for (const w of weight) squares += w * w;
    return sum / m + squares * this.l2 / (2 * m);
  }

  // Fills `gradients`. dx of each layer's input is kept in its cache as `dx`, dy as `dy`.
  backward(targets) {
    const m = this.logits.length;
    let dy = this.logits.map((x, k) => (Network.sigmoid(x) - targets[k]) / m);
    for (let depth = this.layers.length - 1; depth >= 0; depth--) {
      const { weight, dweight, dbias, fanIn, fanOut } = this.layers[depth], cache = this.cache[depth], { x } = cache;
      if (cache.activations) {
        const slope = Network.activations[this.activation].slope;
        dy = dy.map((value, k) => (cache.noise ? value * cache.noise[k] : value) * slope(cache.activations[k]));
      }
      const dx = new Float64Array(m * fanIn);
      dweight.fill(0);
      dbias.fill(0);
      for (let n = 0; n < m; n++) for (let i = 0; i < fanOut; i++) {
        const d = dy[n * fanOut + i];
        dbias[i] += d;
        for (let j = 0; j < fanIn; j++) {
          dweight[i * fanIn + j] += d * x[n * fanIn + j];
          dx[n * fanIn + j] += d * weight[i * fanIn + j];
        }
      }
      if (this.l2) for (let k = 0; k < weight.length; k++) dweight[k] += weight[k] * (this.l2 / m);
      Object.assign(cache, { dy });
      dy = dx;
    }
  }

  // Every step of training on all examples at once: the parameters before it, and what `look` says of the network.
  train(x, targets, steps, rule, options, look = () => ({})) {
    const state = Maths.newState(this.parameters.length), m = targets.length, history = [];
    for (let t = 1; t <= steps + 1; t++) {
      const parameters = this.parameters.slice(), seen = look(this);
      this.forward(x, m);
      const cost = this.cost(targets), masks = this.cache.map(({ mask }) => mask);
      history.push({ parameters, cost, masks, ...seen });
      if (t > steps) break;
      this.backward(targets);
      Maths.rules[rule](this.parameters, this.gradients, state, t, options);
    }
    return history;
  }

  static sigmoid(x) {
    const e = Math.exp(-Math.abs(x));
    return (x < 0 ? e : 1) / (1 + e);
  }

  // Each with its slope, from the activation itself.
  static activations = {
    relu: { forward: x => x > 0 ? x : x <= 0 ? 0 : x, slope: y => y > 0 ? 1 : 0 },
    tanh: { forward: Math.tanh, slope: y => 1 - y * y },
    sigmoid: { forward: x => Network.sigmoid(x), slope: y => (1 - y) * y },
  };

  // n points on two rings, with normal noise: [x, targets], the inner ring being class 1.
  static rings(n, noise, seed) {
    const z = new TorchStream(seed).normal(2 * n, noise), x = new Float64Array(2 * n), targets = new Float64Array(n);
    for (let k = 0; k < n; k++) {
      const inner = k % 2, radius = inner ? 0.45 : 1, angle = 2 * Math.PI * k / n;
      x[2 * k] = radius * Math.cos(angle) + z[2 * k];
      x[2 * k + 1] = radius * Math.sin(angle) + z[2 * k + 1];
      targets[k] = inner;
    }
    return [x, targets];
  }
}
