"use strict";
// The formulas of scratch/ in float64, in the order of their operations there.

const Maths = (() => {
  // scratch.optimizers: one step of each rule on `param` and its state, both changed in place. t counts from 1.
  // `average` is the textbook's momentum, `momentum` PyTorch's.
  const rules = {
    sgd(param, grad, state, t, { lr, decay }) {
      each(param, i => { param[i] -= lr * decayed(param, grad, decay, i); });
    },
    average(param, grad, state, t, { lr, beta1, decay }) {
      each(param, i => {
        state.m[i] = state.m[i] * beta1 + (1 - beta1) * decayed(param, grad, decay, i);
        param[i] -= lr * state.m[i];
      });
    },
    momentum(param, grad, state, t, { lr, beta1, decay }) {
      each(param, i => {
        const g = decayed(param, grad, decay, i);
        state.m[i] = t === 1 ? g : state.m[i] * beta1 + g;
        param[i] -= lr * state.m[i];
      });
    },
    nesterov(param, grad, state, t, { lr, beta1, decay }) {
      each(param, i => {
        const g = decayed(param, grad, decay, i);
        state.m[i] = t === 1 ? g : state.m[i] * beta1 + g;
        param[i] -= lr * (g + beta1 * state.m[i]);
      });
    },
    rmsprop(param, grad, state, t, { lr, beta2, eps, decay }) {
      each(param, i => {
        const g = decayed(param, grad, decay, i);
        state.v[i] = state.v[i] * beta2 + (1 - beta2) * g * g;
        param[i] -= lr * g / (Math.sqrt(state.v[i]) + eps);
      });
    },
    adam(param, grad, state, t, { lr, beta1, beta2, eps, decay, correction = true }) {
      const correction1 = correction ? 1 - beta1 ** t : 1, correction2 = correction ? 1 - beta2 ** t : 1;
      each(param, i => {
        const g = decayed(param, grad, decay, i);
        state.m[i] = lerp(state.m[i], g, beta1);
        state.v[i] = state.v[i] * beta2 + (1 - beta2) * g * g;
        const denominator = Math.sqrt(state.v[i]) / correction2 ** 0.5 + eps;
        param[i] -= lr / correction1 * state.m[i] / denominator;
      });
    },
    adamw(param, grad, state, t, options) {
      each(param, i => { param[i] *= 1 - options.lr * options.decay; });
      rules.adam(param, grad, state, t, { ...options, decay: 0 });
    },
  };

  function each(array, change) {
    for (let i = 0; i < array.length; i++) change(i);
  }

  const decayed = (param, grad, decay, i) => decay !== 0 ? grad[i] + decay * param[i] : grad[i];
  const lerp = (average, value, beta) => beta > 0.5 ? average + (1 - beta) * (value - average) : value - beta * (value - average);
  const newState = n => ({ m: new Float64Array(n), v: new Float64Array(n) });

  // [f, its two derivatives] of the landscapes, and where each is lowest.
  const landscapes = {
    bowl: { f: (x, y) => (x * x + y * y) / 2, df: (x, y) => [x, y], lowest: [0, 0] },
    ravine: { f: (x, y) => (x * x + 50 * y * y) / 2, df: (x, y) => [x, 50 * y], lowest: [0, 0] },
    rosenbrock: {
      f: (x, y) => (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x),
      df: (x, y) => [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
      lowest: [1, 1],
    },
    beale: {
      f(x, y) {
        const a = 1.5 - x + x * y, b = 2.25 - x + x * y * y, c = 2.625 - x + x * y * y * y;
        return a * a + b * b + c * c;
      },
      df(x, y) {
        const a = 1.5 - x + x * y, b = 2.25 - x + x * y * y, c = 2.625 - x + x * y * y * y;
        return [
          2 * a * (y - 1) + 2 * b * (y * y - 1) + 2 * c * (y * y * y - 1),
          2 * a * x + 4 * b * x * y + 6 * c * x * y * y,
        ];
      },
      lowest: [3, 0.5],
    },
  };

  // Every step of a rule on a landscape: where it is, the cost there, the gradient that led there, m and v.
  function descend(landscape, rule, start, steps, options) {
    const { f, df } = landscapes[landscape];
    const param = Float64Array.from(start), state = newState(2);
    const path = [{ at: [...param], cost: f(...param), grad: [NaN, NaN], m: [0, 0], v: [0, 0] }];
    for (let t = 1; t <= steps; t++) {
      const grad = df(...param);
      rules[rule](param, grad, state, t, options);
      path.push({ at: [...param], cost: f(...param), grad, m: [...state.m], v: [...state.v] });
    }
    return path;
  }

  return { descend, landscapes, newState, rules };
})();
