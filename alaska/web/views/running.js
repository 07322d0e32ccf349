// What runs now: the requests that clients have, or that the slots of a single worker have taken.

import { html, nothing } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { app, may, pathOf } from "../app.js";
import { NONE, count, many, octets, oneLine } from "../format.js";
import { cancelAll, filters, listArgs, messages } from "../messages.js";
import { empty, filter, head, name, needs, since } from "../parts.js";
import { pageArgs, table } from "../table.js";

const MOST_WORKERS = 500;
const IDLE = empty("Nothing runs.", html`<p>Requests that workers have, and mail that its owner has, are shown here until they are confirmed.</p>`);

async function load(at, signal) {
  if (pathOf("broker") === undefined) return { slots: await get("api/v1/worker/running", pageArgs(at), signal) };
  const workers = get("api/v1/workers", { limit: MOST_WORKERS }, signal);
  if (!may("operate")) return { workers: await workers };
  const query = { state: "running", service: at.args.service, ...listArgs(at) };
  const [page, told] = await Promise.all([get("api/v1/messages", query, signal), workers]);
  const limits = new Map(told.items.map(({ overview }) => [overview.address, overview.time_limit]));
  return { page: { ...page, items: page.items.map((one) => ({ ...one, limit: limits.get(one.client) })) } };
}

function draw(data, at) {
  if (data.slots) return drawSlots(data.slots, at);
  if (!data.page) return drawProgress(data.workers);
  const service = at.args.service;
  const actions = cancelAll(at, "running", { service }, data.page.total, true);
  return html`
    ${head("Running", "The longest first within each queue; a script is ended at its limit.", actions)}
    <div class="bar">${filters(at)}</div>
    ${messages(at, "running", data.page, IDLE)}`;
}

/** What everybody may see: the scripts that tell how far they are. */
function drawProgress(workers) {
  const told = workers.items.flatMap((worker) => worker.progress.map((one) => ({ ...one, worker: worker.overview.address })));
  return html`
    ${head("Running", `${many(app.live?.broker?.in_flight ?? 0, "message")} with clients.`)}
    ${told.length ? html`<section class="block"><h2>Scripts that tell how far they are</h2><ul class="lines">${told.map((one) => html`<li>
      <span class="grow">${name(one.subject)} <span class="dim">${oneLine(one.text)}</span></span>
      <progress max="1" value=${one.fraction} aria-label="Progress"></progress><span>${since(one.since)}</span></li>`)}</ul></section>` : nothing}
    ${needs("operate", "The single requests")}`;
}

const SLOTS = [
  { label: "Subject", wide: true, cell: (one) => name(one.subject) },
  { label: "From", cell: (one) => name(one.sender) },
  { label: "Runs for", number: true, cell: (one) => since(one.received) },
  { label: "Progress", cell: (one) => (one.progress === null ? NONE : html`<progress max="1" value=${one.progress} aria-label="Progress"></progress> ${oneLine(one.progress_text)}`) },
  { label: "Attempt", number: true, cell: (one) => count(one.attempt) },
  { label: "Size", number: true, cell: (one) => octets(one.octets) },
];

function drawSlots(page, at) {
  return html`${head("Running", "The requests that the slots of this worker have taken.")}
    <div class="bar">${filter(at, "Filter by subject")}</div>
    ${table(at, "Running requests", SLOTS, page, (one) => `${one.tracker} ${one.received}`, empty("Nothing runs."))}`;
}

export const running = { title: "Running", topics: ["queues", "worker"], load, draw };
