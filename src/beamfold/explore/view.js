// What an answer looks like: the figures, the beampattern, the front, the users, the pictures.
const CURVE = { line: "var(--line)", wanted: "currentColor", here: "#D55E00" };
const THIRTY = [-90, -60, -30, 0, 30, 60, 90];
const shown = {};

function decibels(base64) {
  const bytes = bytesOf(base64), view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) / 100);
}

function angles(count) {
  return Array.from({ length: count }, (_, i) => -90 + (180 * i) / (count - 1));
}

function show(answer) {
  run.answer = answer;
  if (answer.pattern) drawPattern(answer);
  drawFigures();
  drawFront();
  drawUsers(answer.users);
  if (answer.map) drawMap(answer.map);
  if (answer.phases) drawPhases(answer.phases);
  const notes = [...(answer.notes || []), ...answer.faults];
  if (notes.length) trouble(notes.join(" "));
  document.documentElement.dataset.drawn = String(++run.drawn);
}

function drawPattern(answer) {
  const ours = decibels(answer.pattern);
  if (shown.wantedText !== answer.wanted) {
    shown.wantedText = answer.wanted;
    shown.wanted = decibels(answer.wanted);
  }
  const top = 5 * Math.ceil((Math.max(...ours, ...shown.wanted) + 4) / 5); // room for the marks
  shown.top = Math.max(shown.top ?? top, top);
  shown.grid ??= angles(ours.length);
  const panel = {
    title: "Beampattern", x: shown.grid, xlabel: "angle θ [°]", ylabel: "power to θ over Pₜ [dB]", unit: "dB", xticks: THIRTY,
    along: [-90, 90], y: [-30, shown.top], floor: null,
    curves: [
      { name: facts.band ? "benchmark Ψ at the carrier" : "benchmark Ψ", colour: CURVE.wanted, dash: "5 4", mean: shown.wanted },
      { name: facts.band ? "this design, mean over the band" : "this design", colour: CURVE.line, dash: "", mean: ours },
    ],
  };
  if (shown.pattern) { shown.pattern.update(panel); return; }
  shown.pattern = new Panel(at("pattern"), panel);
  shown.pattern.drawn = () => shown.targets?.draw();
  const frame = {
    plot: shown.pattern.plot,
    place: (target) => [shown.pattern.sx(target), T],
    tall: () => shown.pattern.height - B - T,
    read: (x) => shown.pattern.sx.inverse(x),
  };
  placeTargets(frame, at("pattern"));
}

function placeTargets(frame, figure) {
  if (!state.targets_deg) return;
  shown.targets = new Targets(frame, { fixed: !facts.live, change: (list, done) => change({ targets_deg: structuredClone(list) }, done) });
  shown.targets.set(state.targets_deg);
  if (!facts.live) return;
  const tools = div(figure, "tools");
  const add = named(tools, "button", "", "Add a target");
  const remove = named(tools, "button", "", "Remove it");
  add.type = remove.type = "button";
  named(tools, "span", "", "Drag the marks, or choose one and use the arrow keys.");
  add.addEventListener("click", () => shown.targets.add());
  remove.addEventListener("pointerdown", (event) => event.preventDefault()); // the mark stays chosen
  remove.addEventListener("click", () => {
    const i = shown.targets.chosen, list = shown.targets.list;
    if (list.length > 1) shown.targets.remove(i < 0 ? list.length - 1 : i);
  });
}

function milliseconds(seconds) {
  return seconds < 0.1 ? `${short(+(1000 * seconds).toPrecision(2))} ms` : `${short(+seconds.toPrecision(2))} s`;
}

function drawFigures() {
  const { answer } = run, prepared = run.curve?.prepared;
  const goal = state.sensing !== "tau";
  const worst = answer.rcrb_deg && (answer.rcrb_deg.includes(null) ? null : Math.max(...answer.rcrb_deg));
  const rows = [
    ["sum rate R", short(answer.rate), "bit/s/Hz", "Rate of all users together"],
    ["beampattern error τ", short(answer.tau), "", "‖X Xᴴ − Pₜ Ψ‖², how far the design is from the covariance that sensing wants"],
    [goal ? "objective" : "objective R − ωτ", short(answer.objective), "", answer.advice],
    ["worst angle, RCRB", worst === undefined ? "–" : worst === null ? "∞" : `${short(worst)}°`, "", "Root Cramér-Rao bound of the worst target's angle: what no unbiased estimate of it can be better than"],
    ["time per design", milliseconds(prepared ?? answer.seconds), !prepared || !facts.live ? answer.method : `${milliseconds(answer.seconds)} with all checks`, "Measured on this machine, one thread"],
  ];
  if (!shown.figures) {
    shown.figures = rows.map(([name]) => {
      const box = div(at("figures"), "figure");
      named(box, "dt", "", name);
      const value = named(box, "dd");
      return { box, name: box.firstChild, number: named(value, "b"), unit: named(value, "span") };
    });
  }
  rows.forEach(([name, number, unit, about], i) => {
    const held = shown.figures[i];
    held.name.textContent = name;
    held.number.textContent = number;
    held.unit.textContent = unit;
    held.box.title = about;
  });
}

