"use strict";
// torch.randn after torch.manual_seed, made bit by bit: a word of the Mersenne Twister, 24 of its bits, the transform.

{
  const words = (seed, count) => {
    const stream = new TorchStream(BigInt(seed));
    return Array.from({ length: count }, () => stream.word());
  };

  // Which words number i of n is made of. In a block of 16, u₁ stands eight places before u₂; fewer than 16 numbers
  // go in pairs of float64, the angle drawn first; a last block that is not whole is drawn anew with the 15 before.
  function origin(n, i) {
    if (n < 16) return { wide: true, u1: 4 * (i >> 1) + 2, u2: 4 * (i >> 1), sine: i % 2 === 1 };
    const anew = n % 16 !== 0 && i >= n - 16, place = anew ? i - (n - 16) : i % 16, base = anew ? n : i - place;
    return { wide: false, anew, u1: base + place % 8, u2: base + place % 8 + 8, sine: place >= 8 };
  }

  function making(seed, n, i) {
    const from = origin(n, i), drawn = words(seed, Math.max(from.u1, from.u2) + 2);
    if (from.wide) {
      const unit = at => ((drawn[at] & 0x1fffff) * 2 ** 32 + drawn[at + 1]) * 2 ** -53;
      const [u1, u2] = [unit(from.u1), unit(from.u2)], log = Math.log1p(-u1), angle = 2 * Math.PI * u2;
      return { ...from, drawn, u1Value: u1, u2Value: u2, log, radius: Math.sqrt(-2 * log), angle, turned: from.sine ? Math.sin(angle) : Math.cos(angle) };
    }
    const [u1, u2] = [from.u1, from.u2].map(at => (drawn[at] & 0xffffff) * 2 ** -24), f = Math.fround;
    const log = Transform.log(f(1 - u1)), angle = f(f(2 * Math.PI) * u2), [sine, cosine] = Transform.sincos(angle);
    return { ...from, drawn, u1Value: u1, u2Value: u2, log, radius: f(Math.sqrt(f(-2 * log))), angle, turned: from.sine ? sine : cosine };
  }

  const binary = (word, count) => (word >>> 0).toString(2).padStart(32, "0").slice(32 - count);
  function bitsOf(value) {
    const view = new DataView(new ArrayBuffer(4));
    view.setFloat32(0, value);
    return binary(view.getUint32(0), 32);
  }

  const part = (bits, style) => Play.element("span", { class: style }, bits);
  const row = (name, parts, what) => Play.element("tr", {}, Play.element("th", { scope: "row" }, name),
    Play.element("td", { class: "bits" }, parts), Play.element("td", { class: "left" }, what));

  function drawBits(host, { drawn, u1, u2, wide, u1Value, u2Value, log, radius, angle, turned, sine, anew }, z) {
    const digits = wide ? 17 : 9, used = at => wide
      ? [part(binary(drawn[at], 32).slice(0, 11), "unused"), part(binary(drawn[at], 21), "used"), " ", part(binary(drawn[at + 1], 32), "used")]
      : [part(binary(drawn[at], 32).slice(0, 8), "unused"), part(binary(drawn[at], 24), "used")];
    const range = wide ? "53 bits of two words, times 2⁻⁵³" : "its low 24 bits, times 2⁻²⁴", bits = bitsOf(z);
    host.replaceChildren(Play.element("div", { class: "scroll" }, Play.element("table", { class: "making" },
      Play.element("caption", {}, wide ? "Fewer than 16 numbers: in pairs, in float64" : anew ? "The last 16 numbers, drawn anew" : "One of a block of 16, in float32"),
      Play.element("tbody", {},
        row(`word ${u1}${wide ? `, ${u1 + 1}` : ""}`, used(u1), "of the Mersenne Twister; what is struck out is not used"),
        row("u₁", Play.text(u1Value, digits), range),
        row(`word ${u2}${wide ? `, ${u2 + 1}` : ""}`, used(u2), wide ? "drawn before" : "eight places further on"),
        row("u₂", Play.text(u2Value, digits), range),
        row("ln(1 − u₁)", Play.text(log, digits), wide ? "of the C library" : "by a polynomial of degree 8 in float32"),
        row("√(−2 ln(1 − u₁))", Play.text(radius, digits), "how far from 0"),
        row("2πu₂", Play.text(angle, digits), "in which direction"),
        row(sine ? "sin 2πu₂" : "cos 2πu₂", Play.text(turned, digits), sine ? "the sine for the second of the pair" : "the cosine for the first of the pair"),
        row("z", Play.text(z, 9), "their product"),
        row("z in float32", [part(bits.slice(0, 1), "sign"), " ", part(bits.slice(1, 9), "exponent"), " ", part(bits.slice(9), "used")], "sign, exponent, 23 bits of the fraction")))));
  }

  function drawPlane(host, { seed, n, index }, z) {
    const size = 4, plot = new Arrows(host, `${n} numbers, two a point, and number ${index} marked.`, { x: [-size, size], y: [-size, size], height: Math.min(420, Math.max(300, host.clientWidth)), equal: true, xlabel: "first of the pair, with the cosine", ylabel: "second, with the sine" });
    const partner = i => n < 16 ? i ^ 1 : (n % 16 && i >= n - 16 ? ((i - n + 16) ^ 8) + n - 16 : i ^ 8);
    for (const last of [false, true]) for (let i = 0; i < n; i++) {  // what is marked upon the others
      const other = partner(i), { sine } = origin(n, i), chosen = i === index || other === index;
      if (sine || other >= n || chosen !== last) continue;
      if (chosen) for (const r of [1, 2, 3]) plot.line(Array.from({ length: 61 }, (_, k) => [r * Math.cos(k * Math.PI / 30), r * Math.sin(k * Math.PI / 30)]), "contour");
      if (chosen) plot.arrow([0, 0], [z[i], z[other]], "c2");
      plot.mark(z[i], z[other], chosen ? "diamond" : "circle", chosen ? "c2" : "c1", chosen ? 6 : 3);
    }
  }

  function drawHistogram(host, z) {
    const { counts, edges } = histogram(z, -4, 4, 32), mean = z.reduce((sum, value) => sum + value, 0) / z.length;
    const high = Math.max(...counts, 1) * 1.1, plot = new Plot(host, `Histogram of ${z.length} numbers; their mean is ${Play.text(mean, 3)}.`, { x: [-4, 4], y: [0, high], height: 260, xlabel: "value", ylabel: "how many" });
    plot.bars(edges, counts, "c1");
    plot.line(Array.from({ length: 101 }, (_, k) => [-4 + k * 0.08, z.length / 4 * Math.exp(-((-4 + k * 0.08) ** 2) / 2) / Math.sqrt(2 * Math.PI)]), "c2");
  }

  const accepts = value => /^-?\d{1,20}$/.test(value) && BigInt(value) >= -(2n ** 63n) && BigInt(value) < 2n ** 64n;
  Play.add({
    name: "seed",
    controls: [
      { kind: "text", name: "seed", label: "torch.manual_seed( … )", value: "42", accepts },
      { kind: "range", name: "n", label: "how many: torch.randn(n)", min: 1, max: 1000, step: 1, whole: true, value: 64 },
      { kind: "range", name: "index", label: "Which of them, from 0", min: 0, max: 999, step: 1, whole: true, value: 0, play: true },
    ],
    presets: [
      { label: "Seed 42", why: "1.9269153, with which many a tutorial begins; here is where it comes from.", state: {} },
      { label: "Fifteen numbers", why: "fewer than 16 take another way, in float64 and with twice as many words: torch.randn(15) and the first 15 of torch.randn(16) have no number in common.", state: { n: 15 } },
      { label: "Twenty numbers", why: "16 does not divide 20, so that the last 16 are drawn anew, over twelve that were there already: only the first four are those of torch.randn(32).", state: { n: 20, index: 4 } },
      { label: "Seed 42 + 2³²", why: "only the low 32 bits of the seed count: these are the numbers of seed 42.", state: { seed: "4294967338" } },
      { label: "A thousand", why: "enough to see the curve e^(−z²/2)/√(2π) in the histogram.", state: { n: 1000, index: 992 } },
    ],
    figures: {
      bits: "How this one number is made.",
      plane: "Two numbers make a point: its distance from 0 comes from u₁, its direction from u₂. The diamond has the number that is shown.",
      histogram: "All of them, and the curve that they follow.",
    },
    draw(state, ui) {
      const z = new TorchStream(BigInt(state.seed)).randn(state.n), index = Math.min(state.index, state.n - 1);
      drawBits(ui.bits, making(state.seed, state.n, index), z[index]);
      drawPlane(ui.plane, { ...state, index }, z);
      drawHistogram(ui.histogram, z);
      const start = Math.min(Math.floor(index / 16) * 16, Math.max(0, Math.ceil(state.n / 16) * 16 - 16));
      const columns = ui.tables.clientWidth < 480 ? [0, 1] : [0, 1, 2, 3];  // as many as a phone has room for
      const rows = [];
      for (let k = start; k < Math.min(start + 16, state.n); k += columns.length) rows.push(k);
      ui.tables.replaceChildren(Play.table(`torch.randn(${state.n}), numbers ${start} to ${Math.min(start + 15, state.n - 1)}`, ["from", ...columns.map(() => "")],
        rows.map(k => [k, ...columns.map(j => k + j < state.n ? z[k + j] : "")]), 8));
    },
  });
}
