// The scripts that have run or do not compile, of all workers together or of this one.

import { html, nothing } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { pathOf } from "../app.js";
import { count, duration, octets, percent } from "../format.js";
import { badge, command, empty, filter, head, time } from "../parts.js";
import { to } from "../router.js";
import { pageArgs, table } from "../table.js";

const total = (one) => Object.values(one.errors).reduce((sum, number) => sum + number, 0);

const COLUMNS = [
  { label: "Script", sort: "", wide: true, cell: (one) => html`${one.name ? html`<span class="name">${one.name}</span>` : html`<span class="dim">all others</span>`} ${states(one)}` },
  { label: "Version", cell: (one) => (one.version ? html`<span class="name" title=${one.changed ? `Changed ${new Date(one.changed * 1000).toLocaleString()}` : ""}>${one.version}</span>` : html`<span class="dim">–</span>`) },
  { label: "Calls", sort: "calls", number: true, cell: (one) => count(one.calls) },
  { label: "Errors", sort: "errors", number: true, cell: (one) => (total(one) ? html`<span class="bad-text">${count(total(one))}</span> <span class="dim">${percent(total(one), one.calls)}</span>` : "0") },
  { label: "Mean time", sort: "mean", number: true, cell: (one) => (one.calls ? duration(one.seconds / one.calls) : "–") },
  { label: "Total time", sort: "seconds", number: true, cell: (one) => duration(one.seconds) },
  { label: "Memory", sort: "memory", number: true, cell: (one) => (one.memory ? octets(one.memory) : "–") },
  { label: "Last error", wide: true, cell: lastError },
];

/** Whether the file has changed since the last error. */
function isMended(one) {
  return one.changed !== null && one.changed > one.last_error_time;
}

function states(one) {
  const isBroken = one.broken || (one.last_reason === "broken" && !isMended(one));
  return html`${isBroken ? badge("does not compile", "bad") : nothing}${one.last_reason === "unreadable" && !isMended(one) ? badge("cannot be read", "bad") : nothing}`;
}

function lastError(one) {
  if (one.broken) return html`<span class="reason">${one.broken}</span>`;
  if (!one.last_error) return html`<span class="dim">none</span>`;
  const reasons = Object.entries(one.errors).map(([reason, number]) => `${count(number)} ${reason}`).join(", ");
  return html`<details><summary><span class="reason">${one.last_error.split("\n", 1)[0]}</span></summary>
    <pre tabindex="0" aria-label="Last error">${one.last_trace || one.last_error}</pre></details>
    <div class="dim">${time(one.last_error_time)}; ${reasons}</div>
    ${pathOf("broker") === undefined ? nothing : html`<a href=${to("letters", [], { subject: one.name })}>Dead letters</a>`}`;
}

function draw(page, at) {
  const none = empty("No script has run yet.", html`<p>Write <code>services/hello.lua</code>:</p>${command('return "Hello, " .. alaskaContext')}
    <p>then send it a request:</p>${command("alas request default hello --content world")}`);
  return html`${head("Scripts", "Since the start of each worker; the memory is the highest at the end of a run.")}
    <div class="bar">${filter(at)}</div>
    ${table(at, "Scripts", COLUMNS, page, (one) => one.name, none)}`;
}

export const scripts = {
  title: "Scripts",
  topics: ["workers", "worker"],
  load: (at, signal) => get(`${pathOf("broker") ?? pathOf("worker")}/scripts`, pageArgs(at), signal),
  draw,
};
