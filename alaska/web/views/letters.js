// Dead letters: what could not be processed, by reason; sent again or dropped, one or all that match.

import { html, nothing } from "../vendor/lit-html.js";
import { get, post } from "../api.js";
import { app } from "../app.js";
import { act, confirmed } from "../dialog.js";
import { count, many, oneLine, visible } from "../format.js";
import { badge, button, choose, empty, filter, head, link, name, time } from "../parts.js";
import { go, to, withArgs } from "../router.js";
import { table } from "../table.js";
import { drawLetter, loadLetter } from "./letter.js";

const CAUSES = [
  ["", "any"], ["failed", "failed"], ["not_found", "no script"], ["attempts", "attempts used up"], ["rejected", "rejected"],
];
/** So many reasons are shown, unless all are asked for. */
const FEW_REASONS = 6;
const CAUSE = Object.fromEntries(CAUSES);
const SELECTS = ["service", "queue", "address", "subject", "sender", "worker", "cause", "reason", "upto"];

/** Return the arguments of the address that select dead letters. */
function selection(at) {
  return Object.fromEntries(SELECTS.filter((key) => at.args[key]).map((key) => [key, at.args[key]]));
}

async function load(at, signal) {
  if (at.parts.length) return loadLetter(at, signal);
  const selected = selection(at);
  const sort = at.args.sort === "oldest" ? "" : "newest";
  const [page, groups] = await Promise.all([
    get("api/v1/letters", { ...selected, sort, after: at.args.after, limit: at.args.limit }, signal),
    get("api/v1/letter-groups", selected, signal),
  ]);
  return { page, groups };
}

function draw(data, at) {
  return at.parts.length ? drawLetter(data, at) : drawAll(data, at);
}

const COLUMNS = [
  { label: "Subject", cell: (one) => link("letters", [String(one.position)], one.subject) },
  { label: "Queue", cell: (one) => link(one.queue === "service" ? "services" : "mailboxes", [one.address], one.address) },
  { label: "Cause", short: true, cell: (one) => badge(CAUSE[one.cause] ?? one.cause, one.cause === "cancelled" || one.cause === "purged" ? "" : "bad") },
  { label: "Reason", wide: true, cell: (one) => html`<span class="reason">${visible(one.reason) || "–"}</span>` },
  { label: "Attempts", number: true, cell: (one) => count(one.attempts) },
  { label: "Died", number: true, cell: (one) => time(one.time) },
  {
    label: "",
    cell: (one) => html`<div class="row-actions">${button("Resend", "operate", () => resend(one))}${button("Drop", "operate", () => drop(one), "danger")}</div>`,
  },
];

function drawAll({ page, groups }, at) {
  const selected = selection(at);
  const isSelected = Object.keys(selected).length > 0;
  const actions = page.total
    ? html`${button(`Resend ${isSelected ? "matching" : "all"} ${count(page.total)}`, "operate", () => resendAll(selected, page))}
      ${button(`Drop ${isSelected ? "matching" : "all"} ${count(page.total)}`, "operate", () => dropAll(selected, page), "danger")}`
    : nothing;
  const none = isSelected
    ? empty("No dead letter matches.", html`<p><a href=${to("letters")}>Show all</a></p>`)
    : empty("No dead letters.", html`<p>A request whose script fails, or that is delivered too often, is kept here with its reason, to be looked at and sent again.</p>`);
  return html`
    ${head("Dead letters", isSelected ? chips(at, selected) : "What could not be processed, with the reason.", actions)}
    ${page.total || isSelected ? html`<div class="bar">
      ${filter(at, "Filter by reason", "reason")}
      ${choose(at, "Cause", "cause", CAUSES)}
      ${choose(at, "Order", "sort", [["", "newest first"], ["oldest", "oldest first"]])}
    </div>` : nothing}
    ${groups.groups.length > 1 || (groups.groups.length && groups.groups[0].count > 1) ? drawGroups(groups, at) : nothing}
    ${table({ ...at, args: { ...at.args, match: "" } }, "Dead letters", COLUMNS, page, (one) => one.position, none)}`;
}

function chips(at, selected) {
  return html`${Object.entries(selected).map(
    ([key, value]) => html`<a class="chip" href=${withArgs(at, { [key]: "" })} aria-label=${`Remove the filter ${key} ${value}`}>${key}: ${CAUSE[value] && key === "cause" ? CAUSE[value] : oneLine(value)} <span aria-hidden="true">×</span></a>`,
  )}`;
}

function drawGroups(groups, at) {
  const { reasons, ...others } = at.args;
  const shown = reasons === "all" ? groups.groups : groups.groups.slice(0, FEW_REASONS);
  const hidden = groups.groups.length - shown.length;
  return html`<section class="block"><h2>By reason</h2>
    <ul class="lines groups">${shown.map((one) => html`<li>
      <span class="count">${count(one.count)}</span>
      <a class="grow" href=${withArgs({ ...at, args: others }, groupArgs(one))}>${name(one.address)} <span class="reason">${visible(one.reason) || CAUSE[one.cause]}</span></a>
      ${badge(CAUSE[one.cause] ?? one.cause)} <span class="dim">${time(one.latest)}</span>
    </li>`)}</ul>
    ${hidden ? html`<p><a href=${withArgs(at, { reasons: "all" })}>Show ${many(hidden, "more reason")}</a></p>` : nothing}
    ${groups.others && !hidden ? html`<p class="dim">${many(groups.others, "dead letter")} with other reasons.</p>` : nothing}
  </section>`;
}

function groupArgs(one) {
  const queue = one.queue === "service" ? { service: one.address } : { queue: one.queue, address: one.address };
  return { cause: one.cause, reason: one.reason, ...queue };
}

export async function resend(one) {
  const done = await act(() => post("api/v1/replay-letter", { position: one.position }), "It is sent again.");
  if (done) gone(one);
}

export async function drop(one) {
  if (!(await confirmed("Drop the dead letter?", `“${one.subject}” is deleted. This cannot be undone.`, "Drop"))) return;
  if (await act(() => post("api/v1/drop-letter", { position: one.position }), "It is dropped.")) gone(one);
}

function gone(one) {
  if (app.at.name === "letters" && app.at.parts[0] === String(one.position)) go(to("letters"));
  else app.reload();
}

async function resendAll(selected, page) {
  const text = "They are sent again, with fresh attempts, the oldest first.";
  if (!(await confirmed(`Resend ${many(page.total, "dead letter")}?`, text, "Resend"))) return;
  await act(() => post("api/v1/replay-letters", selected), (done) => `${many(done.count, "dead letter")} sent again.`);
  app.reload();
}

async function dropAll(selected, page) {
  const text = `${many(page.total, "dead letter")} are deleted. This cannot be undone.`;
  if (!(await confirmed("Drop all that match?", text, "Drop", String(page.total)))) return;
  await act(() => post("api/v1/drop-letters", selected), (done) => `${many(done.count, "dead letter")} dropped.`);
  app.reload();
}

export const letters = { title: "Dead letters", topics: ["letters"], load, draw };
