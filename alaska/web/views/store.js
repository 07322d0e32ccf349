// The store, the limits, and the process.

import { html, nothing } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { app, may, pathOf } from "../app.js";
import { NONE, clock, count, duration, octets, percent } from "../format.js";
import { badge, command, facts, head, name, time } from "../parts.js";
import { table } from "../table.js";
import { aboutWorker } from "./overview.js";

async function load(_at, signal) {
  const process = await get("api/v1/process", {}, signal);
  if (pathOf("broker") === undefined) return { process };
  const [store, limits] = await Promise.all([get("api/v1/store", {}, signal), get("api/v1/limits", {}, signal)]);
  // What is nearly used up comes first.
  return { process, store, limits: limits.limits.toSorted((one, other) => share(other) - share(one)) };
}

function draw({ process, store, limits }, at) {
  return html`
    ${head(store ? "Store and limits" : "Process")}
    ${store ? aboutStore(store) : nothing}
    <section class="block"><h2>Process</h2>${facts([
      ["Worst loop lag of 10 s", html`${duration(process.loop_lag)} ${process.loop_lag > 0.5 ? badge("late", "warn") : nothing}`],
      ["Memory", octets(process.memory)],
      ["Processor time", duration(process.cpu_seconds)],
      ["File descriptors", `${count(process.descriptors)} of ${count(process.most_descriptors)}`],
      ["Started", clock(process.started)],
      ["Process", html`${process.pid} on ${name(process.host)}`],
      ["Versions", `Alaska ${process.version}, Python ${process.python}`],
    ])}</section>
    ${limits ? html`<section class="block"><h2>Limits</h2>${table({ ...at, args: {} }, "Limits", LIMITS, { items: limits }, (one) => one.setting, nothing)}</section>` : nothing}
    ${!store && app.live?.worker ? aboutWorker(app.live.worker) : nothing}`;
}

function aboutStore(store) {
  const state = store.complaint ? badge("cannot be written", "bad") : store.durable ? badge("works", "good") : badge("in memory", "warn");
  return html`<section class="block"><h2>Store ${state}</h2>
    ${store.complaint ? html`<p class="fault">${store.complaint}</p>` : nothing}
    ${store.durable ? nothing : html`<p>Messages are lost when the broker ends. The setting <code>store/path</code> of the broker, or <code>worker/broker/store</code> of a worker with an embedded one, names a file for them.</p>`}
    ${facts([
      ["File", octets(store.file_octets)],
      ["Free on its disk", octets(store.free_octets)],
      ["Room for messages", store.has_room ? "yes" : "no"],
      ["Last position", count(store.last_position)],
      ["Batches written", count(store.batches)],
      ["Rows per batch", store.batches ? count(Math.round(store.rows / store.batches)) : NONE],
      ["Time per batch", store.batches ? duration(store.write_seconds / store.batches) : NONE],
      ["Of it, for the disk", store.batches ? duration(store.commit_seconds / store.batches) : NONE],
      ["Failures of writing", count(store.failures)],
      ["Damaged rows", count(store.damaged)],
      ["Last backup", store.last_backup ? time(store.last_backup) : "none since the start"],
    ])}
    ${may("all") && store.durable ? html`<p class="buttons"><a class="button" href="api/v1/backup" download="alaska.backup">Download a backup</a></p>`
      : html`<p class="dim">A backup: ${command("alas backup FILE")}</p>`}
  </section>`;
}

const IN_OCTETS = /size/;
const IN_SECONDS = /timeout|ttl|age/;

function amount(one, value) {
  if (value === null) return NONE;
  if (IN_OCTETS.test(one.setting)) return octets(value);
  return IN_SECONDS.test(one.setting) ? duration(value) : count(value);
}

/** Return which share of a limit is used, -1 if that is not one number. */
function share(one) {
  return one.most && one.used !== null ? one.used / one.most : -1;
}

const LIMITS = [
  { label: "Setting", wide: true, cell: (one) => name(one.setting) },
  { label: "Limit", number: true, cell: (one) => (one.most === null ? "none" : amount(one, one.most)) },
  { label: "Used", number: true, cell: (one) => amount(one, one.used) },
  { label: "Share", cell: (one) => (share(one) < 0 ? NONE : html`<meter min="0" max="1" high="0.8" optimum="0" value=${share(one)} aria-label=${`Share of ${one.setting}`}></meter> <span class="dim">${percent(one.used, one.most)}</span>`) },
];

export const store = { title: "Store and limits", topics: ["queues", "worker"], load, draw };
