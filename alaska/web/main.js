// Begins the page, and shows the view of the address.

import { html, render } from "./vendor/lit-html.js";
import "./chart.js";
import { app, redraw } from "./app.js";
import { begin, dismissAny, notice } from "./dialog.js";
import { keepFocus } from "./focus.js";
import { oneLine } from "./format.js";
import { restart, start } from "./live.js";
import { identify, loginPage } from "./login.js";
import { empty, head } from "./parts.js";
import { read, to } from "./router.js";
import { shell } from "./shell.js";
import { views } from "./views.js";

const APART_MILLISECONDS = 2000;
/** So many times as long as the last answer took is the least time until the next question. */
const PATIENCE = 10;
const MOST_APART_MILLISECONDS = 30000;
const LATEST_MILLISECONDS = 10000;

let loading = null;
let loadedAt = 0;
let apart = APART_MILLISECONDS;
let changed = new Set();

app.draw = () => keepFocus(() => render(shell(content()), document.getElementById("app")));
app.reload = () => load(true);
app.identify = async () => {
  if (await identifyAgain()) restart();
  load(true);
};

/** Find out who has logged in, and say so if it is nobody any more: the session has expired, or the program was started again. */
async function identifyAgain() {
  const before = app.session?.user;
  const seesSomething = await identify();
  if (before && !app.session.user) notice("The session has ended. Log in again.", "failed");
  return seesSomething;
}

function content() {
  if (app.needsLogin) return loginPage();
  if (!app.at) return html`<p class="dim loading">Loading…</p>`;
  const view = app.view;
  if (!view) return html`${head("Not found")}${empty("There is no such place.", html`<a href="#/overview">Go to the overview</a>`)}`;
  if (app.error && !app.data) return html`${head(view.title)}${failure()}`;
  if (!app.data) return html`${head(view.title)}<p class="dim loading">Loading…</p>`;
  return html`${app.error ? failure() : ""}${view.draw(app.data, app.at)}`;
}

function failure() {
  return html`<div class="fault" role="alert"><p>${app.error.message}</p><button @click=${() => app.reload()}>Try again</button>${app.at.parts.length ? html`<a href=${to(app.at.name)}>${app.view.title}</a>` : ""}</div>`;
}

/** Show the view of the address. */
async function show() {
  const at = read(location.hash);
  const view = views[at.name];
  const isFirst = !app.at;
  const isOther = isFirst || app.at.name !== at.name || app.at.parts.join("/") !== at.parts.join("/");
  app.at = at;
  app.view = view;
  const names = [...at.parts, at.args.text].filter(Boolean).map(oneLine);
  document.title = [...names, view?.title ?? "Not found", "Alaska"].join(" · ");
  if (isOther) Object.assign(app, { data: null, page: {}, error: null, menu: false });
  redraw();
  await load(true);
  if (isFirst || !isOther || app.at !== at) return;
  // Who uses a keyboard or a screen reader goes on at the title.
  document.querySelector("main h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Ask for the data of the view; what is being asked for is given up only if something else is wanted. */
async function load(isOther, isSecond = false) {
  const view = app.view;
  if (!view || app.needsLogin) return redraw();
  if (loading) {
    if (!isOther) return undefined;
    loading.abort();
  }
  const mine = (loading = new AbortController());
  const begun = Date.now();
  app.loading = isOther;
  changed.clear();
  try {
    const data = await view.load(app.at, mine.signal);
    if (mine.signal.aborted) return undefined;
    Object.assign(app, { data, error: null });
  } catch (error) {
    if (mine.signal.aborted) return undefined;
    app.error = error;
    if (error.status === 401 && (await identifyAgain()) && !isSecond) return load(true, true);
  } finally {
    if (loading === mine) {
      loading = null;
      loadedAt = Date.now();
      apart = Math.min(Math.max(APART_MILLISECONDS, PATIENCE * (loadedAt - begun)), MOST_APART_MILLISECONDS);
      app.loading = false;
    }
  }
  app.draw();
  return undefined;
}

/** Take live data: draw, and ask again if what is shown may have changed. */
function took(live) {
  app.live = live;
  if (!app.session) identify().catch(() => {});
  for (const each of live.changed ?? ["all"]) changed.add(each);
  const since = Date.now() - loadedAt;
  const topics = app.view?.topics ?? [];
  const isTouched = changed.has("all") || topics.some((topic) => changed.has(topic));
  if (!app.view?.still && !loading && ((isTouched && since >= apart) || since >= Math.max(apart, LATEST_MILLISECONDS))) load(false);
  redraw();
}

async function first() {
  begin(document.getElementById("over"));
  app.draw();
  try {
    await identify();
  } catch (error) {
    app.error = error;
  }
  addEventListener("hashchange", () => {
    dismissAny();
    show();
  });
  start(took, app.identify);
  await show();
}

first();
