// The process in one look.

import { html, nothing } from "../vendor/lit-html.js";
import { app, pathOf } from "../app.js";
import { ask, get, post } from "../api.js";
import { act, confirmed } from "../dialog.js";
import { clock, count, duration, many, octets, oneLine, percent, rate, sentence, visible } from "../format.js";
import { charts, loadHistory } from "../history.js";
import { parse } from "../json.js";
import { badge, button, command, empty, facts, head, link, name, tile } from "../parts.js";
import { to } from "../router.js";

const FEW = 8;

async function load(at, signal) {
  const health = ask("healthz", { signal, accepts: [503] }).then(async (answer) => parse(await answer.text()));
  if (pathOf("broker") === undefined) return { health: await health };
  const [told, history, services] = await Promise.all([
    health,
    loadHistory(at, signal),
    get("api/v1/services", { limit: FEW, sort: "waiting" }, signal),
  ]);
  return { health: told, history, services };
}

function draw(data, at) {
  const { broker, worker } = app.live ?? {};
  return html`
    ${head("Overview", nothing, broker ? actions(broker) : nothing)}
    ${health(data.health)}
    ${broker ? html`${numbers(broker, data.history)}${charts(at, data.history)}<div class="beside">${services(data.services)}${aboutBroker(broker)}</div>` : nothing}
    ${worker ? aboutWorker(worker) : nothing}
    ${broker || worker ? nothing : html`<p class="dim loading">Loading…</p>`}`;
}

function actions(broker) {
  return html`
    ${broker.all_paused
      ? button("Resume all services", "operate", () => act(() => post("api/v1/resume", { all: true }), "All services are resumed."), "primary")
      : button("Pause all services", "operate", pauseAll)}
    ${broker.draining
      ? button("Accept requests again", "operate", () => act(() => post("api/v1/resume"), "Requests are accepted again."), "primary")
      : button("Drain", "all", drain)}`;
}

async function pauseAll() {
  const text = "Requests are accepted and wait; nothing is delivered until you resume. What runs goes on.";
  if (await confirmed("Pause all services?", text, "Pause")) await act(() => post("api/v1/pause", { all: true }), "All services are paused.");
}

async function drain() {
  const text = "New requests are refused; what waits is delivered, and mail and streams are accepted.";
  if (await confirmed("Drain the broker?", text, "Drain")) await act(() => post("api/v1/drain"), "The broker drains.");
}

async function drainWorker() {
  const text = "It stays connected, and finishes what it has. Other workers get what waits.";
  if (await confirmed("Take no more requests?", text, "Drain the worker")) await act(() => post(`${pathOf("worker")}/drain`), "The worker takes no more requests.");
}

function health(told) {
  const faults = [...told.live, ...told.ready].filter((check) => !check.ok);
  const kind = faults.length ? "bad" : told.warnings.length ? "warn" : "good";
  const text = faults.length ? "Not ready" : told.warnings.length ? "Works, with warnings" : "Works";
  return html`<section class="health ${kind}" aria-label="Health">
    <p class="health-word">${text}</p>
    <ul>
      ${faults.map((check) => html`<li><b>${check.name}</b> ${visible(check.reason)}</li>`)}
      ${told.warnings.map((warning) => html`<li>${sentence(oneLine(warning))}</li>`)}
      ${kind === "good" ? html`<li>${[...told.live, ...told.ready].map((check) => check.name).join(", ")}</li>` : nothing}
    </ul>
  </section>`;
}

function numbers(broker, history) {
  const { ended } = broker.totals;
  const failed = Object.entries(ended).reduce((sum, [outcome, number]) => (outcome === "succeeded" || outcome === "delivered" ? sum : sum + number), 0);
  const last = (column) => rate(history.values[column]?.at(-1));
  return html`<dl class="tiles">
    ${tile("Succeeded", count(ended.succeeded + (ended.delivered ?? 0)), last("succeeded"))}
    ${tile("Failed", count(failed), last("failed"), failed ? "bad" : "", to("letters"))}
    ${tile("Retried", count(broker.totals.retried), nothing)}
    ${tile("In flight", count(broker.in_flight), nothing, "", to("running"))}
    ${tile("Waiting", count(broker.waiting), octets(broker.waiting_octets), broker.waiting_unserved ? "warn" : "", to("services", [], { sort: "waiting" }))}
    ${tile("Scheduled", count(broker.delayed), many(broker.schedules, "schedule"), "", to("scheduled"))}
    ${tile("Dead letters", count(broker.dead_letters), nothing, broker.dead_letters ? "bad" : "", to("letters"))}
    ${tile("Published", count(broker.totals.published), last("published"), "", to("streams"))}
  </dl>`;
}

function services(page) {
  if (!page.items.length) {
    return empty("No service yet.", html`<p>Put a script into <code>services/</code>, such as <code>hello.lua</code>, start a worker, and send it a request:</p>
      ${command("alas request default hello --content world")}`);
  }
  return html`<section class="block"><h2>Services</h2>
    <ul class="lines">${page.items.map((one) => html`<li>
      ${link("services", [one.name], one.name)}
      <span class="grow">${one.paused ? badge("paused", "warn") : nothing}${one.waiting && !one.consumers ? badge("no worker", "bad") : nothing}</span>
      <span>${many(one.consumers, "worker")}</span><span>${count(one.waiting)} waiting</span><span>${count(one.in_flight)} in flight</span>
    </li>`)}</ul>
    ${page.next ? html`<p><a href=${to("services")}>All ${count(page.total)} services</a></p>` : nothing}
  </section>`;
}

function aboutBroker(broker) {
  return html`<section class="block"><h2>Broker</h2>${facts([
    ["Version", broker.version],
    ["Started", clock(broker.started)],
    ["Process", `${broker.pid} on ${broker.host}`],
    ["Endpoints", broker.endpoints.map((each) => html`<div>${name(each)}</div>`)],
    ["Clients", count(broker.clients)],
    ["Mailboxes", count(broker.mailboxes)],
    ["Streams", count(broker.streams)],
    ["Commands", count(broker.totals.commands)],
    ["Delivered", count(broker.totals.delivered)],
    ["Redelivered", count(broker.totals.redelivered)],
    ["Loop lag", duration(app.live.process.loop_lag)],
    ["Memory", octets(app.live.process.memory)],
  ])}</section>`;
}

export function aboutWorker(worker) {
  return html`<section class="block"><div class="bar"><h2>Worker</h2>${worker.draining
    ? button("Take requests again", "operate", () => act(() => post(`${pathOf("worker")}/resume`), "The worker takes requests again."), "primary")
    : button("Take no more requests", "operate", drainWorker)}</div>${facts([
    ["Service", name(worker.service)],
    ["Connection", worker.connected ? badge("connected", "good") : badge("not connected", "bad")],
    ["Broker", name(worker.endpoint)],
    ["Address", name(worker.address)],
    ["Slots", `${worker.slots.running} running, ${worker.slots.idle} idle, ${worker.slots.stuck} stuck of ${worker.slots.size}`],
    ["Queued for a slot", count(worker.slots.queued)],
    ["Succeeded", count(worker.succeeded)],
    ["Failed", `${count(worker.failed)} (${percent(worker.failed, worker.executed)})`],
    ["Retried", count(worker.retried)],
    ["Without a script", count(worker.not_found)],
    ["Memory of scripts", octets(worker.slots.memory)],
    worker.draining ? ["State", badge("draining", "warn")] : null,
  ])}</section>`;
}

export const overview = { title: "Overview", topics: ["queues", "letters", "worker"], load, draw };
