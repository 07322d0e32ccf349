// Mailboxes in which mail waits.

import { html, nothing } from "../vendor/lit-html.js";
import { get, post } from "../api.js";
import { app, may } from "../app.js";
import { act, confirmed } from "../dialog.js";
import { count, many, octets } from "../format.js";
import { cancelAll, filters, listArgs, messages } from "../messages.js";
import { badge, button, empty, filter, head, link, needs, since, tile } from "../parts.js";
import { to } from "../router.js";
import { pageArgs, table } from "../table.js";

const COLUMNS = [
  { label: "Mailbox", sort: "", wide: true, cell: (one) => link("mailboxes", [one.name], one.name) },
  { label: "Owner", cell: (one) => (one.consumers ? badge("connected", "good") : html`<span class="dim">away</span>`) },
  { label: "Waiting", sort: "waiting", number: true, cell: (one) => count(one.waiting) },
  { label: "Size", sort: "octets", number: true, cell: (one) => octets(one.octets) },
  { label: "In flight", sort: "in_flight", number: true, cell: (one) => count(one.in_flight) },
  { label: "Oldest", number: true, cell: (one) => since(one.oldest) },
];

async function load(at, signal) {
  if (!at.parts.length) return { page: await get("api/v1/mailboxes", pageArgs(at), signal) };
  const [mailbox] = at.parts;
  const [found, listed] = await Promise.all([
    get("api/v1/mailboxes", { match: `^${mailbox}`, limit: 1 }, signal),
    may("operate") ? get("api/v1/messages", { mailbox, state: "waiting", ...listArgs(at) }, signal) : null,
  ]);
  return { one: found.items.find((each) => each.name === mailbox) ?? null, listed };
}

function draw(data, at) {
  if (at.parts.length) return drawOne(data, at);
  const none = empty("No mail waits.", html`<p>Mail to a client that is not connected waits here until it reads it. Answers of scripts, and their errors, are mail.</p>`);
  return html`${head("Mailboxes", "Those in which mail waits, or is with its owner.")}
    <div class="bar">${filter(at)}</div>
    ${table(at, "Mailboxes", COLUMNS, data.page, (one) => one.name, none)}`;
}

function drawOne({ one, listed }, at) {
  const [mailbox] = at.parts;
  const actions = one?.waiting ? button("Purge", "operate", () => purge(one), "danger") : nothing;
  const none = empty("No mail waits in this mailbox.");
  return html`
    ${head(mailbox, html`<a href=${to("mailboxes")}>Mailboxes</a>`, actions)}
    ${one ? html`<dl class="tiles">
      ${tile("Owner", one.consumers ? "connected" : "away")}
      ${tile("Waiting", count(one.waiting), octets(one.octets))}
      ${tile("In flight", count(one.in_flight))}
      ${tile("Oldest", since(one.oldest))}
    </dl>` : nothing}
    <section class="block"><div class="bar"><h2>Mail that waits</h2>
      ${listed ? html`${filters(at)}${cancelAll(at, "waiting", { mailbox }, listed.total)}` : nothing}</div>
      ${listed ? messages(at, "waiting", listed, none, true) : needs("operate", "The mail of others")}</section>`;
}

async function purge(one) {
  const text = `${many(one.waiting, "message")} deleted, which cannot be undone; the senders are told.`;
  if (!(await confirmed(`Purge ${one.name}?`, text, "Purge", one.name))) return;
  await act(() => post("api/v1/purge", { kind: "mailbox", name: one.name }), (done) => `${many(done.count, "message")} deleted.`);
  app.reload();
}

export const mailboxes = { title: "Mailboxes", topics: ["queues"], load, draw };
