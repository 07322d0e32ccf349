// The settings in force, without secrets.

import { html } from "../vendor/lit-html.js";
import { get } from "../api.js";
import { app, may } from "../app.js";
import { head, name, needs } from "../parts.js";

async function load(_at, signal) {
  if (!may("all")) return { parts: null };
  const parts = app.live.process.parts.map(async (part) => {
    try {
      return { kind: part.kind, found: await get(`${part.path}/configuration`, {}, signal) };
    } catch (error) {
      if (signal.aborted) throw error;
      return { kind: part.kind, fault: error.message };
    }
  });
  return { parts: await Promise.all(parts) };
}

const TITLES = { broker: "Broker", worker: "Worker" };

function draw({ parts }) {
  if (!parts) return html`${head("Configuration")}${needs("all", "The settings")}`;
  return html`${head("Configuration", "The settings in force; passwords and keys are left out.")}
    ${parts.map(({ kind, found, fault }) => html`<section class="block"><h2>${TITLES[kind]} ${found ? html`<span class="dim">${found.file ? name(found.file) : "without a file"}</span>` : ""}</h2>
      ${fault ? html`<p class="dim">${fault}</p>` : html`<pre class="settings" tabindex="0" aria-label=${`Settings of the ${kind}`}>${found.text}</pre>`}</section>`)}`;
}

export const configuration = { title: "Configuration", topics: [], still: true, load, draw };
