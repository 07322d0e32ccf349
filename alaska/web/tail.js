// A look into a stream: an element that shows its records as they come, or from a position on. With `from`, it begins by
// itself: <alaska-tail stream="…" from="now" match="…">.

import { html, nothing, render } from "./vendor/lit-html.js";
import { repeat } from "./vendor/directives/repeat.js";
import { address } from "./api.js";
import { clock, count, visible } from "./format.js";
import { parse } from "./json.js";
import { name } from "./parts.js";

const MOST = 200;
const MOST_CHARACTERS = 2000;

class Tail extends HTMLElement {
  #source = null;
  #records = [];
  #fault = "";
  #seen = 0;
  #due = 0;

  connectedCallback() {
    this.#draw();
    if (this.getAttribute("from")) this.#read();
    document.addEventListener("visibilitychange", this.#hide);
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#hide);
    this.#stop();
  }

  static observedAttributes = ["stream"];

  attributeChangedCallback(_, before) {
    if (before === null) return;
    this.#stop();
    this.#records = [];
    this.#draw();
  }

  #hide = () => {
    if (document.hidden && this.#source) {
      this.#stop();
      this.#draw();
    }
  };

  #start = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const detail = { from: fields.get("from"), match: fields.get("match") };
    for (const [key, value] of Object.entries(detail)) this.setAttribute(key, value);
    this.#read();
    this.dispatchEvent(new CustomEvent("read", { detail }));
  };

  #read() {
    this.#stop();
    this.#records = [];
    this.#seen = 0;
    this.#fault = "";
    const path = `api/v1/streams/${encodeURIComponent(this.getAttribute("stream"))}`;
    const source = (this.#source = new EventSource(address(path, { from: this.getAttribute("from"), match: this.getAttribute("match") })));
    source.onmessage = (each) => this.#take(parse(each.data));
    source.addEventListener("lagged", () => (this.#fault = "The browser does not read fast enough; it goes on where it was."));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.#fault = "The stream cannot be read: you may not, or there are too many readers.";
      if (source.readyState === EventSource.CLOSED) this.#stop();
      this.#draw();
    };
    this.#draw();
  }

  #take(record) {
    this.#seen += 1;
    this.#records.unshift(record);
    if (this.#records.length > MOST) this.#records.length = MOST;
    // Many may come between two pictures.
    this.#due ||= requestAnimationFrame(() => {
      this.#due = 0;
      this.#draw();
    });
  }

  #stop() {
    this.#source?.close();
    this.#source = null;
  }

  #draw() {
    const runs = this.#source !== null;
    render(
      html`<form class="bar" @submit=${this.#start}>
          <label class="choose"><span>From</span><select name="from">
            <option value="now">now</option><option value="start" ?selected=${this.getAttribute("from") === "start"}>the oldest record</option></select></label>
          <label class="choose"><span>Subjects</span><input name="match" class="pattern" placeholder="a pattern, such as ^sport" spellcheck="false" autocomplete="off" .defaultValue=${this.getAttribute("match") ?? ""}></label>
          ${runs ? html`<button type="button" @click=${() => (this.#stop(), this.#draw())}>Stop</button>` : html`<button class="primary">Read</button>`}
          <span class="dim">${runs || this.#seen ? `${count(this.#seen)} read${this.#seen > MOST ? `, the last ${MOST} are shown` : ""}` : nothing}</span>
        </form>
        ${this.#fault ? html`<p class="fault" role="alert">${this.#fault}</p>` : nothing}
        ${this.#records.length ? html`<ol class="records" tabindex="0" aria-label="Records, the newest first">${repeat(this.#records, (one) => one.position, record)}</ol>` : nothing}`,
      this,
    );
  }
}

function record(one) {
  const text = one.encoding === "none" ? "(too large to be shown)" : one.content.map((frame) => frame.slice(0, MOST_CHARACTERS)).join("\n");
  return html`<li><span class="dim">${count(one.position)}</span><time class="dim" title=${clock(one.time)}>${clock(one.time).slice(11)}</time>
    <span>${name(one.subject)}</span><span class="name">${visible(text)}${one.encoding === "base64" ? html` <span class="dim">base64</span>` : nothing}</span></li>`;
}

customElements.define("alaska-tail", Tail);
