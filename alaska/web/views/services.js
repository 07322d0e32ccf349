// Services: what waits for them, who works for them, and how it goes.

import { html, nothing } from "../vendor/lit-html.js";
import { get, post } from "../api.js";
import { app, may } from "../app.js";
import { act, confirmed } from "../dialog.js";
import { NONE, count, duration, many, octets, percent, rate } from "../format.js";
import { charts, loadHistory } from "../history.js";
import { cancelAll, filters, listArgs, messages } from "../messages.js";
import { badge, button, command, empty, facts, filter, head, link, name, needs, since, tabs, tile } from "../parts.js";
import { to } from "../router.js";
import { pageArgs, table } from "../table.js";

const COLUMNS = [
  { label: "Service", sort: "", wide: true, cell: (one) => html`${link("services", [one.name], one.name)} ${states(one)}` },
  { label: "Workers", sort: "consumers", number: true, cell: (one) => count(one.consumers) },
  { label: "Waiting", sort: "waiting", number: true, cell: (one) => count(one.waiting) },
  { label: "Oldest", number: true, cell: (one) => since(one.oldest) },
  { label: "In flight", sort: "in_flight", number: true, cell: (one) => count(one.in_flight) },
  { label: "Rate", number: true, cell: (one) => rate(one.recent?.rate ?? null) },
  { label: "p50", number: true, cell: (one) => duration(one.recent?.p50) },
  { label: "p95", number: true, cell: (one) => duration(one.recent?.p95) },
  { label: "p99", number: true, cell: (one) => duration(one.recent?.p99) },
  { label: "Errors", number: true, cell: (one) => errors(one) },
  { label: "", cell: (one) => html`<div class="row-actions">${pauseButton(one)}</div>` },
];

function states(one) {
  return html`${one.paused ? badge("paused", "warn") : nothing}${one.held ? badge(`${count(one.held)} held back`, "warn") : nothing}
    ${one.waiting && !one.consumers ? badge("no worker", "bad") : nothing}`;
}

function errors(one) {
  if (!one.recent) return NONE;
  const share = percent(one.recent.failed, one.recent.failed + one.recent.succeeded);
  return one.recent.failed ? html`<span class="bad-text">${share}</span>` : share;
}

function pauseButton(one) {
  return one.paused
    ? button("Resume", "operate", () => resume(one.name))
    : button("Pause", "operate", () => pause(one.name));
}

async function pause(service) {
  const text = "Its requests are accepted and wait; nothing is delivered until you resume it. What runs goes on.";
  if (!(await confirmed(`Pause ${service}?`, text, "Pause"))) return;
  await act(() => post("api/v1/pause", { service }), `${service} is paused.`);
  app.reload();
}

async function resume(service) {
  await act(() => post("api/v1/resume", { service }), `${service} is resumed.`);
  app.reload();
}

async function load(at, signal) {
  if (!at.parts.length) return { page: await get("api/v1/services", pageArgs(at), signal) };
  const [service] = at.parts;
  const state = at.args.state ?? "waiting";
  const [found, history, listed] = await Promise.all([
    get("api/v1/services", { match: `^${service}`, limit: 1 }, signal),
    loadHistory(at, signal, service),
    may("operate") ? get("api/v1/messages", { service, state, ...listArgs(at) }, signal) : null,
  ]);
  return { one: found.items.find((each) => each.name === service) ?? null, history, listed };
}

function draw(data, at) {
  return at.parts.length ? drawOne(data, at) : drawAll(data.page, at);
}

function drawAll(page, at) {
  const none = empty("No service yet.", html`
    <p>A service is there as soon as a worker offers it, or a request waits for it. Write <code>services/hello.lua</code>:</p>
    ${command('return "Hello, " .. alaskaContext')}
    <p>then send it a request:</p>${command("alas request default hello --content world")}`);
  return html`${head("Services", "Rates, times and errors are those of the last five minutes.")}
    <div class="bar">${filter(at)}</div>
    ${table(at, "Services", COLUMNS, page, (one) => one.name, none)}`;
}

