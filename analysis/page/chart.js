"use strict";
// One chart: axes, bands, lines, and what they say at one place. Text goes into the page as text only.

const COLOURS = 6;

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Ticks at 1, 2, 2.5 or 5 times a power of ten, about `count` of them.
function ticksOf(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function words(value, digits = 0) {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const exact = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 6 });

// Of what x counts: its name on an axis, how many make one unit, and a value of it in words.
function unitOf(axis, most) {
  if (axis === "iteration") return { label: "Iteration", size: 1, say: (x) => `Iteration ${words(x)}` };
  if (axis === "env_steps") return { label: "Environment steps", size: 1, say: (x) => `${words(x)} environment steps` };
  const [name, size] = most < 180 ? ["seconds", 1] : most < 3 * 3600 ? ["minutes", 60] : ["hours", 3600];
  return { label: `Wall time (${name})`, size, say: (x) => `${words(x / size, 1)} ${name} of wall time` };
}

function extent(lists) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const value of list) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

class Chart {
  constructor(figure, spec, grids) {
    Object.assign(this, { figure, spec, grids });
    this.small = figure.parentElement.classList.contains("small");
  }

  xOf(line, axis, seed) {
    const values = this.grids[line.grid][axis];
    return (seed !== undefined && values.seeds && values.seeds[seed]) || values.mean;
  }

  lines(state) {
    return this.spec.lines.filter((line) => !state.hidden.has(line.name));
  }

  seeds(line, state) {
    return state.seeds ? Object.keys(line.seeds).filter((seed) => !state.hiddenSeeds.has(seed)) : [];
  }

  // All values that are seen, for the y-axis; charts of one environment share theirs.
  values(state) {
    const shown = this.lines(state).flatMap((line) => [
      line.mean, ...(state.band ? [line.low, line.high] : []), ...this.seeds(line, state).map((seed) => line.seeds[seed]),
    ]);
    return [...shown, this.spec.rules.map((rule) => rule.value)];
  }

