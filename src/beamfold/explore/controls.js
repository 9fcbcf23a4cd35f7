// The controls of the page: sliders over lists of values, and choices among words.
function named(parent, kind, name, text) {
  const node = parent.appendChild(document.createElement(kind));
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

class Slider {
  // control: name, label, values or size, unit; change(value, done) is called while it moves and when it is let go.
  constructor(parent, control, change) {
    this.control = control;
    this.row = named(parent, "label", "slider");
    named(this.row, "span", "name", control.label);
    this.output = named(this.row, "output");
    this.input = named(this.row, "input");
    Object.assign(this.input, { type: "range", min: 0, step: 1, name: control.name });
    this.allow(control.values);
    this.input.addEventListener("input", () => { this.tell(); change(this.value, false); });
    this.input.addEventListener("change", () => change(this.value, true));
  }

  allow(values) {
    this.values = values;
    this.input.max = (this.control.size || values.length) - 1;
    this.row.classList.toggle("single", Number(this.input.max) < 1);
    this.input.disabled = Number(this.input.max) < 1;
  }

  get value() {
    const at = Number(this.input.value);
    return this.control.size ? at : this.values[at];
  }

  set(value) {
    const apart = (v) => Math.abs(v - value);
    const place = this.control.size ? value : this.values.reduce((best, v, i) => (apart(v) < apart(this.values[best]) ? i : best), 0);
    this.input.value = place;
    this.tell();
  }

  tell() {
    const unit = this.control.unit ? ` ${this.control.unit}` : "";
    const text = this.control.size ? String(this.value) : short(this.value) + unit;
    this.output.textContent = text;
    this.input.setAttribute("aria-valuetext", text);
  }
}

class Choice {
  constructor(parent, control, change) {
    this.values = control.values;
    this.row = named(parent, "label", "choice");
    named(this.row, "span", "name", control.label);
    this.input = named(this.row, "select");
    this.input.name = control.name;
    control.texts.forEach((text, i) => { named(this.input, "option", "", text).value = i; });
    this.input.addEventListener("change", () => change(this.value, true));
  }

  get value() {
    return this.values[Number(this.input.value)];
  }

  set(value) {
    this.input.value = this.values.indexOf(value);
  }
}
