"use strict";
// A plot of arrows, with names that touch no arrow and no other name.

class Arrows extends Plot {
  taken = [];  // boxes: left, top, right, bottom

  arrow(from, to, style = "") {
    const [x0, y0, x1, y1] = [this.px(from[0]), this.py(from[1]), this.px(to[0]), this.py(to[1])];
    const length = Math.hypot(x1 - x0, y1 - y0), head = Math.min(9, length / 2), turn = Math.atan2(y1 - y0, x1 - x0);
    if (!(length > 0.5)) return;
    const wings = [0.45, -0.45].map(side => [x1 - head * Math.cos(turn + side), y1 - head * Math.sin(turn + side)]);
    const [one, other] = wings.map(wing => wing.map(at => at.toFixed(1)).join(","));
    this.inside.append(svg("path", { class: `arrow ${style}`, d: `M${x0},${y0}L${x1},${y1}M${one}L${x1},${y1}L${other}` }));
    const count = Math.ceil(length / 4), shaft = Array.from({ length: count + 1 }, (_, k) => [x0 + (x1 - x0) * k / count, y0 + (y1 - y0) * k / count]);
    const [xs, ys] = [0, 1].map(i => [...wings.map(wing => wing[i]), i ? y1 : x1]);
    this.taken.push([Math.min(...xs) - 2, Math.min(...ys) - 2, Math.max(...xs) + 2, Math.max(...ys) + 2]);
    for (const [x, y] of shaft) this.taken.push([x - 3, y - 3, x + 3, y + 3]);
  }

  // A word beside a place: as near as there is room, and rather away from the middle. After all arrows.
  name(x, y, words, style = "") {
    const made = svg("text", { class: `over ${style}` }, words), { box } = this;
    this.svg.append(made);
    const { width, height, y: top } = made.getBBox(), [px, py] = [this.px(x), this.py(y)];
    const outward = Math.atan2(py - (box.top + box.bottom) / 2, px - (box.left + box.right) / 2), places = [];
    for (let far = 4; far < 90; far += 6) for (let k = 0; k < 16; k++) {
      const turn = outward + Math.ceil(k / 2) * (k % 2 ? 1 : -1) * Math.PI / 8;
      const left = px + Math.cos(turn) * (width / 2 + far) - width / 2, up = py + Math.sin(turn) * (height / 2 + far) - height / 2;
      places.push([left, up, left + width, up + height]);
    }
    const inside = place => place[0] >= box.left && place[1] >= box.top && place[2] <= box.right && place[3] <= box.bottom;
    const apart = (a, b) => a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
    const free = places.find(place => inside(place) && this.taken.every(other => apart(place, other))) ?? places[0];
    this.taken.push(free.map((at, i) => at + (i < 2 ? -2 : 2)));
    made.setAttribute("x", free[0].toFixed(1));
    made.setAttribute("y", (free[1] - top).toFixed(1));
  }
}
