// The frame of the page: where one can go, whether it is live, and who has logged in.

import { html, nothing } from "./vendor/lit-html.js";
import { live } from "./vendor/directives/live.js";
import { app, may, now, pathOf, redraw } from "./app.js";
import { freeze } from "./live.js";
import { count, duration, oneLine } from "./format.js";
import { groups } from "./places.js";
import { logIn, logOut } from "./login.js";
import { go, to } from "./router.js";

const SAYS = {
  live: ["Live", "Once a second"],
  polling: ["Polling", "Every two seconds: there is no event stream"],
  connecting: ["Connecting", ""],
  frozen: ["Frozen", "Nothing is asked until you go on"],
  lost: ["No answer", "Alaska does not answer; it is tried again"],
};

/** Return the whole page around a view. */
export function shell(view) {
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to content</a>
    <header class="top">
      <button class="menu plain" aria-expanded=${app.menu} aria-controls="places" @click=${() => ((app.menu = !app.menu), redraw())}>Menu</button>
      <a class="brand" href=${to("overview")}><img src="web/icon.svg" width="24" height="24" alt=""><span class="word">Alaska</span></a>
      ${search()}
      <div class="state">
        ${status()}
        <button class="plain" aria-pressed=${app.frozen} @click=${() => freeze(!app.frozen)}>${app.frozen ? "Go on" : "Freeze"}</button>
        ${user()}
      </div>
    </header>
    <nav id="places" class=${app.menu ? "places open" : "places"} aria-label="Places" @keydown=${leave}>
      ${groups(pathOf("broker") !== undefined, pathOf("worker") !== undefined).map(
        ([label, places]) => html`<div><h2 class="group">${label}</h2><ul>
          ${places.map(([place, text, counted]) => html`<li><a href=${to(place)} aria-current=${app.at?.name === place ? "page" : nothing} @click=${close}>
            <span>${text}</span>${amount(counted)}</a></li>`)}
        </ul></div>`,
      )}
      ${theme()}${about()}
    </nav>
    <main id="main" tabindex="-1" aria-busy=${app.loading}>${view}</main>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function leave(event) {
  if (event.key !== "Escape" || !app.menu) return;
  app.menu = false;
  redraw();
  document.querySelector(".menu").focus();
}

function close() {
  app.menu = false;
}

function amount(counted) {
  const value = counted && app.live?.broker ? counted(app.live.broker) : 0;
  return value ? html`<span class="amount">${count(value)}</span>` : nothing;
}

function status() {
  const [text, title] = SAYS[app.status];
  return html`<span class="status ${app.status}" role="status" title=${title}><span class="dot" aria-hidden="true"></span>${text}</span>`;
}

function search() {
  if (pathOf("broker") === undefined || !may("operate")) return html`<span class="search"></span>`;
  const find = (event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("text").trim();
    if (text) go(to("search", [], { text }));
  };
  return html`<form class="search" role="search" @submit=${find}>
    <label><span class="unseen">Find a message by id, tracker or subject</span>
    <input name="text" type="search" placeholder="Find by id, tracker or subject" autocomplete="off" spellcheck="false"></label></form>`;
}

function theme() {
  const chosen = document.documentElement.dataset.theme ?? "";
  const choose = (event) => {
    const value = event.target.value;
    if (value) document.documentElement.dataset.theme = value;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem("alaska.theme", value);
    } catch {
      // See theme.js.
    }
    dispatchEvent(new Event("alaska-theme"));
  };
  return html`<label class="theme"><span>Colours</span><select @change=${choose}>
    ${[["", "Auto"], ["light", "Light"], ["dark", "Dark"]].map(([value, text]) => html`<option value=${value} .selected=${live(value === chosen)}>${text}</option>`)}
  </select></label>`;
}

function user() {
  const session = app.session;
  if (!session) return nothing;
  if (!session.user) return html`<span class="who">Read-only</span><button class="plain strong" @click=${() => logIn()}>Log in</button>`;
  return html`<span class="who" title=${`The role ${session.role}`}>${oneLine(session.user)} · ${session.role}</span>
    <button class="plain" @click=${logOut}>Log out</button>`;
}

function about() {
  const process = app.live?.process;
  if (!process) return nothing;
  const one = app.live.broker ?? app.live.worker;
  return html`<p class="version">Alaska ${process.version}${one ? html`<br>up ${duration(Math.floor(now() - one.started))}` : nothing}<br>${process.host}</p>`;
}
