// The scripts that have run or do not compile, of all workers together or of this one.

import { html, nothing } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { pathOf } from "../app.js";
import { NONE, clock, count, duration, octets, percent, visible } from "../format.js";
import { badge, command, empty, facts, filter, head, link, name, tile, time } from "../parts.js";
import { to } from "../router.js";
import { pageArgs, table } from "../table.js";

const total = (one) => Object.values(one.errors).reduce((sum, number) => sum + number, 0);

const COLUMNS = [
  { label: "Script", sort: "", wide: true, cell: (one) => html`${one.name ? link("scripts", [one.name], one.name) : html`<span class="dim">all others</span>`} ${states(one)}` },
  { label: "Version", short: true, cell: (one) => (one.version ? html`<span class="name" title=${one.changed ? `Changed ${new Date(one.changed * 1000).toLocaleString()}` : ""}>${one.version}</span>` : NONE) },
  { label: "Calls", sort: "calls", number: true, cell: (one) => count(one.calls) },
  { label: "Errors", sort: "errors", number: true, cell: (one) => errors(one) },
  { label: "Mean time", sort: "mean", number: true, cell: (one) => (one.calls ? duration(one.seconds / one.calls) : NONE) },
  { label: "Total time", sort: "seconds", number: true, cell: (one) => duration(one.seconds) },
  { label: "Memory", sort: "memory", number: true, cell: (one) => (one.memory ? octets(one.memory) : NONE) },
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
  if (one.broken) return html`<span class="reason">${visible(one.broken)}</span>`;
  if (!one.last_error) return NONE;
  return html`<a class="reason" href=${to("scripts", [one.name])}>${visible(one.last_error.split("\n", 1)[0])}</a>
    <div class="dim">${time(one.last_error_time)}; ${reasons(one)}</div>`;
}

function reasons(one) {
  return Object.entries(one.errors).map(([reason, number]) => `${count(number)} × ${reason.replace("_", " ")}`).join(", ");
}

function errors(one) {
  if (!total(one)) return "0";
  return html`<span class="bad-text">${count(total(one))}</span><span class="dim also">${percent(total(one), one.calls)}</span>`;
}

function draw({ page, one }, at) {
  if (at.parts.length) return drawOne(one, at);
  const none = empty("No script has run yet.", html`<p>Write <code>services/hello.lua</code>:</p>${command('return "Hello, " .. alaskaContext')}
    <p>then send it a request:</p>${command("alas request default hello --content world")}`);
  return html`${head("Scripts", "Since the start of each worker; the memory is the highest at the end of a run.")}
    <div class="bar">${filter(at)}</div>
    ${table(at, "Scripts", COLUMNS, page, (one) => one.name, none)}`;
}

function drawOne(one, at) {
  const [script] = at.parts;
  const back = html`<a href=${to("scripts")}>Scripts</a>`;
  if (!one) return html`${head(script, back)}<p class="dim">It has not run since the workers started.</p>`;
  const fault = one.broken || one.last_trace || one.last_error;
  return html`
    ${head(script, html`${back} ${states(one)}`)}
    <dl class="tiles">
      ${tile("Calls", count(one.calls))}
      ${tile("Errors", count(total(one)), total(one) ? `${percent(total(one), one.calls)}: ${reasons(one)}` : nothing, total(one) ? "bad" : "")}
      ${tile("Mean time", one.calls ? duration(one.seconds / one.calls) : NONE, `${duration(one.seconds)} in all`)}
      ${tile("Memory", one.memory ? octets(one.memory) : NONE)}
    </dl>
    <section class="block"><h2>${one.broken ? "Why it does not compile" : "Last error"} ${fault && !one.broken ? html`<span class="dim">${time(one.last_error_time)}</span>` : nothing}</h2>
      ${fault ? html`<pre tabindex="0" aria-label="Stack trace">${visible(fault)}</pre>` : html`<p class="dim">There was none.</p>`}
      ${fault && pathOf("broker") !== undefined ? html`<p><a href=${to("letters", [], { subject: script })}>Its dead letters</a></p>` : nothing}</section>
    <section class="block"><h2>File</h2>${facts([
      ["Version", one.version ? name(one.version) : NONE],
      ["Changed", clock(one.changed)],
      ["Workers", count(one.workers)],
    ])}</section>`;
}

async function load(at, signal) {
  const path = `${pathOf("broker") ?? pathOf("worker")}/scripts`;
  if (!at.parts.length) return { page: await get(path, pageArgs(at), signal) };
  const [script] = at.parts;
  const { items } = await get(path, { match: `^${script}`, limit: 1 }, signal);
  return { one: items.find((each) => each.name === script) ?? null };
}

export const scripts = { title: "Scripts", topics: ["workers", "worker"], load, draw };
