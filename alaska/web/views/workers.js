// The workers that report to the broker.

import { html, nothing } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { count, octets, percent } from "../format.js";
import { badge, command, empty, filter, head, link, name, since, time } from "../parts.js";
import { pageArgs, table } from "../table.js";

const COLUMNS = [
  { label: "Worker", sort: "", wide: true, cell: ({ overview: one }) => html`${name(one.address)} ${one.draining ? badge("draining", "warn") : nothing}${one.slots.stuck ? badge(`${count(one.slots.stuck)} stuck`, "bad") : nothing}` },
  { label: "Host", cell: ({ overview: one }) => html`${name(one.host)} <span class="dim">${one.pid}</span>` },
  { label: "Service", cell: ({ overview: one }) => link("services", [one.service], one.service) },
  { label: "Running", sort: "running", number: true, cell: ({ overview: one }) => html`${count(one.slots.running)} of ${count(one.slots.size)}` },
  { label: "Queued", sort: "queued", number: true, cell: ({ overview: one }) => count(one.slots.queued) },
  { label: "Succeeded", sort: "succeeded", number: true, cell: ({ overview: one }) => count(one.succeeded) },
  { label: "Failed", sort: "failed", number: true, cell: ({ overview: one }) => html`${count(one.failed)} <span class="dim">${percent(one.failed, one.executed)}</span>` },
  { label: "Memory", sort: "memory", number: true, cell: ({ overview: one }) => octets(one.slots.memory) },
  { label: "Up", sort: "seconds", number: true, cell: ({ overview: one }) => since(one.started) },
  { label: "Version", short: true, cell: ({ overview: one }) => one.version },
  { label: "Told", number: true, cell: (one) => time(one.told) },
];

function draw(page, at) {
  const none = empty("No worker reports to this broker.", html`<p>Start one:</p>${command("twistd -n alaska --config alaska.cfg")}
    <p class="dim">Workers of other programs are among the clients.</p>`);
  return html`${head("Workers", "Each tells the broker about itself once a second.")}
    <div class="bar">${filter(at, "Filter by address")}</div>
    ${table(at, "Workers", COLUMNS, page, (one) => one.client, none)}`;
}

export const workers = {
  title: "Workers",
  topics: ["workers"],
  load: (at, signal) => get("api/v1/workers", pageArgs(at), signal),
  draw,
};
