// The content of a message: as text, as JSON, or in hexadecimal.

import { html, nothing } from "./vendor/lit-html.js";
import { redrawDialog } from "./dialog.js";
import { many, octets } from "./format.js";
import { facts, name } from "./parts.js";
import { redraw } from "./app.js";

const MOST_SHOWN = 64 * 1024;
const PER_LINE = 16;
let chosen = "";

/** Return the octets of a text in base64. */
export function octetsOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Return the text of octets, or null if they are none in UTF-8. */
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Show the frames, which are in base64; null if they are too large. */
export function content(frames, properties = {}) {
  const pairs = Object.entries(properties);
  return html`
    ${pairs.length ? html`<h3>Headers and terms</h3>${facts(pairs.map(([key, value]) => [key, name(value)]))}` : nothing}
    ${frames === null ? html`<p class="dim">The content is too large to be shown.</p>` : frames.map((frame, at) => one(octetsOf(frame), at, frames.length))}
    ${frames?.length === 0 ? html`<p class="dim">There is no content.</p>` : nothing}`;
}

function one(bytes, at, total) {
  const forms = formsOf(bytes);
  const form = forms.some(([key]) => key === chosen) ? chosen : forms[0][0];
  const choose = (key) => () => {
    chosen = key;
    redrawDialog();
    redraw();
  };
  const title = total > 1 ? `Frame ${at + 1} of ${total}` : "Content";
  return html`<section class="content"><div class="content-head"><h3>${title} <span class="dim">${octets(bytes.length)}</span></h3>
    <div class="forms" role="group" aria-label="Form of the content">
      ${forms.map(([key]) => html`<button type="button" aria-pressed=${key === form} @click=${choose(key)}>${key}</button>`)}
    </div></div>
    <pre tabindex="0" aria-label=${title}>${forms.find(([key]) => key === form)[1]()}</pre>
    ${bytes.length > MOST_SHOWN ? html`<p class="dim">The first ${octets(MOST_SHOWN)} are shown; ${many(bytes.length - MOST_SHOWN, "octet")} more are not.</p>` : nothing}
  </section>`;
}

function formsOf(bytes) {
  const shown = bytes.subarray(0, MOST_SHOWN);
  const text = bytes.length > MOST_SHOWN ? new TextDecoder().decode(shown) : textOf(bytes);
  const forms = [];
  if (text !== null && bytes.length <= MOST_SHOWN && /^\s*[[{"]/.test(text)) {
    const laidOut = pretty(text);
    if (laidOut !== null) forms.push(["JSON", () => laidOut]);
  }
  if (text !== null) forms.push(["Text", () => text]);
  return [...forms, ["Hex", () => hex(shown)]];
}

/** Return a text in JSON with its parts in lines. Its numbers stay as they are written, whatever their size. */
function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  let depth = 0;
  let out = "";
  const line = () => `\n${"  ".repeat(Math.min(depth, 50))}`;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? [];
  tokens.forEach((token, at) => {
    const isClosed = tokens[at + 1] === "}" || tokens[at + 1] === "]";
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + (isClosed ? "" : line());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out += (tokens[at - 1] === "{" || tokens[at - 1] === "[" ? "" : line()) + token;
    } else if (token === ",") out += token + line();
    else out += token === ":" ? ": " : token;
  });
  return out;
}

function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += PER_LINE) {
    const part = [...bytes.subarray(at, at + PER_LINE)];
    const codes = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes.padEnd(PER_LINE * 3 - 1)}  ${text}`);
  }
  return lines.join("\n");
}
