// Finding a message by its id, tracker, subject or position, and what has happened to it.

import { html, nothing } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { may } from "../app.js";
import { count, duration, many, visible } from "../format.js";
import { from, look, place } from "../messages.js";
import { badge, empty, head, link, name, needs, time } from "../parts.js";
import { go, to } from "../router.js";

async function load(at, signal) {
  if (!at.args.text || !may("operate")) return { found: null };
  return { found: await get("api/v1/find", { text: at.args.text }, signal) };
}

function draw({ found }, at) {
  if (!may("operate")) return html`${head("Find a message")}${needs("operate", "The messages of others")}`;
  const find = (event) => {
    event.preventDefault();
    go(to("search", [], { text: new FormData(event.target).get("wanted").trim() }));
  };
  return html`
    ${head("Find a message", "By its id, tracker, subject or position, exactly as it is.")}
    <form class="bar" role="search" aria-label="Messages" @submit=${find}>
      <label class="filter"><span class="unseen">Id, tracker, subject or position</span>
      <input name="wanted" type="search" required placeholder="Id, tracker, subject or position" .defaultValue=${at.args.text ?? ""} autocomplete="off" spellcheck="false"></label>
      <button class="primary">Find</button>
    </form>
    ${found ? results(found, at.args.text) : nothing}`;
}

function results(found, text) {
  const known = new Set([...found.letters, ...found.finished].map((one) => one.position));
  const ids = found.ended.filter((one) => !known.has(one.position));
  const total = found.messages.length + found.letters.length + found.finished.length + ids.length;
  if (!total) {
    return empty(`Nothing is known of “${text}”.`, html`<p>What runs, waits, is scheduled or is a dead letter is found, and the last thousand messages that have ended, until the broker is restarted.</p>`);
  }
  const past = (one) => found.steps.filter((step) => step.position === one.position).map(before);
  return html`
    <p class="dim" role="status">${many(total, "message")} found. ${found.note}</p>
    ${found.messages.map((one) => alive(one, past(one)))}${found.letters.map((one) => dead(one, past(one)))}
    ${found.finished.map((one) => finished(one, past(one)))}${ids.map(ended)}`;
}

/** What a worker has done with a message, before that has ended. */
const DONE = {
  retried: "has failed at it, and it was to be tried again",
  lost: "was lost while it had it",
  snoozed: "has put it off, without an attempt",
  returned: "has returned it, without an attempt",
  progress: "was done with",
};

function before(one) {
  const after = one.delivered === null ? "" : `, after ${duration(one.time - one.delivered)}`;
  const reason = one.reason && (one.what === "progress" ? html` ${visible(one.reason)}` : html`: <span class="reason">${visible(one.reason)}</span>`);
  return step(one.time, html`${one.worker ? name(one.worker) : "Its worker"} ${DONE[one.what]}${one.what === "progress" ? nothing : after}${reason}${one.what === "progress" ? after : nothing}`);
}

const STATES = { running: ["runs", "good"], waiting: ["waits", ""], delayed: ["scheduled", ""] };

function alive(one, past) {
  const [word, kind] = STATES[one.state];
  return html`<section class="block"><div class="bar"><h2>${name(one.subject)} ${badge(word, kind)}</h2><button @click=${() => look(one)}>Look at it</button></div>
    ${names(one)}
    <ol class="times">
      ${step(one.since, html`It arrived from ${from(one.sender)}, for ${place(one)}.`)}
      ${past}
      ${!past.length && one.attempts > (one.state === "running" ? 1 : 0) ? html`<li>It was tried ${many(one.attempts - (one.state === "running" ? 1 : 0), "time")}${one.snoozes ? `, and put off ${many(one.snoozes, "time")} without an attempt` : ""}.</li>` : nothing}
      ${one.state === "running" ? step(one.delivered, html`${name(one.client)} got it, attempt ${count(one.attempts)}.`) : nothing}
      ${one.progress !== null ? html`<li>Its script is at ${Math.round(one.progress * 100)} % ${visible(one.progress_text)}.</li>` : nothing}
      ${one.cancelled ? html`<li>It was cancelled, and the client has been told.</li>` : nothing}
      ${one.state === "waiting" ? html`<li>It waits for a ${one.queue === "service" ? "worker" : "reader"}, with priority ${one.priority}.</li>` : nothing}
      ${one.state === "delayed" ? step(one.due, "It is due.") : nothing}
    </ol></section>`;
}

function dead(one, past) {
  return html`<section class="block"><div class="bar"><h2>${name(one.subject)} ${badge("dead letter", "bad")}</h2><a href=${to("letters", [String(one.position)])}>Open it</a></div>
    ${names(one)}
    <ol class="times">
      ${step(one.arrived, html`It arrived from ${from(one.sender)}, for ${place(one)}.`)}
      ${past}
      ${one.worker ? html`<li>${name(one.worker.address)} on ${name(one.worker.host)} had it last.</li>` : nothing}
      ${step(one.time, html`It died after ${many(one.attempts, "attempt")}: <span class="reason">${visible(one.reason || one.cause)}</span>`)}
    </ol></section>`;
}

const OUTCOMES = { succeeded: ["succeeded", "good"], delivered: ["delivered", "good"] };

function finished(one, past) {
  const [word, kind] = OUTCOMES[one.outcome] ?? [one.outcome.replace("_", " "), one.outcome === "replaced" ? "" : "bad"];
  return html`<section class="block"><h2>${name(one.subject)} ${badge(word, kind)}</h2>
    ${names(one)}
    <ol class="times">
      ${step(one.since, html`It arrived from ${from(one.sender)}, for ${place(one)}.`)}
      ${past}
      ${one.worker ? step(one.delivered, html`${name(one.worker)} got it, attempt ${count(one.attempts)}.`) : nothing}
      ${step(one.time, html`It ended${one.delivered === null ? "" : ` after ${duration(one.time - one.delivered)}`}: ${word}, with the status ${one.status}${one.reason ? html`: <span class="reason">${visible(one.reason)}</span>` : "."}`)}
      ${one.answer === null ? nothing : html`<li>Its answer has the position ${link("search", [], count(one.answer), { text: String(one.answer) })}, and is ${one.answer_state}.</li>`}
    </ol></section>`;
}

function ended(one) {
  return html`<section class="block"><h2>An id of ${place(one)} ${badge("ended")}</h2>
    <p>The message at position ${count(one.position)} has ended with the status ${one.status}${one.reason ? `: ${visible(one.reason)}` : ""}. Its id is still known, so no second one is accepted.</p></section>`;
}

function names(one) {
  return html`<p class="dim">${one.tracker ? html`tracker ${name(one.tracker)}, ` : nothing}${one.id ? html`id ${name(one.id)}, ` : nothing}position ${count(one.position)}</p>`;
}

function step(at, text) {
  return html`<li>${at ? html`${time(at)} ` : nothing}${text}</li>`;
}

export const search = { title: "Find a message", topics: [], still: true, load, draw };
