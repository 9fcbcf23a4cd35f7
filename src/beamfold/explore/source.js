// Where the answers come from: the server of a live page, or the table of a page without one.
class Lost extends Error {}

class Served {
  constructor(key) {
    this.key = key;
    this.page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16)).join("");
    this.asked = 0;
  }

  async ask(path, state, number) {
    let answer;
    try {
      answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Beamfold-Key": this.key },
        body: JSON.stringify({ page: this.page, number: number ?? ++this.asked, state }),
      });
    } catch {
      throw new Lost("The server does not answer any more. What is shown is its last answer. Start `beamfold explore` again and open the address that it prints; this page looks for the server meanwhile.");
    }
    if (answer.status === 403) throw new Lost("This page belongs to an earlier run of the explorer. Open the address that `beamfold explore` has printed last.");
    if (!(answer.headers.get("Content-Type") || "").startsWith("application/json")) throw new Error(`the server answered ${answer.status}`);
    return answer.json();
  }

  design(state, number) { return this.ask("/design", state, number); }
  front(state) { return this.ask("/front", state); }
  recipe(state) { return this.ask("/recipe", state); }
  save(state) { return this.ask("/save", state); }
  ready() { return this.ask("/ready", null); }
}

class Table {
  // axes: the values of each control, the last one fastest; answers, one for each combination.
  constructor({ axes, answers, wanted, recipe, prepared }) {
    Object.assign(this, { axes, answers, wanted, text: recipe, prepared });
  }

  at(state) {
    return Object.entries(this.axes).reduce((place, [name, values]) => place * values.length + values.indexOf(state[name]), 0);
  }

  async design(state) { return { wanted: this.wanted, ...this.answers[this.at(state)], state }; }

  async front(state) {
    const found = this.axes.weight.map((weight) => this.answers[this.at({ ...state, weight })]);
    return { weight: this.axes.weight, rate: found.map((a) => a.rate), across: found.map((a) => a.across ?? a.tau), prepared: this.prepared };
  }

  async recipe(state) {
    const filled = (text) => text.replace(/\{(channel|snr_db|weight)\}/g, (_, name) => String(state[name]));
    return { python: filled(this.text.python), command: filled(this.text.command) };
  }

  async ready() { return { ready: true }; }
}
