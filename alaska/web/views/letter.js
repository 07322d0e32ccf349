// One dead letter: why it died, its content, and sending it again as it was or changed.

import { html, nothing } from "../vendor/lit-html.js";
import { get, postText } from "../api.js";
import { app, may, redraw } from "../app.js";
import { content, octetsOf, textOf } from "../content.js";
import { act } from "../dialog.js";
import { count, octets, visible } from "../format.js";
import { from } from "../messages.js";
import { button, facts, head, link, name, needs, time } from "../parts.js";
import { go, to } from "../router.js";
import { drop, resend } from "./letters.js";

export async function loadLetter(at, signal) {
  if (!may("operate")) return { letter: null };
  const found = await get(`api/v1/letters/${encodeURIComponent(at.parts[0])}`, {}, signal);
  return { ...found, script: found.letter.cause === "failed" ? await scriptOf(found.letter, signal) : null };
}

/** Return the script of a request, whose last stack trace may be that of this reason. */
async function scriptOf(letter, signal) {
  const { items } = await get("api/v1/scripts", { match: `^${letter.subject}`, limit: 1 }, signal);
  return items.find((one) => one.name === letter.subject && one.last_trace) ?? null;
}

export function drawLetter({ letter, content: frames, properties, script }, at) {
  const back = html`<a href=${to("letters")}>Dead letters</a>`;
  if (!letter) return html`${head(`Dead letter ${at.parts[0]}`, back)}${needs("operate", "The content of messages")}`;
  const actions = html`
    ${button("Resend", "operate", () => resend(letter), app.page.editing ? "" : "primary")}
    ${button(app.page.editing ? "Do not change it" : "Change and resend", "operate", () => ((app.page.editing = !app.page.editing), redraw()))}
    ${button("Drop", "operate", () => drop(letter), "danger")}`;
  return html`
    ${head(letter.subject || "(empty subject)", html`${back} ${at.parts[0]}`, actions)}
    <section class="block"><h2>Reason</h2><pre class="why" tabindex="0" aria-label="Reason">${visible(letter.reason) || "None was given."}</pre>${script ? trace(letter, script) : nothing}</section>
    ${app.page.editing ? edit(letter, frames) : nothing}
    <section class="block"><h2>Message</h2>${facts([
      [letter.queue === "service" ? "Service" : "Mailbox", link(letter.queue === "service" ? "services" : "mailboxes", [letter.address], letter.address)],
      ["Cause", letter.cause.replace("_", " ")],
      ["Status", letter.status],
      ["Attempts", count(letter.attempts)],
      ["From", from(letter.sender)],
      ["Tracker", letter.tracker ? name(letter.tracker) : "none"],
      ["Size", octets(letter.octets)],
    ])}</section>
    <section class="block"><h2>What happened</h2><ol class="times">
      ${letter.arrived ? html`<li>${time(letter.arrived)} It arrived from ${from(letter.sender)}.</li>` : nothing}
      ${letter.worker ? html`<li>${name(letter.worker.address)} on ${name(letter.worker.host)} had it last, process ${letter.worker.pid}.</li>` : nothing}
      <li>${time(letter.time)} It died after ${count(letter.attempts)} ${letter.attempts === 1 ? "attempt" : "attempts"}.</li>
    </ol></section>
    <section class="block">${content(frames, properties)}</section>`;
}

function trace(letter, script) {
  const isThis = script.last_error.startsWith(letter.reason);
  return html`<h3>${isThis ? "Stack trace" : "Stack trace of the last error of this script"} <a href=${to("scripts", [script.name])}>${time(script.last_error_time)}</a></h3>
    <pre tabindex="0" aria-label="Stack trace">${visible(script.last_trace)}</pre>`;
}

function edit(letter, frames) {
  const isText = frames?.length === 1 && textOf(octetsOf(frames[0])) !== null;
  const send = async (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const change = { subject: fields.get("subject") };
    if (letter.queue === "service") change.service = fields.get("service");
    if (isText) change.content = [toBase64(fields.get("content"))];
    // The position may be beyond 2^53, so its digits are written as they are.
    const text = JSON.stringify(change).replace("{", `{"position":${letter.position},`);
    if (await act(() => postText("api/v1/replay-letter", text), "It is sent again, changed.")) go(to("letters"));
  };
  return html`<section class="block"><h2>Change and resend</h2><form class="stack" @submit=${send}>
    ${letter.queue === "service" ? html`<label class="field">Service <input name="service" required .value=${letter.address}></label>` : nothing}
    <label class="field">Subject <input name="subject" required .value=${letter.subject}></label>
    ${isText ? html`<label class="field">Content <textarea name="content" rows="8" spellcheck="false" .value=${textOf(octetsOf(frames[0]))}></textarea></label>`
      : html`<p class="dim">The content is sent as it is: it is no text of one frame.</p>`}
    <p class="buttons"><button class="primary">Resend it changed</button></p>
  </form></section>`;
}

function toBase64(text) {
  let octetsOfText = "";
  for (const byte of new TextEncoder().encode(text)) octetsOfText += String.fromCharCode(byte);
  return btoa(octetsOfText);
}
