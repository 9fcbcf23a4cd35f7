// Pictures of many values: power over angle and frequency, and the phases of F.
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const TWILIGHT = ["#e2d9e2", "#9ebbc9", "#6785be", "#5e43a5", "#2f1436", "#8e2c50", "#ba6657", "#ceac94", "#e2d9e2"];

function shadesOf(stops, count) {
  const parts = stops.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Array.from({ length: count }, (_, i) => {
    const at = (i / (count - 1)) * (stops.length - 1), left = Math.min(Math.floor(at), stops.length - 2);
    return parts[left].map((a, c) => Math.round(a + (parts[left + 1][c] - a) * (at - left)));
  });
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

class Picture {
  // x and y are {low, high, label, ticks}: what the ends of the axes are; ticks only where they are given.
  constructor(figure, { title, x, y, shades, height }) {
    Object.assign(this, { x, y, shades, tall: height });
    this.plot = div(figure, "plot");
    this.svg = make(this.plot, "svg", { role: "img", "aria-label": title });
    this.canvas = this.plot.appendChild(document.createElement("canvas"));
    this.image = undefined;
    this.bar = div(figure, "scale");
    this.draw();
    new ResizeObserver(() => { if (this.plot.clientWidth !== this.width) this.draw(); }).observe(this.plot);
  }

  draw() {
    const { svg, canvas, x, y } = this;
    this.width = this.plot.clientWidth;
    this.height = this.tall || Math.round(Math.min(Math.max(this.width * 0.62, 230), 340));
    svg.setAttribute("width", this.width);
    svg.setAttribute("height", this.height);
    svg.replaceChildren();
    const right = this.width - R, bottom = this.height - B;
    this.sx = scale(x.low, x.high, L, right);
    this.sy = scale(y.low, y.high, bottom, T);
    for (const v of x.ticks || ticks(x.low, x.high)) make(svg, "text", { x: this.sx(v), y: bottom + 15, "text-anchor": "middle" }, short(v));
    for (const v of y.ticks || ticks(y.low, y.high)) make(svg, "text", { x: L - 5, y: this.sy(v) + 4, "text-anchor": "end" }, short(v));
    make(svg, "rect", { class: "frame", x: L, y: T, width: right - L, height: bottom - T });
    make(svg, "text", { x: (L + right) / 2, y: this.height - 6, "text-anchor": "middle" }, x.label);
    make(svg, "text", { transform: `translate(12 ${(T + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label);
    Object.assign(canvas.style, { left: `${L}px`, top: `${T}px`, width: `${right - L}px`, height: `${bottom - T}px` });
    this.drawn?.(this);
  }

  // The values row by row, the first row at the bottom.
  update(values, columns, rows) {
    const { canvas, shades } = this;
    if (canvas.width !== columns || canvas.height !== rows || !this.image) {
      Object.assign(canvas, { width: columns, height: rows });
      this.image = canvas.getContext("2d").createImageData(columns, rows);
    }
    const { data } = this.image;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const shade = shades[values[row * columns + column]];
        const at = 4 * ((rows - 1 - row) * columns + column);
        if (!shade) { data[at + 3] = 0; continue; }
        data[at] = shade[0]; data[at + 1] = shade[1]; data[at + 2] = shade[2]; data[at + 3] = 255;
      }
    canvas.getContext("2d").putImageData(this.image, 0, 0);
  }

  // The bar below the picture that says what the colours are.
  explain(left, right) {
    if (!this.bar.firstChild) {
      this.ends = [document.createElement("span"), document.createElement("span")];
      const strip = document.createElement("canvas");
      const shown = this.shades.filter(Boolean);
      Object.assign(strip, { width: shown.length, height: 1 });
      const image = strip.getContext("2d").createImageData(shown.length, 1);
      shown.forEach((shade, i) => image.data.set([...shade, 255], 4 * i));
      strip.getContext("2d").putImageData(image, 0, 0);
      this.bar.append(this.ends[0], strip, this.ends[1]);
    }
    [this.ends[0].textContent, this.ends[1].textContent] = [left, right];
  }
}
