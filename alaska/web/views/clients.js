// The clients that are connected.

import { html, nothing } from "../vendor/lit-html.js";
import { get, post } from "../api.js";
import { app } from "../app.js";
import { act, confirmed } from "../dialog.js";
import { NONE, count, octets } from "../format.js";
import { badge, button, command, empty, filter, head, link, name, since, time } from "../parts.js";
import { pageArgs, table } from "../table.js";

const COLUMNS = [
  { label: "Client", wide: true, cell: (one) => html`${one.address ? name(one.address) : html`<span class="dim">without an address</span>`} ${one.full ? badge("does not read", "bad") : nothing}` },
  { label: "User", cell: (one) => (one.user ? name(one.user) : NONE) },
  { label: "Number", sort: "", number: true, cell: (one) => count(one.number) },
  { label: "Credit", number: true, cell: (one) => (one.credit === null ? "plain" : count(one.credit)) },
  { label: "Unconfirmed", sort: "unconfirmed", number: true, cell: (one) => html`${count(one.unconfirmed)}${one.unconfirmed ? html`<span class="dim also">${octets(one.unconfirmed_octets)}</span>` : nothing}` },
  { label: "Offers", cell: (one) => places("services", one.offers, one.offer_count) },
  { label: "Reads", cell: (one) => places("streams", one.reads, one.read_count) },
  { label: "Connected", number: true, cell: (one) => since(one.opened) },
  { label: "Heard", number: true, cell: (one) => time(one.last_heard) },
  { label: "", cell: (one) => html`<div class="row-actions">${button("Close", "operate", () => close(one), "danger")}</div>` },
];

function places(place, names, total) {
  if (!total) return NONE;
  const shown = names.slice(0, 3);
  return html`${shown.map((each, at) => html`${at ? ", " : nothing}${link(place, [each], each)}`)}${total > shown.length ? html` and ${count(total - shown.length)} more` : nothing}`;
}

async function close(one) {
  const text = "Its session ends, and what it has not confirmed is delivered again. It may connect again at once.";
  if (!(await confirmed(`Close the session of ${one.address || one.number}?`, text, "Close"))) return;
  await act(() => post("api/v1/close-client", { number: one.number }), "The session has ended.");
  app.reload();
}

function draw(page, at) {
  const none = empty("No client is connected.", html`<p>Send a request from a shell:</p>${command("alas request default hello --content world")}`);
  return html`${head("Clients", "Everything that is connected to the broker: workers, programs, and this page's own connection.")}
    <div class="bar">${filter(at, "Filter by address")}</div>
    ${table(at, "Clients", COLUMNS, page, (one) => one.number, none)}`;
}

export const clients = {
  title: "Clients",
  topics: ["clients", "queues"],
  load: (at, signal) => get("api/v1/clients", pageArgs(at), signal),
  draw,
};
