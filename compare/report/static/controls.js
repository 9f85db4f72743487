"use strict";
// The controls: a slider with a field for its number, a box to tick, a menu, a field for text. Each has its label.

const Controls = (() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat());
    return made;
  }

  // A number for people: four digits, and a real minus sign.
  function text(value, digits = 4) {
    if (typeof value !== "number") return String(value);
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    const shown = size !== 0 && (size < 1e-3 || size >= 1e6)
      ? value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e")
      : String(Number(value.toPrecision(digits)));
    return shown.replace(/-/g, "−");
  }

  // A value from an address or a field, or undefined if it is none that the control can have.
  function accepted(control, value) {
    if (control.kind === "check") return { true: true, false: false }[value];
    if (control.kind === "choice") return control.options.some(([option]) => option === value) ? value : undefined;
    if (control.kind === "text") return control.accepts(String(value)) ? String(value) : undefined;
    const number = String(value).trim() === "" ? NaN : Number(value);
    if (Number.isNaN(number)) return undefined;
    const bounded = Math.min(control.max, Math.max(control.min, number));
    return control.whole ? Math.round(bounded) : bounded;
  }

  const makers = {
    range(control, id, change) {
      const toSlider = value => control.log ? Math.log10(value) : value;
      const fromSlider = place => control.log ? Number((10 ** place).toPrecision(2)) : place;
      const slider = element("input", {
        type: "range", id, min: toSlider(control.min), max: toSlider(control.max),
        step: control.log ? 0.05 : control.step,  // 0.02 would be lost in the two digits
        oninput: () => change(accepted(control, fromSlider(Number(slider.value)))),
      });
      const field = element("input", {
        type: "number", min: control.min, max: control.max, step: control.whole ? 1 : "any",
        "aria-label": `${control.label}, as a number`,
        onchange: () => change(accepted(control, field.value) ?? control.value),
      });
      control.show = value => {
        slider.value = toSlider(value);
        slider.setAttribute("aria-valuetext", text(value));
        field.value = value;
      };
      const parts = [element("label", { for: id }, control.label), slider, field];
      if (control.play) parts.push(player(control, change));
      return element("div", { class: control.play ? "control wide" : "control" }, parts);
    },
    check(control, id, change) {
      const box = element("input", { type: "checkbox", id, onchange: () => change(box.checked) });
      control.show = value => { box.checked = value; };
      const sample = control.key ? [key(...control.key)] : [];
      return element("div", { class: "control check" }, box, element("label", { for: id }, sample, control.label));
    },
    choice(control, id, change) {
      const options = control.options.map(([value, label]) => element("option", { value }, label));
      const menu = element("select", { id, onchange: () => change(menu.value) }, options);
      control.show = value => { menu.value = value; };
      return element("div", { class: "control" }, element("label", { for: id }, control.label), menu);
    },
    text(control, id, change) {
      const field = element("input", {
        type: "text", id, inputmode: "numeric", autocomplete: "off", spellcheck: "false",
        oninput: () => {
          const value = accepted(control, field.value);
          field.setAttribute("aria-invalid", value === undefined);
          if (value !== undefined) change(value);
        },
      });
      control.show = value => {
        if (accepted(control, field.value) !== value) field.value = value;
        field.removeAttribute("aria-invalid");
      };
      return element("div", { class: "control" }, element("label", { for: id }, control.label), field);
    },
  };

  // Moves a slider to its end by itself; for readers who asked for less motion, a step each time it is pressed.
  function player(control, change) {
    let timer = 0;
    const rest = () => { button.textContent = still.matches ? "Next" : "Play"; };
    const stop = () => { clearInterval(timer); timer = 0; rest(); };
    const button = element("button", { type: "button", onclick: () => {
      if (timer) return stop();
      if (still.matches) return change(control.now() >= control.max ? control.min : control.now() + 1);
      let at = control.now() >= control.max ? control.min : control.now();
      button.textContent = "Stop";
      timer = setInterval(() => {
        at += Math.max(1, Math.round(control.max / 150));
        change(Math.min(at, control.max));
        if (at >= control.max) stop();
      }, 50);
    } });
    still.addEventListener("change", stop);
    rest();
    return button;
  }

  return { accepted, element, makers, text };
})();
