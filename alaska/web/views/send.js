// A test request: sent as any program would, with its answer.

import { html, nothing } from "../vendor/lit-html.js";
import { ask, get } from "../api.js";
import { app, may, redraw } from "../app.js";
import { content } from "../content.js";
import { duration } from "../format.js";
import { empty, facts, head, link, name, needs } from "../parts.js";
import { parse } from "../json.js";

const WAIT_SECONDS = 30;

async function load(_at, signal) {
  const services = await get("api/v1/services", { limit: 200 }, signal);
  return { services: services.items.map((one) => one.name) };
}

async function submit(event) {
  event.preventDefault();
  const fields = new FormData(event.target);
  const page = app.page;
  Object.assign(page, { sending: true, result: null, fault: null });
  redraw();
  const begun = performance.now();
  const where = `api/v1/services/${encodeURIComponent(fields.get("service"))}/${encodeURIComponent(fields.get("subject"))}`;
  const headers = { "Content-Type": "application/octet-stream" };
  if (fields.get("tracker")) headers["Alaska-Tracker"] = quoted(fields.get("tracker"));
  if (fields.get("timeout")) headers["Alaska-Timeout"] = fields.get("timeout");
  try {
    const wait = fields.get("wait") ? WAIT_SECONDS : 0;
    const answer = await ask(wait ? `${where}?wait=${wait}` : where, { method: "POST", headers, body: fields.get("content"), seconds: wait + 15 });
    page.result = await read(answer, (performance.now() - begun) / 1000);
  } catch (error) {
    page.fault = error.message;
  }
  page.sending = false;
  redraw();
}

/** Return what came of a request: a reply, or that it goes on. */
async function read(answer, seconds) {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (answer.status === 202) return { goesOn: parse(new TextDecoder().decode(bytes)), seconds };
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return { reply: answer.status === 204 ? null : btoa(text), tracker: answer.headers.get("Alaska-Tracker"), seconds };
}

/** Return a value for a header: what is not printable ASCII is percent-encoded. */
function quoted(text) {
  return encodeURIComponent(text);
}

function draw({ services }, at) {
  if (!may("send")) return html`${head("Send a request")}${needs("send", "Sending")}`;
  const { sending, result, fault } = app.page;
  return html`
    ${head("Send a request", "As any program would send it; a script runs, and does what it does.")}
    <div class="beside"><section class="block"><form @submit=${submit}>
      <div class="pairs">
        <label class="field">Service <input name="service" required list="services" autocomplete="off" .defaultValue=${at.args.service ?? (services.length === 1 ? services[0] : "default")}></label>
        <label class="field">Subject <input name="subject" required autocomplete="off" placeholder="the name of a script" .defaultValue=${at.args.subject ?? ""}></label>
      </div>
      <datalist id="services">${services.map((one) => html`<option value=${one}></option>`)}</datalist>
      <label class="field">Content <textarea name="content" rows="6" spellcheck="false"></textarea></label>
      <details><summary>More</summary><div class="pairs">
        <label class="field">Tracker <input name="tracker" autocomplete="off" placeholder="chosen if it is empty"></label>
        <label class="field">Expires after seconds <input name="timeout" inputmode="decimal" pattern="[0-9]+([.][0-9]+)?" autocomplete="off"></label>
      </div></details>
      <p class="buttons"><label class="check"><input type="checkbox" name="wait" value="1" checked> Wait for the answer</label>
        <button class="primary" ?disabled=${sending}>${sending ? "Sending…" : "Send"}</button></p>
    </form></section>
    <div class="answer" role="status">${fault ? html`<p class="fault">${fault}</p>` : nothing}${result ? outcome(result) : nothing}
      ${fault || result ? nothing : empty(sending ? "The answer is awaited." : "The answer is shown here.")}</div></div>`;
}

function outcome(result) {
  if (result.goesOn) {
    const { tracker, offers } = result.goesOn;
    return html`<section class="block"><h2>The broker has it</h2>${facts([
      ["Tracker", may("operate") ? link("search", [], tracker, { text: tracker }) : name(tracker)],
      ["Workers that offer it", offers ?? "–"],
    ])}${offers === 0 ? html`<p>No worker offers this service, so the request waits for one.</p>` : nothing}</section>`;
  }
  return html`<section class="block"><h2>Answer after ${duration(result.seconds)}</h2>
    ${result.tracker && may("operate") ? html`<p class="dim">Tracker ${link("search", [], result.tracker, { text: result.tracker })}: what has happened to it</p>` : nothing}
    ${result.reply === null ? html`<p>The request has succeeded, without an answer.</p>` : content([result.reply])}</section>`;
}

export const send = { title: "Send a request", topics: [], still: true, load, draw };
