// The explorer: what the controls say is asked for, and each answer is drawn unless a newer question is under way.
const facts = JSON.parse(document.getElementById("data").textContent);
const source = facts.live ? new Served(facts.key) : new Table(facts.table);
const at = (id) => document.getElementById(id);
const state = { ...facts.state };
const QUIET = 300; // milliseconds without a change after which a new question overtakes one that takes long
const SLOW = 400; // milliseconds of solving for Ψ from which it is solved when a target is let go
const WARM = 500, ALIVE = 3000, AGAIN = 1500; // milliseconds between questions whether the server is there
const run = { sent: 0, flying: false, since: 0, drawn: 0, overtaken: 0, psi: 0, ready: false, lost: false, front: "", answer: undefined };
const sliders = {};

function same(a, b) { return JSON.stringify(a) === JSON.stringify(b); }

function change(part, done) {
  Object.assign(state, part);
  clearTimeout(run.timer);
  if (run.flying) run.timer = setTimeout(send, QUIET);
  const held = "targets_deg" in part && !done && run.psi > SLOW;
  tellState(held ? "Ψ is solved when you let go" : "");
  if (!held) soon();
}

function soon() {
  run.frame ??= requestAnimationFrame(() => { run.frame = undefined; if (!run.flying) send(); });
}

function send() {
  clearTimeout(run.timer);
  if (!run.ready || (run.answer && same(run.answer.state, state) && !run.flying)) { tellState(""); return; }
  const number = ++run.sent, asked = structuredClone(state);
  const targets = !run.answer || !same(run.answer.state.targets_deg, asked.targets_deg);
  Object.assign(run, { flying: true, since: performance.now() });
  clearTimeout(run.waiting);
  run.waiting = setTimeout(() => tellState(targets ? "solving for Ψ of these targets" : "designing"), 150);
  source.design(asked, number).then((answer) => {
    if (number !== run.sent || answer.overtaken) { run.overtaken++; return; }
    clearTimeout(run.waiting);
    run.flying = false;
    if (answer.ready === false) { warm(); return; }
    if (answer.error) { refuse(answer.error); if (!same(asked, state)) soon(); return; }
    if (targets) run.psi = performance.now() - run.since;
    trouble("");
    if (!same(answer.state, state)) send(); // the server works while this one is drawn
    show(answer);
    if (same(answer.state, state)) settle();
  }).catch((error) => { if (number === run.sent) { run.flying = false; fail(error, send); } });
}

function refuse(text) {
  trouble(`${text} The figures are those of the last design that could be made.`);
  tellState("not this design");
  document.body.classList.add("stale");
}

function fail(error, again) {
  clearTimeout(run.waiting);
  trouble(error.message);
  tellState(error instanceof Lost ? "no server" : "failed");
  document.body.classList.add("stale");
  if (!(error instanceof Lost)) return;
  run.lost = true;
  setTimeout(again, AGAIN);
}

function trouble(text) {
  at("trouble").hidden = !text;
  at("trouble").textContent = text;
}

// "" where what is shown is what the controls say.
function tellState(text) {
  const current = run.answer && same(run.answer.state, state);
  const said = text || (current ? "up to date" : run.ready ? "designing" : "starting");
  if (at("state").textContent !== said) at("state").textContent = said;
  at("state").classList.toggle("busy", !current);
  if (current) document.body.classList.remove("stale");
  else if (text) document.body.classList.add("stale");
  document.documentElement.dataset.settled = String(Boolean(current));
}

function settle() {
  tellState("");
  clearTimeout(run.later);
  run.later = setTimeout(askFront, run.answer.seconds > 0.02 ? 600 : 60);
  if (!at("recipe").hidden) askRecipe();
}

function askFront() {
  const key = JSON.stringify({ ...state, weight: 0 });
  if (key === run.front || !same(run.answer.state, state)) return;
  const asked = structuredClone(state);
  source.front(asked).then((front) => {
    at("front").hidden = Boolean(front.error); // no curve for this scenario, which the design still has
    if (front.overtaken || front.error || key !== JSON.stringify({ ...state, weight: 0 })) return;
    run.front = key;
    run.curve = front;
    drawFront();
    drawFigures();
  }).catch((error) => fail(error, send));
}

function askRecipe() {
  const asked = structuredClone(state);
  source.recipe(asked).then((found) => {
    if (found.overtaken || !same(asked, state)) return;
    const [python, command] = at("recipe").querySelectorAll("pre");
    python.textContent = found.python ?? found.error;
    command.textContent = found.command ?? "";
  }).catch((error) => fail(error, askRecipe));
}

// Asks whether the server is there, and while code is compiled, how far it is.
function warm() {
  source.ready().then((answer) => {
    if (run.lost) { run.lost = false; trouble(""); }
    if (answer.ready) {
      const first = !run.ready;
      run.ready = true;
      if (first || !run.answer || !same(run.answer.state, state)) { if (!run.flying) send(); } else tellState("");
      if (facts.live) setTimeout(warm, ALIVE);
      return;
    }
    run.ready = false;
    const about = answer.compiling ? ` of about ${answer.compiling} s, once per installation` : "";
    tellState(`${answer.compiling ? "compiling" : "loading"} the design for this machine: ${Math.round(answer.since)} s${about}`);
    setTimeout(warm, WARM);
  }).catch((error) => { clearTimeout(run.timer); fail(error, warm); });
}
