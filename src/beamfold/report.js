"use strict";
// Draws the panels of the page: curves with bands, values under the pointer, zoom by dragging.
const SVG = "http://www.w3.org/2000/svg";
const W = 460, H = 300, L = 52, R = 10, T = 12, B = 40;

function make(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4));
}

function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of high / low > 50 ? [1] : [1, 2, 5]) found.push(m * 10 ** e);
    return found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
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
  let low = Infinity, high = -Infinity;
  for (const curve of panel.curves.filter((_, i) => shown[i]))
    panel.x.forEach((at, i) => {
      if (at < x[0] || at > x[1]) return;
      for (const v of [curve.mean[i], curve.low && curve.low[i], curve.high && curve.high[i]])
        if (typeof v === "number" && !(panel.logy && v <= 0)) { low = Math.min(low, v); high = Math.max(high, v); }
    });
  if (low > high) return [0, 1];
  if (panel.floor !== null) low = Math.max(low, panel.floor);
  const room = panel.logy ? 1 : (high - low || 1) * 0.04;
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

class Panel {
  constructor(figure, panel) {
    this.panel = panel;
    this.shown = panel.curves.map(() => true);
    this.whole = [Math.min(...panel.x), Math.max(...panel.x)];
    this.x = this.whole;
    this.svg = make(figure, "svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": panel.title });
    this.tip = figure.appendChild(Object.assign(document.createElement("div"), { className: "tip" }));
    this.svg.addEventListener("pointermove", (e) => this.move(e));
    this.svg.addEventListener("pointerleave", () => { this.tip.style.display = "none"; this.cursor?.remove(); });
    this.svg.addEventListener("pointerdown", (e) => { this.from = this.at(e); this.svg.setPointerCapture(e.pointerId); });
    this.svg.addEventListener("pointerup", (e) => this.release(e));
    this.svg.addEventListener("dblclick", () => { this.x = this.whole; this.draw(); });
    this.legend(figure);
    this.draw();
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * W;
    return Math.min(Math.max(px, L), W - R);
  }

  legend(figure) {
    const box = figure.appendChild(Object.assign(document.createElement("div"), { className: "legend" }));
    this.panel.curves.forEach((curve, i) => {
      const button = box.appendChild(document.createElement("button"));
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const sample = make(button, "svg", { width: 26, height: 8, style: "width:26px" });
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
    svg.replaceChildren();
    const y = extent(panel, this.shown, this.x);
    this.sx = scale(...this.x, L, W - R, panel.logx);
    this.sy = scale(...y, H - B, T, panel.logy);
    const id = `clip-${Panel.count = (Panel.count || 0) + 1}`;
    make(make(svg, "clipPath", { id }), "rect", { x: L, y: T, width: W - L - R, height: H - T - B });
    for (const v of ticks(...this.x, panel.logx)) {
      make(svg, "line", { class: "grid", x1: this.sx(v), x2: this.sx(v), y1: T, y2: H - B });
      make(svg, "text", { x: this.sx(v), y: H - B + 14, "text-anchor": "middle" }, short(v));
    }
    for (const v of ticks(...y, panel.logy)) {
      make(svg, "line", { class: "grid", x1: L, x2: W - R, y1: this.sy(v), y2: this.sy(v) });
      make(svg, "text", { x: L - 5, y: this.sy(v) + 4, "text-anchor": "end" }, short(v));
    }
    const area = make(svg, "g", { "clip-path": `url(#${id})` });
    panel.curves.forEach((curve, i) => {
      if (!this.shown[i]) return;
      if (curve.low) {
        const back = path([...panel.x].reverse(), [...curve.high].reverse(), this.sx, this.sy);
        const text = path(panel.x, curve.low, this.sx, this.sy) + back.replace(/^M/, "L");
        make(area, "path", { d: text, fill: curve.colour, "fill-opacity": 0.15 });
      }
      const line = { d: path(panel.x, curve.mean, this.sx, this.sy), fill: "none", stroke: curve.colour };
      make(area, "path", { ...line, class: "curve", "stroke-width": 1.6, "stroke-dasharray": curve.dash });
    });
    make(svg, "rect", { class: "frame", x: L, y: T, width: W - L - R, height: H - T - B });
    make(svg, "text", { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" }, panel.xlabel);
    make(svg, "text", { transform: `translate(12 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle" }, panel.ylabel);
  }

  move(event) {
    const px = this.at(event), { panel } = this;
    if (this.from !== undefined) {
      this.zoom ??= make(this.svg, "rect", { class: "zoom", y: T, height: H - T - B });
      this.zoom.setAttribute("x", Math.min(px, this.from));
      this.zoom.setAttribute("width", Math.abs(px - this.from));
      return;
    }
    let best = 0;
    panel.x.forEach((x, i) => { if (Math.abs(this.sx(x) - px) < Math.abs(this.sx(panel.x[best]) - px)) best = i; });
    this.cursor?.remove();
    const at = this.sx(panel.x[best]);
    this.cursor = make(this.svg, "line", { class: "cursor", x1: at, x2: at, y1: T, y2: H - B });
    this.tip.replaceChildren(`${panel.xlabel}: ${short(panel.x[best])}`);
    const rows = panel.curves.map((c, i) => [c, i]).filter(([, i]) => this.shown[i]);
    rows.sort(([a], [b]) => (b.mean[best] ?? -Infinity) - (a.mean[best] ?? -Infinity));
    for (const [curve] of rows) {
      const line = document.createElement("div");
      const bounds = curve.low ? ` (${short(curve.low[best])} to ${short(curve.high[best])})` : "";
      line.textContent = `${curve.name}: ${short(curve.mean[best])}${bounds}`;
      line.style.borderLeft = `3px solid ${curve.colour}`;
      line.style.paddingLeft = "4px";
      this.tip.append(line);
    }
    const box = this.svg.getBoundingClientRect();
    this.tip.style.display = "block";
    const left = (at / W) * box.width;
    this.tip.style.left = `${left > box.width / 2 ? Math.max(left - this.tip.offsetWidth - 8, 0) : left + 8}px`;
    this.tip.style.top = "10px";
  }

  release(event) {
    const ends = [this.from, this.at(event)].map((p) => this.sx.inverse(p)).sort((a, b) => a - b);
    const wide = Math.abs(this.at(event) - this.from) > 8;
    this.from = this.zoom = undefined;
    if (wide) this.x = ends;
    this.draw();
  }
}

const data = JSON.parse(document.getElementById("data").textContent);
for (const figure of document.querySelectorAll("figure[data-panel]"))
  new Panel(figure, data[Number(figure.dataset.panel)]);
document.documentElement.dataset.drawn = String(document.querySelectorAll("path.curve").length);
