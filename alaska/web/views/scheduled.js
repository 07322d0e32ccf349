// What is to come: delayed messages, and schedules.

import { html, nothing } from "../vendor/lit-html.js";
import { get, post } from "../api.js";
import { app, may } from "../app.js";
import { act, confirmed } from "../dialog.js";
import { clock } from "../format.js";
import { cancelAll, filters, listArgs, messages } from "../messages.js";
import { badge, button, command, empty, head, link, name, needs, time } from "../parts.js";
import { table } from "../table.js";

async function load(at, signal) {
  const delayed = may("operate") ? get("api/v1/messages", { state: "delayed", ...listArgs(at) }, signal) : null;
  const [page, schedules] = await Promise.all([delayed, get("api/v1/schedules", { next: 3, limit: 500 }, signal)]);
  return { page, schedules };
}

const COLUMNS = [
  { label: "Schedule", wide: true, cell: (one) => html`${name(one.name)} ${one.paused ? badge("paused", "warn") : nothing}` },
  { label: "When", cell: (one) => html`${name(one.cron)} <span class="dim">${one.zone}</span>` },
  { label: "Request", cell: (one) => html`${link("services", [one.service], one.service)} ${name(one.subject)}` },
  { label: "Next", number: true, cell: (one) => (one.next?.length ? html`<span title=${one.next.map(clock).join(", ")}>${time(one.next[0])}</span>` : "–") },
  { label: "Last", number: true, cell: (one) => time(one.last) },
  {
    label: "",
    cell: (one) => html`<div class="row-actions">
      ${button("Run now", "operate", () => change("run-schedule", one, "Its request is made."))}
      ${one.paused ? button("Resume", "operate", () => change("resume-schedule", one, "It is resumed.")) : button("Pause", "operate", () => change("pause-schedule", one, "It is paused."))}
      ${one.source === "command" ? button("Remove", "all", () => remove(one), "danger") : nothing}
    </div>`,
  },
];

async function change(operation, one, said) {
  await act(() => post(`api/v1/${operation}`, { name: one.name }), said);
  app.reload();
}

async function remove(one) {
  if (!(await confirmed(`Remove the schedule ${one.name}?`, "It makes no more requests. This cannot be undone.", "Remove"))) return;
  await change("remove-schedule", one, "It is removed.");
}

function draw({ page, schedules }, at) {
  const noSchedules = empty("No schedule.", html`<p>A schedule makes a request at the times of a cron expression:</p>
    ${command('alas schedule add nightly "0 3 * * *" default report')}`);
  const none = empty("No message is delayed.", html`<p>Messages that are not due yet, and requests that are tried again later, wait here.</p>`);
  return html`
    ${head("Scheduled", "Messages that are not due yet, and schedules that make requests.")}
    <section class="block"><div class="bar"><h2>Delayed messages</h2>
      ${page ? html`${filters(at)}${cancelAll(at, "delayed", {}, page.total)}` : nothing}</div>
      ${page ? messages(at, "delayed", page, none) : needs("operate", "The messages of others")}</section>
    <section class="block"><h2>Schedules</h2>
      ${table({ ...at, args: {} }, "Schedules", COLUMNS, { items: schedules.items }, (one) => one.name, noSchedules)}</section>`;
}

export const scheduled = { title: "Scheduled", topics: ["queues", "schedules"], load, draw };