function drawFront() {
  const { answer, curve } = run;
  if (!curve) return;
  const key = JSON.stringify({ ...answer.state, weight: 0 }), current = key === run.front;
  const points = curve.across.map((x, i) => [x, curve.rate[i]]).filter(([x, y]) => x > 0 && y !== null).sort((a, b) => a[0] - b[0]);
  const goal = answer.state.sensing !== "tau";
  const across = goal ? answer.rcrb_deg && Math.max(...answer.rcrb_deg) : answer.tau;
  const colour = CURVE.line;
  const panel = {
    title: "Front", x: points.map(([x]) => x), logx: true, floor: null, unit: "bit/s/Hz",
    xlabel: goal ? "RCRB of the worst target [°]" : "beampattern error τ", ylabel: "sum rate R [bit/s/Hz]",
    curves: [{ name: "over ω", colour, dash: "", mean: points.map(([, y]) => y) }],
    dots: points.map(([x, y]) => ({ x, y, r: 2.5, colour })),
  };
  if (across > 0) panel.dots.push({ x: across, y: answer.rate, r: 6, colour: CURVE.here, here: true });
  if (points.length < 2) return;
  const rates = panel.dots.map((dot) => dot.y), step = 5;
  panel.y = [step * Math.floor(Math.min(...rates) / step), step * Math.ceil(Math.max(...rates) / step)];
  if (panel.y[0] === panel.y[1]) panel.y[1] += step;
  at("front").classList.toggle("old", !current);
  if (shown.front) { shown.front.update(panel); return; }
  shown.front = new Panel(at("front"), panel);
  const legend = named(at("front").querySelector(".legend"), "span", "mark", "you are here");
  legend.prepend(named(legend, "i"));
}

function drawUsers(rates) {
  const box = at("users").querySelector(".bars");
  const most = Math.max(...rates, 1e-9);
  if (!(shown.most >= most && shown.most < 4 * most)) shown.most = 2 * Math.ceil(most / 2) || most;
  while (box.children.length > rates.length) box.lastChild.remove();
  while (box.children.length < rates.length) {
    const row = div(box, "bar");
    named(row, "span", "", `user ${box.children.length - 1}`);
    div(div(row, "track"), "fill");
    named(row, "b");
  }
  rates.forEach((rate, k) => {
    const row = box.children[k];
    row.querySelector(".fill").style.width = `${(100 * rate) / shown.most}%`;
    row.lastChild.textContent = rate.toFixed(2);
  });
}

function drawMap(map) {
  const square = !facts.line, f = facts.band, drawn = facts.drawn;
  if (!shown.map) {
    at("map").hidden = false;
    const title = square ? "Power over azimuth and elevation" : "Power over angle and frequency";
    at("map").firstChild.textContent = title;
    const low = square ? -90 : f[drawn[0]], high = square ? 90 : f[drawn.at(-1)];
    shown.map = new Picture(at("map"), {
      title, height: square ? Math.min(at("map").clientWidth, 540) - 20 : undefined, shades: shadesOf(VIRIDIS, 256),
      x: { low: -90, high: 90, label: square ? "azimuth [°]" : "angle θ [°]", ticks: THIRTY },
      y: { low, high, label: square ? "elevation [°]" : "frequency [GHz]", ticks: square ? THIRTY : undefined },
    });
    if (square) {
      const { plot } = shown.map;
      const frame = { plot, place: ([az, el]) => [shown.map.sx(az), shown.map.sy(el)], read: (x, y) => [shown.map.sx.inverse(x), shown.map.sy.inverse(y)] };
      at("map").classList.add("square");
      at("pattern").replaceWith(at("map")); // the map is what the beampattern is for a line
      placeTargets(frame, at("map"));
      shown.map.drawn = () => shown.targets?.draw();
    }
  }
  const values = bytesOf(map.values), rows = square ? Math.sqrt(values.length) : drawn.length;
  shown.map.update(values, values.length / rows, rows);
  shown.map.explain(`≤ ${short(map.bottom)} dB`, `${short(map.top)} dB`);
}

function drawPhases(phases) {
  const [antennas, chains] = phases.shape;
  if (!shown.phases || shown.chains !== chains) {
    shown.phases?.plot.remove();
    shown.phases?.bar.remove();
    shown.chains = chains;
    const whole = Array.from({ length: chains }, (_, i) => i + 1);
    shown.phases = new Picture(at("phases"), {
      title: "Phases of F", shades: [undefined, ...shadesOf(TWILIGHT, 255)], height: Math.min(Math.max(60 + 26 * chains, 130), 340),
      x: { low: 0.5, high: antennas + 0.5, label: "antenna n", ticks: ticks(1, antennas).filter(Number.isInteger) },
      y: { low: 0.5, high: chains + 0.5, label: "chain m", ticks: chains > 12 ? whole.filter((m) => m % 4 === 0) : whole },
    });
    shown.phases.explain("−π", "π");
  }
  shown.phases.update(bytesOf(phases.values), antennas, chains);
}