function drawOne(data, at) {
  const [service] = at.parts;
  const { one } = data;
  const actions = html`${one ? pauseButton(one) : nothing}
    ${may("send") ? html`<a class="button" href=${to("send", [], { service })}>Send a request</a>` : nothing}
    ${one?.waiting ? button("Purge", "operate", () => purge(one), "danger") : nothing}`;
  return html`
    ${head(service, html`<a href=${to("services")}>Services</a> ${one ? states(one) : nothing}`, actions)}
    ${one ? numbers(one) : html`<p class="dim">Nothing waits for this service, and no worker offers it.</p>`}
    ${one?.measures ? charts(at, data.history) : html`<p class="dim">Rates and times are measured once a worker has offered the service.</p>`}
    ${one ? about(one) : nothing}
    ${listed(data.listed, at, service)}`;
}

function numbers(one) {
  const recent = one.recent;
  return html`<dl class="tiles">
    ${tile("Workers", count(one.consumers), nothing, one.waiting && !one.consumers ? "bad" : "")}
    ${tile("Waiting", count(one.waiting), html`${octets(one.octets)}${one.oldest ? html`, oldest ${since(one.oldest)}` : nothing}`)}
    ${tile("In flight", count(one.in_flight))}
    ${tile("Rate", rate(recent?.rate ?? null))}
    ${tile("Run time", duration(recent?.p50), `p95 ${duration(recent?.p95)}, p99 ${duration(recent?.p99)}`)}
    ${tile("Errors", recent ? percent(recent.failed, recent.failed + recent.succeeded) : NONE, recent ? many(recent.failed, "request") : nothing, recent?.failed ? "bad" : "")}
  </dl>`;
}

function about(one) {
  const limits = one.limits.map((limit) => {
    const said = [limit.rate && `rate ${limit.rate}`, limit.running !== null && `${limit.used} of ${limit.running} running`].filter(Boolean).join(", ");
    return html`<div>${limit.subject ? html`${name(limit.subject)}: ` : nothing}${said} ${limit.holds ? badge("holds back", "warn") : nothing}</div>`;
  });
  const ended = Object.entries(one.measures?.ended ?? {}).map(([outcome, number]) => html`<div>${count(number)} ${outcome.replace("_", " ")}</div>`);
  return html`<section class="block"><h2>Since the start</h2>${facts([
    ["Offered subjects", one.patterns.length ? one.patterns.map((each) => html`<div>${name(each || "every subject")}</div>`) : "none"],
    one.limits.length ? ["Limits", limits] : null,
    one.measures ? ["Accepted", count(one.measures.accepted)] : null,
    one.measures ? ["Succeeded", count(one.measures.succeeded)] : null,
    ended.length ? ["Other ends", ended] : null,
    one.measures ? ["Retried", count(one.measures.retried)] : null,
    one.measures ? ["Redelivered", count(one.measures.redelivered)] : null,
    ["Dead letters", html`<a href=${to("letters", [], { service: one.name })}>Those of this service</a>`],
  ])}</section>`;
}

async function purge(one) {
  const text = `${many(one.waiting, "request")} that wait, and those that are scheduled, are deleted, and their senders are told. This cannot be undone.`;
  if (!(await confirmed(`Purge ${one.name}?`, text, "Purge", one.name))) return;
  await act(() => post("api/v1/purge", { kind: "service", name: one.name }), (done) => `${many(done.count, "request")} deleted.`);
  app.reload();
}

export const STATES = [["waiting", "Waiting", "waits"], ["running", "Running", "runs"], ["delayed", "Scheduled", "is scheduled"]];

function listed(page, at, service) {
  const state = at.args.state ?? "waiting";
  const each = STATES.map(([key, text]) => [to("services", at.parts, { span: at.args.span, state: key === "waiting" ? "" : key }), text, key === state]);
  const verb = STATES.find(([key]) => key === state)[2];
  return html`<section class="block"><div class="bar"><h2>Requests</h2>${tabs("State of the requests", each)}
      ${page ? html`${filters(at)}${cancelAll(at, state, { service }, page.total)}` : nothing}</div>
    ${page ? messages(at, state, page, empty(`Nothing ${verb} here.`), true) : needs("operate", "The requests of a queue")}
  </section>`;
}

export const services = { title: "Services", topics: ["queues"], load, draw };
