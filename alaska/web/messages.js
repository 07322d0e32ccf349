// The messages of a queue: lists, their content, and what can be done with them.

import { html, nothing } from "./vendor/lit-html.js";
import { get, post } from "./api.js";
import { app, may } from "./app.js";
import { content } from "./content.js";
import { act, confirmed, dialog, notice } from "./dialog.js";
import { NONE, count, many, octets, oneLine, percent } from "./format.js";
import { badge, button, facts, filter, link, name, since, time } from "./parts.js";
import { pageArgs, table } from "./table.js";

/** So many are cancelled without typing their number. */
const FEW = 100;

/** Return the place of the queue of a message. */
export function place(message) {
  return link(message.queue === "service" ? "services" : "mailboxes", [message.address], message.address);
}

/** Return the arguments that name the queue of a message. */
function queueOf(message) {
  return message.queue === "service" ? { service: message.address } : { mailbox: message.address };
}

const SUBJECT = { label: "Subject", wide: true, cell: (one) => html`<button class="plain name" @click=${() => look(one)}>${oneLine(one.subject) || "(empty)"}</button>` };
const FROM = { label: "From", cell: (one) => from(one.sender) };
const SIZE = { label: "Size", number: true, cell: (one) => octets(one.octets) };
const AGE = { label: "Age", number: true, cell: (one) => since(one.since) };
const ATTEMPT = { label: "Attempt", number: true, cell: (one) => count(one.attempts) };
const QUEUE = { label: "Queue", cell: place };
const COLUMNS = {
  running: [
    SUBJECT, QUEUE, { label: "Client", cell: (one) => name(one.client) }, FROM,
    { label: "Runs for", number: true, cell: runs }, { label: "Progress", wide: true, cell: progress }, ATTEMPT,
  ],
  waiting: [SUBJECT, QUEUE, FROM, AGE, { label: "Priority", number: true, cell: (one) => one.priority }, ATTEMPT, SIZE],
  delayed: [SUBJECT, QUEUE, FROM, { label: "Due", number: true, cell: (one) => time(one.due) }, AGE, ATTEMPT, SIZE],
};

/** Return who sent a message; programs without an address can send, too. */
export function from(sender) {
  return sender ? name(sender) : html`<span class="dim">no address</span>`;
}

function runs(one) {
  return html`${since(one.delivered ?? one.since)}${one.limit ? html` <span class="dim">of ${one.limit} s</span>` : nothing}`;
}

function progress(one) {
  if (one.cancelled) return badge("cancelled", "warn");
  if (one.progress === null) return NONE;
  return html`<progress max="1" value=${one.progress} aria-label="Progress"></progress> ${percent(one.progress, 1)}<div class="dim">${oneLine(one.progress_text)}</div>`;
}

/** Return a table of messages in one state. */
export function messages(at, state, page, none, isOfOne = false) {
  const columns = COLUMNS[state].filter((column) => !(isOfOne && column === QUEUE));
  return table(at, `Messages, ${state}`, [...columns, { label: "", cell: (one) => actions(one) }], page, (one) => one.position, none);
}

function actions(one) {
  return html`<div class="row-actions">
    ${one.state === "delayed" ? html`<button @click=${() => hurry(one)}>Run now</button>` : nothing}
    ${may("operate") && !one.cancelled ? html`<button class="danger" @click=${() => cancel(one)}>Cancel</button>` : nothing}
  </div>`;
}

async function hurry(one) {
  await act(() => post("api/v1/hurry", { position: one.position, ...queueOf(one) }), "It is due now.");
  app.reload();
}

async function cancel(one) {
  const text =
    one.state === "running"
      ? "The worker is told, and the script is ended at its next check. The request is not run again."
      : "It is taken out of its queue, and its sender is told.";
  if (!(await confirmed(`Cancel “${one.subject}”?`, text, "Cancel the message"))) return;
  const force = one.state === "running" ? true : undefined;
  await act(() => post("api/v1/cancel", { position: one.position, force, ...queueOf(one) }), "It is cancelled.");
  app.reload();
}

/** Show a message with its content; it stays where it is. */
export async function look(one) {
  let found = null;
  try {
    found = await get("api/v1/read-message", { position: one.position, ...queueOf(one) });
  } catch (error) {
    notice(error.message, "failed");
    return;
  }
  await dialog(one.subject || "(empty subject)", (close) => html`
    ${facts([
      ["Queue", html`${one.queue} ${place(one)}`],
      ["State", one.state],
      ["Position", link("search", [], String(one.position), { text: one.position })],
      ["From", from(one.sender)],
      ["Tracker", one.tracker ? name(one.tracker) : "none"],
      ["Id", one.id ? name(one.id) : "none"],
      ["Arrived", time(one.since)],
      ["Attempts", count(one.attempts)],
      one.due ? ["Due", time(one.due)] : null,
      one.client ? ["Client", name(one.client)] : null,
    ])}
    ${content(found.content, found.properties)}
    <p class="buttons"><button autofocus @click=${() => close(null)}>Close</button></p>`, "wide");
}

/** Return the arguments for a list of messages in the address: its filter, and its page. */
export function listArgs(at) {
  return pageArgs({ args: { ...at.args, sort: "" } }, "sender");
}

/** The fields that filter a list of messages. */
export function filters(at) {
  return html`${filter(at, "Filter by subject")}${filter(at, "Sent by", "sender")}`;
}

/** A button that cancels all messages of a list, as it is filtered. */
export function cancelAll(at, state, queue, total, force = false) {
  const { match, sender } = at.args;
  const matching = match || sender ? "matching " : "all ";
  return total ? button(`Cancel ${matching}${count(total)}`, "operate", () => cancelList(state, { ...queue, match, sender, force }, total), "danger") : nothing;
}

async function cancelList(state, which, total) {
  const filtered = which.match || which.sender;
  const verb = { running: "run", waiting: "wait", delayed: "are scheduled" }[state];
  const said = [which.match && `whose subject has “${which.match}”`, which.sender && `sent by “${which.sender}”`].filter(Boolean).join(" and ");
  const chosen = filtered ? `Only those ${said}.` : "To cancel only some, filter the list first.";
  const text = `${chosen} Their senders are told. This cannot be undone.`;
  const words = total > FEW ? String(total) : "";
  if (!(await confirmed(`Cancel ${many(total, "message")} that ${verb}?`, text, "Cancel them", words))) return;
  const given = Object.fromEntries(Object.entries(which).filter(([, value]) => value));
  await act(() => post("api/v1/cancel-messages", { state, ...given }), (done) => `${many(done.count, "message")} cancelled.`);
  app.reload();
}
