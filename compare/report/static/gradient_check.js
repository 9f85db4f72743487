"use strict";
// The difference quotient against the right gradient, for every step size, in float64 and in float32.

{
  // [f, f′, f‴] of one number, with additions, products, quotients and roots alone: these are rounded alike everywhere.
  // `r` rounds after each operation: to float32, or not at all.
  const FUNCTIONS = {
    cube: { f: (x, r) => r(r(x * x) * x), df: x => 3 * (x * x), third: () => 6 },
    bell: { f: (x, r) => r(1 / r(1 + r(x * x))), df: x => -2 * x / ((1 + x * x) * (1 + x * x)), third: x => 24 * x * (1 - x * x) / (1 + x * x) ** 4 },
    root: { f: (x, r) => r(Math.sqrt(r(1 + r(x * x)))), df: x => x / Math.sqrt(1 + x * x), third: x => -3 * x / (1 + x * x) ** 2.5 },
    relu: { f: x => x > 0 ? x : 0, df: x => x > 0 ? 1 : 0, third: () => 0 },
  };
  const METHODS = {
    two: ["two-sided, float64", "circle", "c1"], one: ["one-sided, float64", "square", "c2"], single: ["two-sided, float32", "triangle", "c3"],
  };
  const same = x => x;

  // scratch.gradient_check: (f(x + ε) − f(x − ε))/(2ε)
  function quotient(method, { f }, x, eps) {
    const r = method === "single" ? Math.fround : same;
    [x, eps] = [r(x), r(eps)];
    if (method === "one") return (f(x + eps, r) - f(x, r)) / eps;
    return r(r(f(r(x + eps), r) - f(r(x - eps), r)) / r(2 * eps));
  }

  // |a − b|/(|a| + |b|)
  function relative(a, b) {
    const size = Math.abs(a) + Math.abs(b);
    return size > 0 ? Math.abs(a - b) / size : size;
  }

  const SIZES = Array.from({ length: 161 }, (_, k) => 10 ** (-16 + k / 10));
  Play.add({
    name: "gradient_check",
    controls: [
      { kind: "choice", name: "of", label: "Function", value: "bell", options: [["bell", "1/(1 + x²)"], ["cube", "x³"], ["root", "√(1 + x²)"], ["relu", "ReLU, with its kink at 0"]] },
      { kind: "range", name: "x", label: "at x", min: -3, max: 3, step: 0.01, value: 0.7 },
      { kind: "range", name: "wrong", label: "fault put into the gradient: times 1 +", min: 0, max: 0.1, step: 0.001, value: 0, more: true },
      { kind: "range", name: "eps", label: "step size ε", min: 1e-16, max: 1, log: true, value: 1e-6 },
    ],
    presets: [
      { label: "The usual step", why: "1e−6, two-sided, in float64: small enough for ε²f‴/6, large enough for the rounding error of f. Below 1e−7 the gradient passes.", state: {} },
      { label: "The best step", why: "the two errors are equal near the cube root of the rounding unit, 6e−6; one-sided near its square root, 1.5e−8, and there it is far worse.", state: { eps: 6.1e-6 } },
      { label: "Smaller is not better", why: "at 1e−13 three digits of f(x + ε) − f(x − ε) are left: the rounding error is divided by ε.", state: { eps: 1e-13 } },
      { label: "In float32", why: "its valley never comes down to 1e−7, so that a right gradient does not pass: check in float64.", state: { eps: 0.005 } },
      { label: "A wrong gradient", why: "off by one in a hundred. No step size brings the error down: there is no valley, but a floor.", state: { wrong: 0.01 } },
      { label: "At a kink", why: "closer to 0 than ε the two-sided quotient sees both sides of ReLU, and is the slope of neither.", state: { of: "relu", x: 0.01, eps: 0.1 } },
    ],
    figures: {
      map: "Relative error over step size. On the right the error of the quotient itself, ε²f‴/6; on the left rounding, u·f/ε, with the unit u. The level lines are those below which a check passes, and above which it fails.",
      function: "The function, its tangent with the gradient that is checked, and the two points of the quotient.",
    },
    draw(state, ui) {
      const chosen = FUNCTIONS[state.of], { x, eps } = state, gradient = chosen.df(x) * (1 + state.wrong);
      const error = (method, size) => relative(gradient, quotient(method, chosen, x, size));
      const plot = new Plot(ui.map, `Relative error of the difference quotient over ε; at ε = ${Play.text(eps)} it is ${Object.keys(METHODS).map(m => `${Play.text(error(m, eps))} ${METHODS[m][0]}`).join(", ")}.`, {
        x: [1e-16, 1], y: [1e-16, 2], logx: true, logy: true, height: Math.min(420, Math.max(300, ui.map.clientWidth * 0.6)), xlabel: "step size ε", ylabel: "relative error" });
      plot.legend(Object.values(METHODS).map(([name, shape, style]) => [shape, style, name]));
      for (const [at, word] of [[1e-7, "passes below"], [1e-5, "wrong above"]]) {
        plot.line([[1e-16, at], [1, at]], "now");
        plot.word(1.3e-16, at * 1.5, word);
      }
      const size = 2 * Math.abs(gradient);
      plot.line(SIZES.map(e => [e, e * e / 6 * Math.abs(chosen.third(x)) / size]), "thin");
      plot.line(SIZES.map(e => [e, 2 ** -53 * Math.abs(chosen.f(x, same)) / e / size]), "thin");
      plot.line([[eps, 1e-16], [eps, 2]], "now");
      for (const [method, [, shape, style]] of Object.entries(METHODS)) {
        const errors = SIZES.map(e => [e, Math.max(1e-16, error(method, e))]);
        plot.line(errors, style);
        errors.forEach(([e, value], k) => { if (k % 20 === 10) plot.mark(e, value, shape, style, 4); });
        plot.mark(eps, Math.max(1e-16, error(method, eps)), shape, style, 6);
      }
      const f = at => chosen.f(at, same), values = Array.from({ length: 121 }, (_, k) => -3.5 + 7 * k / 120), high = Math.min(4, Math.max(...values.map(f))) * 1.1, low = Math.max(-4, Math.min(...values.map(f), 0)) - 0.1;
      const picture = new Plot(ui.function, `The function at x = ${Play.text(x)}, where the gradient is ${Play.text(gradient)}.`, { x: [-3.5, 3.5], y: [low, high], height: 260, xlabel: "x", ylabel: "f(x)" });
      picture.line(values.map(at => [at, f(at)]), "c1");
      picture.line([-4, 4].map(at => [at, f(x) + gradient * (at - x)]), "c4");
      [x - eps, x + eps].forEach(at => picture.mark(at, f(at), "circle", "c2", 5));
      ui.tables.replaceChildren(
        Play.table(`At ε = ${Play.text(eps)}`, ["", "quotient", "relative error"], Object.entries(METHODS).map(([method, [name]]) => [name, quotient(method, chosen, x, eps), error(method, eps)]), 8),
        Play.table("What is checked", ["", ""], [["f(x)", f(x)], ["the gradient", gradient],
          ["the check", error("two", eps) < 1e-7 ? "✓ passes" : error("two", eps) > 1e-5 ? "✗ wrong" : "neither"]], 8));
    },
  });
}