  draw(state, range) {
    const width = this.figure.clientWidth;
    if (!width) return; // in a closed part of the page
    const { spec } = this;
    const axis = state.x;
    const height = this.small ? 150 : 250;
    const bottom = height - (this.small ? 32 : 36);
    const most = extent(spec.lines.flatMap((line) => [
      this.xOf(line, axis), ...Object.keys(line.seeds).map((seed) => this.xOf(line, axis, seed))]))[1] || 1;
    const unit = unitOf(axis, most);
    let [low, high] = range;
    const margin = spec.range ? 0 : (high - low || Math.abs(high) || 1) * 0.04;
    [low, high] = [low - margin, high + margin];
    const yTicks = ticksOf(low, high, this.small ? 3 : 5);
    const left = 8 + 6.4 * Math.max(...yTicks.map((tick) => exact(tick).length));
    const x = (value) => left + (value / most) * (width - left - 12);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - 8);
    const drawing = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "img",
      "aria-label": `${this.title()}, against ${unit.label.toLowerCase()}. Arrow keys read values.`,
    });
    for (const tick of yTicks) {
      drawing.append(
        svg("line", { class: "gridline", x1: left, x2: width - 12, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, exact(tick).replace("-", "−")),
      );
    }
    for (const tick of ticksOf(0, most / unit.size, Math.max(2, Math.min(6, Math.floor((width - left) / 85))))) {
      const label = exact(tick);
      const over = x(tick * unit.size) + 3.2 * label.length > width; // the last one would be cut
      drawing.append(svg("text", { x: over ? width : x(tick * unit.size), y: bottom + 15, "text-anchor": over ? "end" : "middle" }, label));
    }
    drawing.append(
      svg("line", { class: "baseline", x1: left, x2: width - 12, y1: bottom, y2: bottom }),
      svg("text", { x: (left + width - 12) / 2, y: height - 3, "text-anchor": "middle" }, unit.label),
    );
    const path = (xs, ys) => ys.map((value, index) => [xs[index], value])
      .filter(([place, value]) => place !== null && value !== null)
      .map(([place, value], index) => `${index ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const visible = this.lines(state).reverse(); // the first one's dashes lie over the others
    for (const line of state.band ? visible : []) {
      const there = line.low.map((value, index) => index).filter((index) => line.low[index] !== null);
      if (!there.length) continue;
      const xs = this.xOf(line, axis);
      const around = [...there.map((i) => [xs[i], line.high[i]]), ...there.reverse().map((i) => [xs[i], line.low[i]])];
      const points = around.map(([place, value]) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
      drawing.append(svg("polygon", { class: `band fill-${line.name % COLOURS}`, points }));
    }
    for (const rule of spec.rules) {
      const title = svg("title", {}, `${rule.label || "D"} ${exact(rule.value)}`);
      const place = { x1: left, x2: width - 12, y1: y(rule.value), y2: y(rule.value) };
      drawing.append(svg("line", { class: rule.label ? "rule" : "rule plain", ...place }, title));
      if (rule.label) {
        const text = this.small ? rule.label : `${rule.label} ${exact(Math.round(rule.value))}`;
        const above = y(rule.value) > 24 ? -4 : 13;
        drawing.append(svg("text", { class: "rule-label", x: left + 4, y: y(rule.value) + above }, text));
      }
    }
    for (const line of visible) {
      for (const seed of this.seeds(line, state)) {
        const d = path(this.xOf(line, axis, seed), line.seeds[seed]);
        drawing.append(svg("path", { class: `seed line-${line.name % COLOURS}`, d, "data-seed": seed }));
      }
    }
    for (const line of visible) {
      const one = line.mean.findIndex((value) => value !== null);
      const single = line.mean.filter((value) => value !== null).length === 1;
      const kind = `line-${line.name % COLOURS}`;
      drawing.append(single
        ? svg("circle", { class: `fill-${line.name % COLOURS}`, r: 3.5, cx: x(this.xOf(line, axis)[one]), cy: y(line.mean[one]), "data-name": line.name })
        : svg("path", { class: `mean ${kind}`, d: path(this.xOf(line, axis), line.mean), "data-name": line.name }));
    }
    this.cross = svg("g", { visibility: "hidden" });
    drawing.append(this.cross);
    const focused = this.drawing === document.activeElement && this.drawing;
    if (this.drawing) this.drawing.replaceWith(drawing);
    else this.figure.append(drawing);
    Object.assign(this, { drawing, width, x, y, unit, most, left, bottom });
    if (focused) drawing.focus();
  }

  title() {
    const task = this.figure.closest("details");
    const caption = this.figure.querySelector("figcaption").textContent;
    return task ? `${task.querySelector("summary").textContent.trim()}: ${caption}` : caption;
  }

  // All x that a visible line has a value at, from left to right.
  stops(state) {
    const places = this.lines(state).flatMap((line) => this.xOf(line, state.x));
    return [...new Set(places.filter((place) => place !== null))].sort((a, b) => a - b);
  }

  // What is to be read at a place: of each visible line, its point that is nearest to it.
  read(state, place) {
    const rows = [];
    for (const line of this.lines(state)) {
      const xs = this.xOf(line, state.x);
      let best = -1;
      xs.forEach((value, index) => {
        if (value !== null && (best < 0 || Math.abs(value - place) < Math.abs(xs[best] - place))) best = index;
      });
      const gap = xs.length > 1 ? this.most / (xs.length - 1) : this.most;
      if (best < 0 || Math.abs(xs[best] - place) > gap) continue; // its line has ended before
      const seeds = this.seeds(line, state).map((seed) => [seed, line.seeds[seed][best]]).filter(([, value]) => value !== null);
      rows.push({ name: line.name, at: xs[best], mean: line.mean[best], low: line.low[best], high: line.high[best], seeds });
    }
    return rows;
  }

  mark(rows, place) {
    this.cross.replaceChildren(svg("line", { class: "cross", x1: this.x(place), x2: this.x(place), y1: 8, y2: this.bottom }));
    for (const row of rows) {
      if (row.mean === null) continue;
      this.cross.append(svg("circle", { class: `dot fill-${row.name % COLOURS}`, cx: this.x(row.at), cy: this.y(row.mean), r: 4 }));
    }
    this.cross.setAttribute("visibility", "visible");
  }

  unmark() {
    if (this.cross) this.cross.setAttribute("visibility", "hidden");
  }
}
