// Asking the API. All addresses are relative to the page, so that it works below any prefix.

import { sentence } from "./format.js";
import { parse } from "./json.js";

const SECONDS = 20;

/** An answer that is not a success: `status` is that of HTTP, or 0 if there was none; the message is a sentence. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Return an address of the API with its arguments, of which empty ones are left out. */
export function address(path, args = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(args)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Return what is answered to GET, decoded. */
export async function get(path, args, signal) {
  return decoded(await ask(address(path, args), { signal }));
}

/** Ask for a change; the arguments are in the query, where numbers are exact whatever their size. */
export async function post(path, args) {
  return decoded(await ask(address(path, args), { method: "POST" }));
}

/** Ask for a change whose arguments are large: `text` is in JSON. */
export async function postText(path, text) {
  const headers = { "Content-Type": "application/json" };
  return decoded(await ask(path, { method: "POST", headers, body: text }));
}

/** Return the answer itself, which must be a success. */
export async function ask(path, options = {}) {
  const limit = AbortSignal.timeout((options.seconds ?? SECONDS) * 1000);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let answer;
  try {
    answer = await fetch(path, { ...options, signal, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refused(0, limit.aborted ? "There was no answer in time." : "Alaska does not answer.");
  }
  if (answer.ok || (options.accepts ?? []).includes(answer.status)) return answer;
  throw new Refused(answer.status, await reason(answer));
}

async function decoded(answer) {
  return answer.status === 204 ? null : parse(await answer.text());
}

async function reason(answer) {
  try {
    const detail = parse(await answer.text()).detail;
    if (detail) return sentence(detail);
  } catch {
    // No problem in JSON: a proxy has answered.
  }
  return `The answer has the status ${answer.status}.`;
}
