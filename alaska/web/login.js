// Logging in and out.

import { html, nothing } from "./vendor/lit-html.js";
import { app, redraw } from "./app.js";
import { ask, get } from "./api.js";
import { dialog, notice, redrawDialog } from "./dialog.js";
import { restart } from "./live.js";

/** Find out who has logged in; return whether anything may be seen. */
export async function identify() {
  try {
    app.session = await get("api/v1/session");
    app.needsLogin = false;
    app.live ??= { process: await get("api/v1/process"), broker: null, worker: null };
  } catch (error) {
    if (error.status !== 401 && error.status !== 403) throw error;
    // The access rules may let a user see nothing.
    app.page.fault = error.status === 403 ? error.message : null;
    app.session = { user: "", role: "none" };
    app.needsLogin = true;
  }
  return !app.needsLogin;
}

/** Show the form, and log in. */
export async function logIn() {
  let fault = "";
  const submit = (close) => async (event) => {
    event.preventDefault();
    fault = (await tried(new FormData(event.target))) ?? "";
    if (fault) redrawDialog();
    else close(true);
  };
  const done = await dialog("Log in", (close) => html`
    <form class="login" @submit=${submit(close)}>
      ${form()}
      ${fault ? html`<p class="fault" role="alert">${fault}</p>` : nothing}
      <p class="buttons"><button type="button" @click=${() => close(null)}>Cancel</button><button class="primary">Log in</button></p>
    </form>`);
  if (done) await entered();
}

/** The form as a page, for whoever may see nothing without a login. */
export function loginPage() {
  const submit = async (event) => {
    event.preventDefault();
    app.page.fault = await tried(new FormData(event.target));
    if (app.page.fault) redraw();
    else await entered();
  };
  return html`<section class="lonely"><h1 tabindex="-1">Log in</h1>
    <form class="login" @submit=${submit}>
      ${form()}
      ${app.page.fault ? html`<p class="fault" role="alert">${app.page.fault}</p>` : nothing}
      <p class="buttons"><button class="primary">Log in</button></p>
    </form></section>`;
}

function form() {
  return html`
    <label class="field">Token <input name="token" type="password" autocomplete="off" autofocus></label>
    <p class="dim">A token is made by <code class="command">alas token NAME ROLE</code>, and its line is in the file that <code>http/tokens</code> names.</p>
    <details><summary>Log in as a user of the broker</summary>
      <label class="field">User <input name="user" autocomplete="username"></label>
      <label class="field">Password <input name="password" type="password" autocomplete="current-password"></label>
    </details>`;
}

/** Log in; return why it failed, or null. */
async function tried(fields) {
  const token = fields.get("token").trim();
  const given = token ? { token } : { user: fields.get("user"), password: fields.get("password") };
  if (!token && !given.user) return "Enter a token, or a user and a password.";
  try {
    const headers = { "Content-Type": "application/json" };
    await ask("api/v1/session", { method: "POST", headers, body: JSON.stringify(given) });
    return null;
  } catch (error) {
    return error.message;
  }
}

async function entered() {
  await identify();
  notice(`${app.session.user} has logged in, with the role ${app.session.role}.`);
  app.page = {};
  restart();
  app.reload();
}

export async function logOut() {
  try {
    await ask("api/v1/session", { method: "DELETE" });
  } catch (error) {
    notice(error.message, "failed");
  }
  await identify();
  restart();
  app.reload();
}
