"use strict";
// What every widget shares: labelled controls, state in the address, known good settings, tables of numbers.
//
// A widget is { name, controls, presets, figures, draw(state, ui) }. Its state is a plain object with one
// value for each control. `draw` computes everything anew from the state, so that one state is one picture.
// The address is #name:control=value&…, with the values that are not those of the start.

const Play = (() => {
  const { accepted, element, makers, text } = Controls;
  const widgets = new Map();

  const defaults = widget => Object.fromEntries(widget.controls.map(c => [c.name, c.value]));

  function address(widget) {
    const changed = widget.controls.filter(c => widget.state[c.name] !== c.value);
    const values = changed.map(c => `${c.name}=${encodeURIComponent(widget.state[c.name])}`);
    return `#${widget.name}${values.length ? ":" : ""}${values.join("&")}`;
  }

  function restore(hash) {
    const [name, rest] = hash.slice(1).split(/:(.*)/s);
    const widget = widgets.get(name);
    if (!widget) return;
    if (rest === undefined) {  // a link to the widget, not to a state of it
      if (widget.drawn === undefined) draw(widget);
      return write(widget);
    }
    const state = defaults(widget);
    for (const pair of rest.split("&").filter(Boolean)) {
      const [key, value] = pair.split("=");
      const control = widget.controls.find(c => c.name === key);
      let plain;
      try { plain = decodeURIComponent(value ?? ""); } catch { continue; }
      const found = control && accepted(control, plain);
      if (found !== undefined) state[key] = found;
    }
    widget.state = state;
    show(widget);
    if (!rest) return;
    history.scrollRestoration = "manual";
    widget.section.scrollIntoView({ behavior: "instant" });
  }

  // Change some of the state, as a reader would; the controls, the address and the picture follow.
  function set(widget, changes) {
    Object.assign(widget.state, changes);
    for (const control of widget.controls) {
      if (control.name in changes && control.then) Object.assign(widget.state, control.then(widget.state), changes);
    }
    show(widget);
    write(widget);
  }

  // Some browsers allow a hundred changes of the address in half a minute: then it follows later.
  let later = 0;
  function write(widget) {
    clearTimeout(later);
    try {
      if (location.hash !== address(widget)) history.replaceState(null, "", address(widget));
    } catch {
      later = setTimeout(() => write(widget), 1000);
    }
  }

  function show(widget) {
    for (const control of widget.controls) control.show(widget.state[control.name]);
    draw(widget);
  }

  function draw(widget) {
    const focused = document.activeElement?.dataset?.focus;
    widget.section.classList.add("live");
    widget.drawn = widget.stage.clientWidth;
    widget.draw(widget.state, widget.ui);
    if (focused) widget.stage.querySelector(`[data-focus="${focused}"]`)?.focus({ preventScroll: true });
  }

  function add(widget) {
    const section = document.getElementById(widget.name);
    if (!section) return;
    Object.assign(widget, { section, state: defaults(widget), stage: element("div", { class: "stage" }), ui: {} });
    const panel = element("form", { class: "panel", onsubmit: event => event.preventDefault() });
    const more = element("div", { class: "panel" });
    let group = panel;
    for (const control of widget.controls) {
      if (control.group !== undefined) {
        group = control.group ? element("fieldset", {}, element("legend", {}, control.group)) : panel;
        if (control.group) panel.append(group);
      }
      control.now = () => widget.state[control.name];
      const id = `${widget.name}-${control.name}`;
      const made = makers[control.kind](control, id, value => set(widget, { [control.name]: value }));
      (control.more ? more : group).append(made);
    }
    const reset = element("button", { type: "button", class: "reset", onclick: () => set(widget, defaults(widget)) }, "Reset");
    const last = panel.querySelector(".wide");
    if (more.hasChildNodes()) {
      const details = element("details", { class: "more" }, element("summary", {}, "More controls"), more);
      last ? last.before(details) : panel.append(details);
    }
    last ? last.append(reset) : panel.append(reset);
    const presets = widget.presets.map(({ label, why, state }) => element("li", {},
      element("button", { type: "button", onclick: () => set(widget, { ...defaults(widget), ...state }) }, label), ` ${why}`));
    for (const [name, caption] of Object.entries(widget.figures)) {
      widget.ui[name] = element("div", { class: "plot" });
      widget.stage.append(element("figure", { class: `figure-${name}` }, widget.ui[name], element("figcaption", {}, caption)));
    }
    widget.ui.tables = element("div", { class: "tables" });
    widget.ui.set = changes => set(widget, changes);
    const figure = section.querySelector(".still"), place = element("div", { class: "widget" });
    figure.replaceWith(place);
    place.append(panel, figure, widget.stage, widget.ui.tables,
      element("div", { class: "presets" }, element("h3", {}, "Settings worth a look"), element("ul", {}, presets)));
    widgets.set(widget.name, widget);
    for (const control of widget.controls) control.show(control.value);
  }

  // A table of numbers: the cell keeps every digit, `data-value`, and shows a few.
  function table(caption, head, rows, digits = 4) {
    const cell = value => value instanceof Node ? element("td", {}, value)
      : element("td", typeof value === "number" ? { "data-value": value, title: value } : { class: "word" }, text(value, digits));
    const diverged = rows.flat().some(Number.isNaN);
    const note = diverged ? [element("p", { class: "soft" }, "NaN, not a number, is what ∞ − ∞ gives: this has diverged.")] : [];
    return element("div", { class: "scroll" }, element("table", {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, head.map(name => name ? element("th", { scope: "col" }, name) : element("td")))),
      element("tbody", {}, rows.map(([name, ...values]) => element("tr", {},
        element("th", { scope: "row" }, name), values.map(cell))))), note);
  }

  function start() {
    // One after the other, so that the page answers in between.
    const idle = window.requestIdleCallback ?? (call => setTimeout(call, 100));
    const next = () => {
      const waiting = [...widgets.values()].find(widget => widget.drawn === undefined);
      if (!waiting) return;
      draw(waiting);
      idle(next);
    };
    idle(next);
    const sized = new ResizeObserver(() => widgets.forEach(widget => {
      if (widget.drawn !== undefined && widget.drawn !== widget.stage.clientWidth) draw(widget);
    }));
    widgets.forEach(widget => sized.observe(widget.stage));
    addEventListener("hashchange", () => restore(location.hash));
    addEventListener("beforeprint", () => widgets.forEach(draw));
    restore(location.hash);
  }

  document.addEventListener("DOMContentLoaded", start);
  return { add, element, restore, table, text, widgets };
})();
