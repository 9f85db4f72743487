"use strict";
// A number and its neighbours in float32 and float64; one sum in several orders.

{
  const FORMATS = { float32: { bits: 32, exponent: 8, round: Math.fround }, float64: { bits: 64, exponent: 11, round: x => x } };

  function pattern(x, { bits }) {
    const view = new DataView(new ArrayBuffer(8));
    if (bits === 32) view.setFloat32(0, x);
    else view.setFloat64(0, x);
    return bits === 32 ? BigInt(view.getUint32(0)) : view.getBigUint64(0);
  }

  function number(bits, format) {
    const view = new DataView(new ArrayBuffer(8));
    if (format.bits === 32) view.setUint32(0, Number(bits));
    else view.setBigUint64(0, bits);
    return format.bits === 32 ? view.getFloat32(0) : view.getFloat64(0);
  }

  // The next number further from 0, and how far it is: one rounding unit (ulp) at x.
  function neighbour(x, format, by = 1n) {
    return number(pattern(x, format) + by, format);
  }

  // The terms: one large, and n − 1 of 1 or of 0.1 behind it; or 1/k².
  const TERMS = {
    large: (n, r) => [r(2 ** 24), ...new Array(n - 1).fill(1)],
    tenths: (n, r) => new Array(n).fill(r(0.1)),
    squares: (n, r) => Array.from({ length: n }, (_, k) => r(1 / r(r(k + 1) * r(k + 1)))),
    alternating: (n, r) => Array.from({ length: n }, (_, k) => k % 2 ? r(-1 / r(k + 1)) : r(1 / r(k + 1))),
  };
  const ORDERS = {
    forward: ["first to last", (terms, r) => terms.reduce((sum, term) => r(sum + term), 0)],
    backward: ["last to first", (terms, r) => terms.reduceRight((sum, term) => r(sum + term), 0)],
    pairwise: ["pairwise, by halves", function halves(terms, r) {
      const middle = terms.length >> 1;
      return terms.length < 2 ? terms[0] ?? 0 : r(halves(terms.slice(0, middle), r) + halves(terms.slice(middle), r));
    }],
    kahan: ["with a correction (Kahan)", (terms, r) => {
      let sum = 0, lost = 0;
      for (const term of terms) {
        const y = r(term - lost), next = r(sum + y);
        lost = r(r(next - sum) - y);
        sum = next;
      }
      return sum;
    }],
  };

  // The sum of the rounded terms, in float64 with a correction: right far beyond the last digit of float32.
  const exact = terms => ORDERS.kahan[1](terms, x => x);

  function drawLine(host, x, format) {
    const unit = Math.abs(neighbour(x, format) - x), near = [-4n, -3n, -2n, -1n, 0n, 1n, 2n, 3n, 4n].map(by => x === 0 && by < 0n ? -neighbour(0, format, -by) : neighbour(x, format, by)).filter(Number.isFinite);
    const places = near.map(value => (value - x) / unit), size = Math.max(4.5, ...places.map(Math.abs)) * 1.05;
    const plot = new Plot(host, `The numbers around ${Play.text(x, 9)}; the next one is ${Play.text(unit)} away.`, { x: [-size, size], y: [0, 1], height: 110, rows: true, xlabel: `rounding units of ${Play.text(unit)} from the number` });
    plot.line([[-size, 0.4], [size, 0.4]], "thin");
    places.forEach(place => plot.mark(place, 0.4, place === 0 ? "diamond" : "circle", place === 0 ? "c2" : "c1", place === 0 ? 7 : 4));
  }

  function drawUnits(host, x, format) {
    const low = format.bits === 32 ? -45 : -290, high = format.bits === 32 ? 38 : 308;
    const sizes = Array.from({ length: 200 }, (_, k) => format.round(10 ** (low + (high - low) * k / 199))).filter(size => size > 0 && Number.isFinite(size));
    const unit = size => Math.max(Number.MIN_VALUE, neighbour(size, format) - size), shown = Math.abs(x);
    const plot = new Plot(host, `The rounding unit over the size of the number; relative to it, it is about ${Play.text(2 ** (format.bits === 32 ? -23 : -52))} everywhere but near 0.`, {
      x: [10 ** low, 10 ** high], y: [format.bits === 32 ? 1e-46 : 1e-306, 10 ** (high - 6)], logx: true, logy: true, height: 260, xlabel: "size of the number", ylabel: "rounding unit" });
    plot.line(sizes.map(size => [size, unit(size)]), "c1");
    if (shown > 0) plot.mark(shown, unit(shown), "diamond", "c2", 7);
  }

  const digits = { float32: 9, float64: 17 };
  const accepts = value => /^-?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})(e-?\d{1,3})?$/i.test(value) && Number.isFinite(Number(value));
  Play.add({
    name: "floating_point",
    controls: [
      { kind: "text", name: "x", label: "A number", value: "0.1", accepts },
      { kind: "choice", name: "dtype", label: "dtype", value: "float32", options: [["float32", "float32"], ["float64", "float64"]] },
      { kind: "choice", name: "terms", label: "A sum of", value: "large", options: [["large", "2²⁴ and ones after it"], ["tenths", "0.1, again and again"], ["squares", "1, 1/4, 1/9, 1/16, …"], ["alternating", "1 − 1/2 + 1/3 − 1/4 + …"]] },
      { kind: "range", name: "n", label: "terms", min: 1, max: 10000, step: 1, whole: true, value: 1000 },
    ],
    presets: [
      { label: "0.1", why: "no sum of powers of two: what is stored is another number, close by.", state: {} },
      { label: "Where ones get lost", why: "at 2²⁴ = 16777216 the rounding unit of float32 becomes 2. Adding 1 changes nothing, a thousand times; in the other order all ones arrive.", state: { x: "16777216" } },
      { label: "The same in float64", why: "with 53 bits instead of 24 nothing is lost here, in any order.", state: { x: "16777216", dtype: "float64" } },
      { label: "Ten thousand tenths", why: "many additions in a row round the same way. Pairwise, much as NumPy adds, the error grows with log n instead of n.", state: { terms: "tenths", n: 10000 } },
      { label: "Small ones first", why: "of a sum with terms that fall, the last to first is better: small ones gather before they meet large ones.", state: { terms: "squares", n: 10000 } },
      { label: "Near zero", why: "below 1.2e−38 float32 has fewer and fewer bits: the unit no longer shrinks.", state: { x: "1e-40" } },
    ],
    figures: {
      line: "The number, a diamond, and those next to it. There is nothing in between.",
      units: "How large the rounding unit is, for numbers of every size.",
    },
    draw(state, ui) {
      const format = FORMATS[state.dtype], x = format.round(Number(state.x)), bits = pattern(x, format).toString(2).padStart(format.bits, "0");
      const shown = Number.isFinite(x) ? x : Math.sign(x) * number((1n << BigInt(format.bits - 1)) - (1n << BigInt(format.bits - 1 - format.exponent)) - 1n, format);
      drawLine(ui.line, shown, format);
      drawUnits(ui.units, shown, format);
      const terms = TERMS[state.terms](state.n, format.round), right = exact(terms), unit = Math.abs(neighbour(format.round(right), format) - format.round(right));
      ui.tables.replaceChildren(
        Play.table(`${state.x} in ${state.dtype}`, ["", ""], [["stored", x], ["the next number", Number.isFinite(x) ? neighbour(x, format) : "none"], ["rounding unit", Number.isFinite(x) ? Math.abs(neighbour(x, format) - x) : "none"],
          ["sign", bits.slice(0, 1)], ["exponent", bits.slice(1, 1 + format.exponent)], ["fraction", bits.slice(1 + format.exponent)]], digits[state.dtype]),
        Play.table(`The sum of ${state.n} terms in ${state.dtype}`, ["", "sum", "rounding units off"], Object.values(ORDERS).map(([name, add]) => {
          const sum = add(terms, format.round);
          return [name, sum, (sum - right) / unit];
        }), digits[state.dtype]));
    },
  });
}
