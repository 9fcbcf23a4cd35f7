// The marks of the targets on a chart: dragged, moved by the arrow keys, removed by Delete.
const MOST = 8;

function degrees(target) {
  const text = (v) => `${short(v)}°`;
  return Array.isArray(target) ? target.map(text).join(" / ") : text(target);
}

class Targets {
  // frame: plot, place(target) → [x, y] in pixels, read(x, y) → target; fixed where they can't be moved.
  constructor(frame, { fixed, change }) {
    Object.assign(this, { frame, fixed, change, list: [], marks: [] });
  }

  set(list) {
    this.list = list.map((target) => (Array.isArray(target) ? [...target] : target));
    this.draw();
  }

  draw() {
    while (this.marks.length > this.list.length) this.marks.pop().remove();
    while (this.marks.length < this.list.length) this.marks.push(this.mark(this.marks.length));
    this.list.forEach((target, i) => {
      const mark = this.marks[i], [x, y] = this.frame.place(target);
      Object.assign(mark.style, { left: `${x}px`, top: `${y}px` });
      if (this.frame.tall) mark.firstChild.style.height = `${this.frame.tall()}px`;
      mark.lastChild.textContent = degrees(target);
      mark.setAttribute("aria-valuetext", degrees(target));
      mark.setAttribute("aria-valuenow", Array.isArray(target) ? target[0] : target);
      mark.setAttribute("aria-label", `target ${i + 1}`);
    });
  }

  mark(i) {
    const mark = div(this.frame.plot, `target${this.fixed ? " fixed" : ""}`);
    div(mark, "line");
    div(mark, "knob");
    if (this.fixed) return mark;
    const about = { role: "slider", tabindex: "0", "aria-valuemin": "-90", "aria-valuemax": "90" };
    for (const [key, value] of Object.entries(about)) mark.setAttribute(key, value);
    mark.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      mark.focus();
      mark.setPointerCapture(event.pointerId);
      mark.dragged = true;
    });
    mark.addEventListener("pointermove", (event) => {
      if (!mark.dragged) return;
      const box = this.frame.plot.getBoundingClientRect();
      this.move(i, this.frame.read(event.clientX - box.left, event.clientY - box.top), false);
    });
    for (const kind of ["pointerup", "pointercancel"])
      mark.addEventListener(kind, () => { if (mark.dragged) { mark.dragged = false; this.change(this.list, true); } });
    mark.addEventListener("keydown", (event) => this.key(event, i));
    return mark;
  }

  move(i, target, done) {
    const held = (v) => Math.min(Math.max(Math.round(v), -90), 90);
    const next = Array.isArray(target) ? target.map(held) : held(target);
    if (String(next) === String(this.list[i]) && !done) return;
    this.list[i] = next;
    this.draw();
    this.change(this.list, done);
  }

  key(event, i) {
    const step = event.shiftKey ? 5 : 1, at = this.list[i];
    const [across, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] || [0, 0];
    if (across || up) {
      const next = Array.isArray(at) ? [at[0] + step * across, at[1] + step * up] : at + step * (across || up);
      this.move(i, next, true);
    } else if ((event.key === "Delete" || event.key === "Backspace") && this.list.length > 1) this.remove(i);
    else return;
    event.preventDefault();
  }

  get chosen() {
    return Math.max(this.marks.findIndex((mark) => mark === document.activeElement), -1);
  }

  remove(i) {
    this.list.splice(i, 1);
    this.draw();
    this.change(this.list, true);
  }

  add() {
    if (this.list.length >= MOST) return;
    const pair = Array.isArray(this.list[0]);
    const at = [-90, ...this.list.map((t) => (pair ? t[0] : t)).sort((a, b) => a - b), 90];
    const gaps = at.slice(1).map((v, i) => v - at[i]), widest = gaps.indexOf(Math.max(...gaps));
    const middle = Math.round((at[widest] + at[widest + 1]) / 2);
    this.list.push(pair ? [middle, 0] : middle);
    this.draw();
    this.change(this.list, true);
    this.marks.at(-1).focus();
  }
}
