"use strict";
// Charts for every page: curves with bands, points, values under the pointer, zoom by dragging.
// A panel has a title, x with its label, curves of a mean at every x, perhaps between a low and a high, and:
// along and y, the ends of the axes where these stand still, xticks; dots {x, y, r, colour, here}.
const SVG = "http://www.w3.org/2000/svg";
const L = 56, R = 10, T = 12, B = 40; // margins in pixels, as is everything: text has one size at every width
const DRAG = 8; // pixels from which a press is a drag

function make(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function div(parent, name) {
  return parent.appendChild(Object.assign(document.createElement("div"), { className: name }));
}

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0 || (size < 1e5 && size >= 1e-3)) return String(+value.toPrecision(4)).replace("-", "−");
  return (+value.toPrecision(3)).toExponential().replace("e+", "e");
}

function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of high / low > 1000 ? [1] : [1, 2, 5]) found.push(m * 10 ** e);
    const inside = found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
    if (inside.length > 2) return inside; // a short stretch of a logarithmic axis has too few: like a linear one
  }
  const raw = (high - low) / 6 || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(+v.toPrecision(12));
  return found;
}

function scale(low, high, from, to, log) {
  const f = log ? Math.log : (v) => v;
  const scaled = (v) => from + ((f(v) - f(low)) / (f(high) - f(low) || 1)) * (to - from);
  scaled.inverse = (p) => {
    const v = f(low) + ((p - from) / (to - from)) * (f(high) - f(low));
    return log ? Math.exp(v) : v;
  };
  return scaled;
}

function extent(panel, shown, x) {
  if (panel.y) return panel.y; // an axis that stands still while values move
  let low = Infinity, high = -Infinity;
  for (const curve of panel.curves.filter((_, i) => shown[i]))
    panel.x.forEach((at, i) => {
      if (at < x[0] || at > x[1]) return;
      for (const v of [curve.mean[i], curve.low && curve.low[i], curve.high && curve.high[i]])
        if (typeof v === "number" && !(panel.logy && v <= 0)) { low = Math.min(low, v); high = Math.max(high, v); }
    });
  for (const dot of panel.dots || []) { low = Math.min(low, dot.y); high = Math.max(high, dot.y); }
  if (low > high) return [panel.logy ? 0.1 : 0, 1];
  if (panel.floor !== null) low = Math.max(low, panel.floor);
  const room = (high - low || 1) * 0.04;
  return panel.logy ? [low * 0.95, high * 1.05] : [low - room, high + room];
}

function path(xs, ys, sx, sy) {
  let text = "", pen = "M";
  xs.forEach((x, i) => {
    if (typeof ys[i] !== "number") { pen = "M"; return; }
    text += `${pen}${sx(x).toFixed(1)} ${sy(ys[i]).toFixed(1)}`;
    pen = "L";
  });
  return text;
}

function whole(panel) {
  const x = [...panel.x, ...(panel.dots || []).map((dot) => dot.x)];
  return panel.along || [Math.min(...x), Math.max(...x)];
}

class Panel {
  constructor(figure, panel) {
    this.panel = panel;
    this.shown = panel.curves.map(() => true);
    this.x = this.whole = whole(panel);
    this.plot = div(figure, "plot");
    this.svg = make(this.plot, "svg", { role: "img", "aria-label": panel.title });
    this.tip = div(this.plot, "tip");
    this.svg.addEventListener("pointermove", (e) => this.move(e));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("pointerdown", (e) => this.press(e));
    this.svg.addEventListener("pointerup", (e) => this.release(e));
    this.svg.addEventListener("pointercancel", () => { this.from = undefined; this.leave(); this.draw(); });
    this.svg.addEventListener("dblclick", () => { this.x = this.whole; this.draw(); });
    this.legend(figure);
    this.draw();
    new ResizeObserver(() => { if (this.plot.clientWidth !== this.width) this.draw(); }).observe(this.plot);
  }

  update(panel) { // the same curves with other values
    const moved = String(whole(panel)) !== String(this.whole) || String(panel.y) !== String(this.panel.y) || !panel.y;
    this.panel = panel;
    if (moved) {
      if (this.x === this.whole) this.x = whole(panel);
      this.whole = whole(panel);
      this.draw();
      return;
    }
    this.area.replaceChildren();
    this.curves();
  }

  at(event) {
    const px = event.clientX - this.svg.getBoundingClientRect().left;
    return Math.min(Math.max(px, L), this.width - R);
  }

