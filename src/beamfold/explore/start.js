// The controls of this file, and the first question.
const SECTIONS = [["Channel", ["channel", "snr_db"]], ["Trade-off", ["weight", "sensing", "target_snr_db"]], ["Hardware", ["network", "chains", "bits", "common"]]];

function build() {
  for (const [title, names] of SECTIONS) {
    const mine = facts.controls.filter((control) => names.includes(control.name));
    if (!mine.length) continue;
    const group = named(at("controls"), "fieldset");
    named(group, "legend", "", title);
    for (const name of names) {
      const control = mine.find((each) => each.name === name);
      if (!control) continue;
      const kind = control.kind === "slider" ? Slider : Choice;
      sliders[name] = new kind(group, control, (value, done) => choose(name, value, done));
    }
  }
  agree();
  for (const [name, control] of Object.entries(sliders)) control.set(state[name]);
}

function choose(name, value, done) {
  if (state[name] === value) return;
  const part = { [name]: value };
  if (name === "network" && !facts.chains[value].includes(state.chains)) {
    const near = facts.chains[value];
    part.chains = near.reduce((a, b) => (Math.abs(b - state.chains) < Math.abs(a - state.chains) ? b : a));
  }
  if (name === "sensing" && value !== "tau" && sliders.bits) part.bits = null;
  if (name === "bits" && value !== null && sliders.sensing) part.sensing = "tau";
  Object.assign(state, part);
  agree();
  change(part, done);
}

// Controls that depend on others: the numbers of chains of a network, the SNR of a target of an objective.
function agree() {
  if (sliders.chains) { sliders.chains.allow(facts.chains[state.network]); sliders.chains.set(state.chains); }
  if (sliders.target_snr_db) sliders.target_snr_db.row.hidden = state.sensing === "tau";
  if (sliders.bits) sliders.bits.set(state.bits);
  if (sliders.sensing) sliders.sensing.set(state.sensing);
}

at("about").textContent = facts.told;
at("help").textContent = facts.live
  ? `beamfold ${facts.version}. The page and its designs stay on this machine. Point at a chart for values, drag over it to zoom, double-click for the whole.`
  : `Made with beamfold ${facts.version}: a table of designs, without a server. ${facts.made}`;
at("show").addEventListener("click", () => {
  at("recipe").hidden = !at("recipe").hidden;
  at("show").setAttribute("aria-expanded", String(!at("recipe").hidden));
  if (!at("recipe").hidden) askRecipe();
});
at("show").setAttribute("aria-expanded", "false");
at("save").hidden = !facts.live;
at("save").addEventListener("click", () => {
  source.save(structuredClone(state)).then((found) => {
    at("saved").textContent = found.saved ? `saved as ${found.saved} in ${found.folder}` : found.error || "";
  }).catch((error) => fail(error, warm));
});
at("controls").addEventListener("submit", (event) => event.preventDefault());
build();
warm();
