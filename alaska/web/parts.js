// Pieces that several views use.

import { html, nothing } from "./vendor/lit-html.js";
import { live } from "./vendor/directives/live.js";
import { app, may } from "./app.js";
import { NONE, age, ago, clock, oneLine } from "./format.js";
import { go, to, withArgs } from "./router.js";

const TYPING_MILLISECONDS = 250;

/** A name, which may be anything. Empty ones are shown as such. */
export function name(text) {
  return text === "" ? html`<span class="dim">(empty)</span>` : html`<span class="name">${oneLine(text)}</span>`;
}

/** A link to a place of the page. */
export function link(place, parts, text, args) {
  return html`<a class="name" href=${to(place, parts, args)}>${text === "" ? "(empty)" : oneLine(text)}</a>`;
}

/** A time: how long ago it was, with the date when it is pointed at. */
export function time(value) {
  return value === null || value === undefined
    ? NONE
    : html`<time datetime=${new Date(value * 1000).toISOString()} title=${clock(value)}>${ago(value)}</time>`;
}

/** How long something has lasted. */
export function since(value) {
  return value === null || value === undefined
    ? NONE
    : html`<time datetime=${new Date(value * 1000).toISOString()} title=${clock(value)}>${age(value)}</time>`;
}

/** A word for a state; its colour only repeats what it says. */
export function badge(text, kind = "") {
  return html`<span class="badge ${kind}">${text}</span>`;
}

/** The head of a view: its title, what it is about, and buttons. */
export function head(title, about = nothing, actions = nothing) {
  return html`<header class="head">
    <div><h1 tabindex="-1">${oneLine(title)}</h1>${about === nothing ? nothing : html`<p class="about">${about}</p>`}</div>
    <div class="actions">${actions}</div>
  </header>`;
}

/** A button for a change; it is not there without the role. */
export function button(text, role, click, kind = "") {
  return may(role) ? html`<button type="button" class=${kind} @click=${click}>${text}</button>` : nothing;
}

/** A number with its name. */
export function tile(label, value, note = nothing, kind = "", href = null) {
  const inside = html`<dt>${label}</dt><dd>${value}</dd>${note === nothing ? nothing : html`<dd class="note">${note}</dd>`}`;
  return html`<div class="tile ${kind}">${inside}${href ? html`<dd class="cover"><a href=${href} aria-label=${`${label}: show`}></a></dd>` : nothing}</div>`;
}

/** Facts: pairs of a name and a value. */
export function facts(pairs) {
  return html`<dl class="facts">
    ${pairs.filter(Boolean).map(([label, value]) => html`<div><dt>${label}</dt><dd>${value ?? NONE}</dd></div>`)}
  </dl>`;
}

let typing = 0;

/** A field that filters a list; what is typed is in the address. */
export function filter(at, label = "Filter by name", key = "match") {
  const change = (event) => {
    clearTimeout(typing);
    const text = event.target.value;
    // Who has gone elsewhere in the meantime stays there.
    typing = setTimeout(() => isAt(at) && go(withArgs(app.at, { [key]: text }), true), TYPING_MILLISECONDS);
  };
  return html`<label class="filter"><span class="unseen">${label}</span>
    <input type="search" placeholder=${label} .value=${live(document.activeElement?.dataset?.key === key ? document.activeElement.value : (at.args[key] ?? ""))}
      data-key=${key} autocomplete="off" spellcheck="false" @input=${change}></label>`;
}

function isAt(at) {
  return app.at?.name === at.name && app.at.parts.join("/") === at.parts.join("/");
}

/** A choice that filters a list; `choices` are pairs of a value and a text. */
export function choose(at, label, key, choices) {
  return html`<label class="choose"><span>${label}</span>
    <select @change=${(event) => go(withArgs(at, { [key]: event.target.value }), true)}>
      ${choices.map(([value, text]) => html`<option value=${value} .selected=${live((at.args[key] ?? "") === value)}>${text}</option>`)}
    </select></label>`;
}

/** Links of which one is where the user is; `tabs` are triples of an address, a text, and whether it is that one. */
export function tabs(label, each) {
  return html`<nav class="tabs" aria-label=${label}>
    ${each.map(([href, text, is]) => html`<a href=${href} aria-current=${is ? "page" : nothing}>${text}</a>`)}
  </nav>`;
}

/** What is shown where nothing is. */
export function empty(title, text = nothing) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${text === nothing ? nothing : html`<div>${text}</div>`}</div>`;
}

/** A command to type, to be selected as one. */
export function command(text) {
  return html`<code class="command">${text}</code>`;
}

/** What is said to a user who may not see something. */
export function needs(role, what) {
  const who = app.session?.user;
  return empty(
    `${what} need${what.endsWith("s") ? "" : "s"} the role ${role}.`,
    who ? html`${who} has the role ${app.session.role}.` : html`Log in with a token that has it: ${command(`alas token NAME ${role}`)}`,
  );
}