  legend(figure) {
    const box = div(figure, "legend");
    this.panel.curves.forEach((curve, i) => {
      const button = box.appendChild(document.createElement("button"));
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const sample = make(button, "svg", { width: 26, height: 8 });
      make(sample, "line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: curve.colour, "stroke-width": 2, "stroke-dasharray": curve.dash });
      button.append(curve.name);
      button.addEventListener("click", () => {
        this.shown[i] = !this.shown[i];
        button.setAttribute("aria-pressed", String(this.shown[i]));
        this.draw();
      });
    });
  }

  draw() {
    const { panel, svg } = this;
    this.width = this.plot.clientWidth;
    this.height = Math.round(Math.min(Math.max(this.width * 0.62, 230), 340));
    svg.setAttribute("width", this.width);
    svg.setAttribute("height", this.height);
    svg.replaceChildren();
    const right = this.width - R, bottom = this.height - B;
    const y = extent(panel, this.shown, this.x);
    this.sx = scale(...this.x, L, right, panel.logx);
    this.sy = scale(...y, bottom, T, panel.logy);
    const id = `clip-${Panel.count = (Panel.count || 0) + 1}`;
    make(make(svg, "clipPath", { id }), "rect", { x: L, y: T, width: right - L, height: bottom - T });
    const zoomed = this.x !== this.whole;
    for (const v of (!zoomed && panel.xticks) || ticks(...this.x, panel.logx)) {
      make(svg, "line", { class: "grid", x1: this.sx(v), x2: this.sx(v), y1: T, y2: bottom });
      make(svg, "text", { class: "x", x: this.sx(v), y: bottom + 15, "text-anchor": "middle" }, short(v));
    }
    for (const v of ticks(...y, panel.logy)) {
      make(svg, "line", { class: "grid", x1: L, x2: right, y1: this.sy(v), y2: this.sy(v) });
      make(svg, "text", { class: "y", x: L - 5, y: this.sy(v) + 4, "text-anchor": "end" }, short(v));
    }
    this.area = make(svg, "g", { "clip-path": `url(#${id})` });
    this.curves();
    make(svg, "rect", { class: "frame", x: L, y: T, width: right - L, height: bottom - T });
    make(svg, "text", { x: (L + right) / 2, y: this.height - 6, "text-anchor": "middle" }, panel.xlabel);
    const across = { transform: `translate(12 ${(T + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" };
    const label = make(svg, "text", across, panel.ylabel);
    if (label.getComputedTextLength() > bottom - T) label.textContent = `[${panel.unit}]`; // the title names the rest
  }

  curves() {
    const { panel, sx, sy, area } = this;
    panel.curves.forEach((curve, i) => {
      if (!this.shown[i]) return;
      if (curve.low) {
        const back = path([...panel.x].reverse(), [...curve.high].reverse(), sx, sy);
        make(area, "path", { d: path(panel.x, curve.low, sx, sy) + back.replace(/^M/, "L"), fill: curve.colour, "fill-opacity": 0.15 });
      }
      const line = { d: path(panel.x, curve.mean, sx, sy), fill: "none", stroke: curve.colour };
      make(area, "path", { ...line, class: "curve", "stroke-width": 1.6, "stroke-dasharray": curve.dash });
    });
    for (const dot of panel.dots || []) {
      const at = { cx: sx(dot.x), cy: sy(dot.y), r: dot.r || 3, fill: dot.colour };
      make(area, "circle", dot.here ? { ...at, class: "here" } : at);
    }
    this.drawn?.(this);
  }

  press(event) {
    if (event.button !== 0) return;
    this.from = this.at(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  leave() {
    this.tip.style.display = "none";
    this.cursor?.remove();
  }

  move(event) {
    const px = this.at(event), bottom = this.height - B;
    if (this.from !== undefined) {
      this.zoom ??= make(this.svg, "rect", { class: "zoom", y: T, height: bottom - T });
      this.zoom.setAttribute("x", Math.min(px, this.from));
      this.zoom.setAttribute("width", Math.abs(px - this.from));
      return;
    }
    const { x } = this.panel;
    const inside = x.map((_, i) => i).filter((i) => x[i] >= this.x[0] && x[i] <= this.x[1]);
    this.leave();
    if (!inside.length) return;
    const far = (i) => Math.abs(this.sx(x[i]) - px);
    const best = inside.reduce((a, b) => (far(b) < far(a) ? b : a));
    const at = this.sx(x[best]);
    this.cursor = make(this.svg, "line", { class: "cursor", x1: at, x2: at, y1: T, y2: bottom });
    this.tell(best, at);
  }

  tell(best, at) {
    this.tip.replaceChildren(`${this.panel.xlabel}: ${short(this.panel.x[best])}`);
    const rows = this.panel.curves.filter((_, i) => this.shown[i]);
    rows.sort((a, b) => (b.mean[best] ?? -Infinity) - (a.mean[best] ?? -Infinity));
    for (const curve of rows) {
      const line = div(this.tip, "value");
      const bounds = curve.low && curve.low[best] !== null ? ` (${short(curve.low[best])} to ${short(curve.high[best])})` : "";
      line.textContent = `${curve.name}: ${short(curve.mean[best])}${bounds}`;
      line.style.borderLeftColor = curve.colour;
    }
    this.tip.style.display = "block";
    const wide = this.tip.offsetWidth, left = at > this.width / 2 ? at - wide - 8 : at + 8;
    this.tip.style.left = `${Math.max(Math.min(left, this.width - wide), 0)}px`;
  }

  release(event) {
    if (this.from === undefined) return;
    const ends = [this.from, this.at(event)].sort((a, b) => a - b);
    if (ends[1] - ends[0] > DRAG) this.x = ends.map(this.sx.inverse);
    this.from = this.zoom = undefined;
    this.draw();
  }
}
