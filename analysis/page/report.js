// The page: two groups of charts, each with its controls; and the read-out.

const content = JSON.parse(document.getElementById("content").textContent);
const readout = document.getElementById("readout");
const spoken = document.getElementById("spoken");

function paragraph(kind, text) {
  const element = document.createElement("p");
  element.className = kind;
  element.textContent = text;
  return element;
}

class Group {
  constructor(name) {
    this.controls = document.querySelector(`.controls[data-group="${name}"]`);
    const figures = document.querySelectorAll(`[data-group="${name}"] .chart`);
    this.charts = Array.from(figures, (figure) => new Chart(figure, content.charts[figure.dataset.chart], content.grids));
    this.state = {
      x: "iteration", band: true, seeds: this.controls.querySelector("[data-show=seeds]").checked,
      hidden: new Set(), hiddenSeeds: new Set(),
    };
    this.controls.hidden = false;
    this.controls.addEventListener("change", (event) => this.change(event.target));
    this.controls.addEventListener("click", (event) => this.toggle(event.target.closest(".chip")));
    const watcher = new ResizeObserver((entries) => {
      const figures = new Set(entries.map((entry) => entry.target));
      for (const chart of this.charts) {
        if (figures.has(chart.figure) && chart.figure.clientWidth !== chart.width) this.drawOne(chart);
      }
    });
    for (const chart of this.charts) {
      watcher.observe(chart.figure);
      this.listen(chart);
    }
    this.draw();
  }

  change(input) {
    if (input.type === "radio") this.state.x = input.value;
    if (input.dataset.show) this.state[input.dataset.show] = input.checked;
    this.draw();
  }

  toggle(chip) {
    if (!chip) return;
    const seed = chip.dataset.seed !== undefined;
    const [set, item] = seed ? [this.state.hiddenSeeds, chip.dataset.seed] : [this.state.hidden, Number(chip.dataset.name)];
    const hide = !set.has(item);
    if (hide) set.add(item);
    else set.delete(item);
    chip.setAttribute("aria-pressed", String(!hide));
    this.draw();
  }

  range(chart) {
    if (chart.spec.range) return chart.spec.range;
    const together = this.charts.filter((other) => chart === other || (chart.spec.share && chart.spec.share === other.spec.share));
    return extent(together.flatMap((other) => other.values(this.state)));
  }

  drawOne(chart) {
    chart.draw(this.state, this.range(chart));
  }

  draw() {
    hide(this.charts);
    this.controls.querySelector(".seeds").hidden = !this.state.seeds;
    for (const chart of this.charts) this.drawOne(chart);
  }

  listen(chart) {
    const at = (event) => {
      const box = chart.drawing.getBoundingClientRect();
      const along = ((event.clientX - box.left) * (chart.width / box.width) - chart.left) / (chart.width - chart.left - 12);
      const place = along * chart.most;
      const stops = chart.stops(this.state);
      if (!stops.length) return;
      const nearest = stops.reduce((best, stop) => (Math.abs(stop - place) < Math.abs(best - place) ? stop : best));
      this.show(chart, nearest);
    };
    chart.figure.addEventListener("pointermove", (event) => event.target.closest("svg") && at(event));
    chart.figure.addEventListener("pointerdown", (event) => event.target.closest("svg") && at(event));
    chart.figure.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide([chart]));
    chart.figure.addEventListener("focusout", () => hide([chart]));
    chart.figure.addEventListener("keydown", (event) => {
      const stops = chart.stops(this.state);
      const now = stops.indexOf(chart.place);
      const next = { ArrowLeft: Math.max(now - 1, 0), ArrowRight: Math.min(now + 1, stops.length - 1), Home: 0, End: stops.length - 1 }[event.key];
      if (event.key === "Escape") hide([chart]);
      if (next === undefined || !stops.length) return;
      event.preventDefault();
      this.show(chart, stops[next]);
      spoken.textContent = Array.from(readout.children, (line) => line.textContent).join(". ");
    });
  }

  show(chart, place) {
    const rows = chart.read(this.state, place);
    if (shown && shown !== chart) hide([shown]);
    shown = chart;
    chart.place = place;
    chart.mark(rows, place);
    const digits = chart.spec.group === "return" ? 0 : 3;
    const lines = [paragraph("when", chart.unit.say(place))];
    for (const row of rows) {
      const interval = row.low !== null && this.state.band ? ` [${words(row.low, digits)}, ${words(row.high, digits)}]` : "";
      const mean = row.mean === null ? "not every seed is there" : words(row.mean, digits) + interval;
      const line = paragraph("name", `${content.names[row.name]} ${mean}`);
      line.style.setProperty("--own", `var(--c${row.name % COLOURS})`);
      lines.push(line);
      if (row.seeds.length) {
        lines.push(paragraph("single", row.seeds.map(([seed, value]) => `seed ${seed}: ${words(value, digits)}`).join(", ")));
      }
    }
    for (const rule of chart.spec.rules.filter((one) => one.label)) {
      lines.push(paragraph("when", `${rule.label} ${words(rule.value, digits)}`));
    }
    readout.replaceChildren(...lines);
    readout.hidden = false;
    // Beside the place, on the side that has room; below the chart where neither has.
    const box = chart.drawing.getBoundingClientRect();
    const middle = box.left + chart.x(place) * (box.width / chart.width);
    const [wide, page] = [readout.offsetWidth, document.documentElement.clientWidth];
    const right = middle + 14 + wide <= page - 8;
    const fits = right || middle - 14 - wide >= 8;
    const left = right ? middle + 14 : middle - 14 - wide;
    readout.style.left = `${window.scrollX + (fits ? left : Math.max(8, Math.min(middle - wide / 2, page - 8 - wide)))}px`;
    readout.style.top = `${window.scrollY + (fits ? box.top + 10 : box.bottom + 4)}px`;
  }
}

let shown = null;

function hide(charts) {
  for (const chart of charts) {
    chart.unmark();
    chart.place = undefined;
    if (shown === chart) {
      shown = null;
      readout.hidden = true;
    }
  }
}

document.addEventListener("pointerdown", (event) => {
  if (shown && !shown.figure.contains(event.target)) hide([shown]);
});
for (const hint of document.querySelectorAll(".hint")) hint.hidden = false;
const tasks = document.querySelectorAll("details.task");
if (window.innerWidth <= 600) tasks.forEach((task, index) => { task.open = index === 0; });
const groups = Array.from(document.querySelectorAll(".controls"), (controls) => new Group(controls.dataset.group));
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const group of groups) group.draw();
});
