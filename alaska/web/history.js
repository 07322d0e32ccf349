// Charts of the history that the broker keeps.

import { html, nothing } from "./vendor/lit-html.js";
import { get } from "./api.js";
import { withArgs } from "./router.js";

const SPANS = [[60, "1 min"], [300, "5 min"], [3600, "1 h"], [21600, "6 h"], [86400, "24 h"]];
const USUAL = 300;
const RATES = [["accepted", "Accepted", "border"], ["succeeded", "Succeeded", "good"], ["failed", "Failed", "bad"]];
const DEPTHS = [["waiting", "Waiting", "line"], ["in_flight", "In flight", "good"], ["delayed", "Scheduled", "dim"]];

/** Return the history for the span in the address, of one service or of all. */
export function loadHistory(at, signal, service) {
  return get("api/v1/history", { span: at.args.span ?? USUAL, service }, signal);
}

/** Return two charts, with the choice of how far back they go. */
export function charts(at, history) {
  const span = Number(at.args.span ?? USUAL);
  const has = history.times.length > 1;
  return html`<section class="charts" aria-label="Rates and depth">
    <nav class="spans" aria-label="How far back">
      ${SPANS.map(([seconds, text]) => html`<a href=${withArgs(at, { span: seconds === USUAL ? "" : seconds })} aria-current=${seconds === span ? "true" : nothing}>${text}</a>`)}
    </nav>
    <figure><figcaption>Messages per second</figcaption>${has ? chart(history, RATES, span, "rate", "Messages per second") : soon()}</figure>
    <figure><figcaption>Depth</figcaption>${has ? chart(history, DEPTHS, span, "count", "Depth") : soon()}</figure>
  </section>`;
}

function soon() {
  return html`<p class="dim chart-soon">Measuring has just begun.</p>`;
}

function chart(history, columns, span, shape, label) {
  const series = columns
    .filter(([name]) => history.values[name])
    .map(([name, text, colour]) => ({ label: text, colour, values: history.values[name] }));
  const data = { x: history.times, series, from: history.until - span, to: history.until };
  return html`<alaska-chart shape=${shape} label=${label} .data=${data}></alaska-chart>`;
}
