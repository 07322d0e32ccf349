// Dialogs and notices. They are drawn apart from the view, so that drawing it again does not close them.

import { html, nothing, render } from "./vendor/lit-html.js";
import { app } from "./app.js";
import { oneLine, visible } from "./format.js";

const NOTICE_SECONDS = 8;

let root = null;
let shown = null;
let notices = [];
let number = 0;

/** Draw into an element from now on. */
export function begin(element) {
  root = element;
  draw();
}

/** Show a dialog; `body(close)` returns its content. Return what it is closed with, null if it is dismissed. */
export function dialog(title, body, kind = "") {
  return new Promise((closed) => {
    const before = document.activeElement;
    const end = (value) => {
      if (!shown) return;
      root.querySelector("dialog")?.close();
      shown = null;
      draw();
      (before?.isConnected && before !== document.body ? before : document.querySelector("main h1"))?.focus();
      closed(value);
    };
    shown?.end(null);
    shown = { title, body, kind, end };
    draw();
    const element = root.querySelector("dialog");
    element.showModal();
    (element.querySelector("[autofocus]") ?? element).focus();
  });
}

/** Close the dialog, if there is one: the user goes elsewhere. */
export function dismissAny() {
  shown?.end(null);
}

/** Draw the content of the dialog again. */
export function redrawDialog() {
  draw();
}

/** Ask before something is done; return whether it may be. With `words`, they have to be typed. */
export async function confirmed(title, text, action, words = "") {
  let typed = "";
  // What cannot be typed may be typed as it is shown.
  const isSure = () => !words || typed === words || typed === oneLine(words);
  const body = (close) => html`
    <form method="dialog" @submit=${(event) => (event.preventDefault(), isSure() && close(true))}>
      <p>${visible(text)}</p>
      ${words
        ? html`<label class="field"><span>Type <b>${oneLine(words)}</b> to go on</span>
            <input autofocus autocomplete="off" @input=${(event) => ((typed = event.target.value), draw())}></label>`
        : nothing}
      <p class="buttons">
        <button type="button" ?autofocus=${!words} @click=${() => close(null)}>Cancel</button>
        <button class="danger" ?disabled=${!isSure()}>${action}</button>
      </p>
    </form>`;
  return (await dialog(title, body)) === true;
}

/** Say what was done, or why it was not. */
export function notice(text, kind = "done") {
  number += 1;
  const mine = { number, text, kind };
  notices = [...notices.slice(-3), mine];
  draw();
  setTimeout(() => dismiss(mine), (kind === "done" ? 1 : 2) * NOTICE_SECONDS * 1000);
}

function dismiss(one) {
  notices = notices.filter((each) => each !== one);
  draw();
}

/** Do what a user asks for, and say what came of it; return whether it was done. */
export async function act(doing, said) {
  try {
    const answer = await doing();
    const text = typeof said === "function" ? said(answer) : said;
    notice([text, answer?.note].filter(Boolean).join(" – "), answer?.done === false ? "failed" : "done");
    return true;
  } catch (error) {
    notice(error.message, "failed");
    if (error.status === 401) app.identify();
    return false;
  }
}

function draw() {
  if (!root) return;
  render(
    html`
      ${shown
        ? html`<dialog aria-labelledby="dialog-title" class=${shown.kind} @cancel=${dismissed}>
            <h2 id="dialog-title">${oneLine(shown.title)}</h2>
            ${shown.body(shown.end)}
          </dialog>`
        : nothing}
      <div class="notices" role="status" aria-live="polite">
        ${notices.map(
          (one) => html`<p class="notice ${one.kind}">
            <span>${visible(one.text)}</span><button class="plain" aria-label="Dismiss" @click=${() => dismiss(one)}>×</button>
          </p>`,
        )}
      </div>`,
    root,
  );
}

function dismissed(event) {
  event.preventDefault();
  shown?.end(null);
}
