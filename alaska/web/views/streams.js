// Streams: what they retain, who reads them and how far they lag, and a look into one, live.

import { html, nothing } from "../vendor/lit-html.js";
import "../tail.js";
import { get, post } from "../api.js";
import { app, now } from "../app.js";
import { act, confirmed } from "../dialog.js";
import { count, duration, octets, rate } from "../format.js";
import { badge, button, command, empty, facts, filter, head, link, name, tile, time } from "../parts.js";
import { go, to, withArgs } from "../router.js";
import { pageArgs, table } from "../table.js";

const MOST_SEEN = 2000;
/** The last position of each stream, when it was seen, and the rate since the time before. */
const seen = new Map();

function measure(items) {
  const at = now();
  if (seen.size > MOST_SEEN) seen.clear();
  for (const one of items) {
    const before = seen.get(one.name);
    const last = Number(one.last);
    if (!before) seen.set(one.name, { last, at });
    else if (at - before.at >= 1) seen.set(one.name, { last, at, rate: Math.max(0, last - before.last) / (at - before.at) });
  }
}

const COLUMNS = [
  { label: "Stream", sort: "", wide: true, cell: (one) => html`${link("streams", [one.name], one.name)} ${one.unstored ? badge(`${count(one.unstored)} not stored`, "bad") : nothing}` },
  { label: "Records", number: true, cell: (one) => records(one) },
  { label: "Last position", number: true, cell: (one) => count(one.last) },
  { label: "Size", sort: "octets", number: true, cell: (one) => octets(one.octets) },
  { label: "Rate", number: true, cell: (one) => rate(seen.get(one.name)?.rate) },
  { label: "Readers", sort: "readers", number: true, cell: (one) => count(one.readers) },
  { label: "Lag", sort: "lag", number: true, cell: (one) => (one.lag ? html`<span class="warn-text">${count(one.lag)}</span>` : "0") },
  { label: "Retention", wide: true, cell: (one) => retention(one.retention) },
];

function records(one) {
  const number = typeof one.last === "string" || typeof one.first === "string" ? BigInt(one.last) - BigInt(one.first) + 1n : one.last - one.first + 1;
  return count(typeof number === "bigint" ? String(number) : Math.max(0, number));
}

function retention(kept) {
  const said = [
    kept.records === null ? "" : `${count(kept.records)} records`,
    kept.octets === null ? "" : octets(kept.octets),
    kept.seconds === null ? "" : duration(kept.seconds),
  ].filter(Boolean);
  return kept.records === 0 ? html`<span class="dim">nothing</span>` : said.join(", ") || "everything";
}

async function load(at, signal) {
  if (!at.parts.length) {
    const page = await get("api/v1/streams", pageArgs(at), signal);
    measure(page.items);
    return { page };
  }
  const [stream] = at.parts;
  const [found, readers, bindings] = await Promise.all([
    get("api/v1/streams", { match: `^${stream}`, limit: 1 }, signal),
    get("api/v1/readers", { stream, limit: at.args.limit, after: at.args.after }, signal),
    get("api/v1/bindings", { match: stream, limit: 100 }, signal),
  ]);
  measure(found.items);
  return {
    one: found.items.find((each) => each.name === stream) ?? null,
    readers,
    bindings: bindings.items.filter((each) => each.stream === stream),
  };
}

function draw(data, at) {
  if (at.parts.length) return drawOne(data, at);
  const none = empty("No stream yet.", html`<p>A stream is there while somebody reads it, or while it has stored records. Publish a message from a shell, or with <code>send</code> in a script:</p>
    ${command("alas publish news goal --content 1:0")}<p>The setting <code>mlm_server/stream/retain</code> says how many records streams store.</p>`);
  return html`${head("Streams")}<div class="bar">${filter(at)}</div>
    ${table(at, "Streams", COLUMNS, data.page, (one) => one.name, none)}`;
}

const READERS = [
  { label: "Reader", wide: true, cell: (one) => html`${one.name || one.address ? name(one.name || one.address) : html`<span class="dim">without a name</span>`} ${one.name ? badge("durable") : nothing}${one.client === null ? badge("away", "warn") : nothing}` },
  { label: "Client", cell: (one) => (one.client === null ? html`last seen ${time(one.seen)}` : one.address ? name(one.address) : `number ${one.client}`) },
  { label: "Patterns", cell: (one) => one.patterns.map((each) => html`<div>${name(each || "everything")}</div>`) },
  { label: "Next position", number: true, cell: (one) => count(one.position) },
  { label: "Lag", number: true, cell: (one) => (one.lag ? html`<span class="warn-text">${count(one.lag)}</span>` : "0") },
  { label: "Lost", number: true, cell: (one) => count(one.lost) },
  { label: "", cell: (one) => html`<div class="row-actions">${one.name && one.client === null ? button("Delete", "operate", () => forget(one), "danger") : nothing}</div>` },
];

function drawOne({ one, readers, bindings }, at) {
  const [stream] = at.parts;
  const stored = one && Number(one.last) >= Number(one.first);
  return html`
    ${head(stream, html`<a href=${to("streams")}>Streams</a>`, stored ? button("Purge", "operate", () => purge(stream), "danger") : nothing)}
    ${one ? html`<dl class="tiles">
      ${tile("Records", records(one), `positions ${count(one.first)} to ${count(one.last)}`)}
      ${tile("Size", octets(one.octets), html`retains ${retention(one.retention)}`)}
      ${tile("Rate", rate(seen.get(stream)?.rate))}
      ${tile("Readers", count(one.readers))}
      ${tile("Largest lag", count(one.lag), nothing, one.lag ? "warn" : "")}
      ${one.unstored ? tile("Not stored", count(one.unstored), nothing, "bad") : nothing}
    </dl>` : html`<p class="dim">Nobody reads this stream, and it has no stored records.</p>`}
    <section class="block"><h2>Look into it</h2><alaska-tail stream=${stream} from=${at.args.from ?? nothing} match=${at.args.subjects ?? nothing}
      @read=${(event) => go(withArgs(at, { from: event.detail.from, subjects: event.detail.match }), true)}></alaska-tail></section>
    <section class="block"><h2>Readers</h2>${table(at, "Readers", READERS, readers, (each) => `${each.client} ${each.name}`, empty("Nobody reads it."))}</section>
    ${bindings.length ? html`<section class="block"><h2>Bindings</h2>${bindings.map(binding)}</section>` : nothing}`;
}

function binding(one) {
  return facts([
    ["Service", link("services", [one.service], one.service)],
    ["Pattern", name(one.pattern || "everything")],
    ["Next position", count(one.position)],
    ["Lag", count(one.lag)],
    ["Requests made", count(one.made)],
    ["Lost, skipped", `${count(one.lost)}, ${count(one.skipped)}`],
  ]);
}

async function purge(stream) {
  if (!(await confirmed(`Purge ${stream}?`, "All stored records are deleted. This cannot be undone.", "Purge", stream))) return;
  await act(() => post("api/v1/purge", { kind: "stream", name: stream }), (done) => `${count(done.count)} records deleted.`);
  app.reload();
}

async function forget(one) {
  const text = "Its position is forgotten. If it reads again, it begins anew.";
  if (!(await confirmed(`Delete the reader ${one.name}?`, text, "Delete"))) return;
  await act(() => post("api/v1/delete-reader", { stream: one.stream, name: one.name }), "It is deleted.");
  app.reload();
}

export const streams = { title: "Streams", topics: ["streams"], load, draw };
