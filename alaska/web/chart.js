// Charts of what the broker has kept: an element that draws with uPlot, in the colours of the style sheet.

import { count, octets, rate } from "./format.js";

const SHAPES = { rate, count, octets };
const HEIGHT = 190;
/** The seconds that there may be between two times of the axis. */
const STEPS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/**
 * <alaska-chart .data=${{x, series: [{label, values, colour}]}} shape="rate" label="…">
 *
 * Values may be null. The legend is text, and so can be read without the picture.
 */
class Chart extends HTMLElement {
  #plot = null;
  #data = null;
  #sizes = new ResizeObserver(() => this.#resize());
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #again = () => this.#rebuild();

  connectedCallback() {
    this.setAttribute("role", "img");
    this.#sizes.observe(this);
    this.#dark.addEventListener("change", this.#again);
    addEventListener("alaska-theme", this.#again);
    this.#rebuild();
  }

  disconnectedCallback() {
    this.#sizes.disconnect();
    this.#dark.removeEventListener("change", this.#again);
    removeEventListener("alaska-theme", this.#again);
    this.#plot?.destroy();
    this.#plot = null;
  }

  set data(data) {
    const before = this.#data;
    this.#data = data;
    if (!this.isConnected) return;
    const same = before && this.#plot && names(before) === names(data);
    if (same) this.#plot.setData(columns(data));
    else this.#rebuild();
    this.#describe();
  }

  #describe() {
    const shape = SHAPES[this.getAttribute("shape")] ?? count;
    const last = (this.#data?.series ?? []).map((each) => `${each.label} ${shape(each.values.at(-1))}`);
    this.setAttribute("aria-label", `${this.getAttribute("label")}: now ${last.join(", ")}`);
  }

  #rebuild() {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.#data || !this.isConnected || typeof uPlot === "undefined") return;
    this.#plot = new uPlot(this.#options(), columns(this.#data), this);
    this.#describe();
  }

  #resize() {
    const width = this.clientWidth;
    if (this.#plot && width > 50) this.#plot.setSize({ width, height: HEIGHT });
  }

  /** Return a colour of the style sheet for a canvas, which does not know `light-dark()`. */
  #colour(name) {
    this.style.color = `var(--${name})`;
    const found = getComputedStyle(this).color;
    this.style.color = "";
    return found;
  }

  #options() {
    const colour = (name) => this.#colour(name);
    const shape = SHAPES[this.getAttribute("shape")] ?? count;
    const axis = { stroke: colour("dim"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    return {
      width: Math.max(this.clientWidth, 50),
      height: HEIGHT,
      // Room for half a time at the right end of the axis.
      padding: [10, 32, 0, 0],
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      legend: { live: true },
      scales: { x: { range: () => [this.#data.from, this.#data.to] }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.08] } },
      axes: [
        { ...axis, size: 28, space: 72, incrs: STEPS, values: [[3600, "{HH}:{mm}"], [60, "{HH}:{mm}"], [1, "{HH}:{mm}:{ss}"]].map(([step, text]) => [step, text, null, null, null, null, null, null, 1]) },
        { ...axis, size: 58, space: 40, values: (_, ticks) => ticks.map((tick) => shape(tick)) },
      ],
      series: [
        { label: "At", value: (_, value) => (value ? uPlot.fmtDate("{HH}:{mm}:{ss}")(new Date(value * 1000)) : "now") },
        ...this.#data.series.map((each) => ({
          label: each.label,
          stroke: colour(each.colour),
          width: 1.5,
          points: { show: false },
          spanGaps: false,
          value: (plot, value, series, index) => shape(index === null ? plot.data[series].at(-1) : value),
        })),
      ],
    };
  }
}

function columns(data) {
  return [data.x, ...data.series.map((each) => each.values)];
}

function names(data) {
  return data.series.map((each) => each.label).join("\n");
}

customElements.define("alaska-chart", Chart);
