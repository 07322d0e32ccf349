// Live data: one event stream for all tabs of a browser.
//
// HTTP/1.1 gives a browser six connections. So one visible tab holds a lock and the stream, and passes on what it gets.
// Where there are no locks (plain HTTP from another machine), or the stream fails, each tab asks at intervals. A hidden
// tab gives the lock up, and asks for nothing.

import { app, redraw, setTime } from "./app.js";
import { Refused, ask, get } from "./api.js";
import { parse } from "./json.js";

const POLL_SECONDS = 2;
/** After so long without an event, it is asked; after twice as long without an answer, it is said that there is none. */
const SILENT_SECONDS = 8;
const STREAM_AGAIN_SECONDS = 60;
const NAME = `alaska ${new URL(".", document.baseURI).pathname}`;

let channel = null;
let giveUp = null;
let heard = 0;
let isSilent = false;
let isStale = true;
let onData = () => {};
let onRefused = () => {};
let polling = 0;
let streamAfter = 0;
let turn = 0;

/** Begin; `data(live)` is called with each event, `refused(error)` when the user may not read. */
export function start(data, refused) {
  onData = data;
  onRefused = refused;
  if ("BroadcastChannel" in window) {
    channel = new BroadcastChannel(NAME);
    channel.onmessage = (event) => take(event.data, "live");
  }
  document.addEventListener("visibilitychange", resume);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", resume);
  setInterval(watch, 1000);
  resume();
}

/** Stop or go on by hand. */
export function freeze(frozen) {
  app.frozen = frozen;
  if (frozen) stop();
  else resume();
  setStatus(frozen ? "frozen" : "connecting");
}

/** Begin again, as another user. */
export function restart() {
  stop();
  streamAfter = 0;
  resume();
}

function resume() {
  if (document.hidden) stop();
  else if (!app.frozen && !app.needsLogin) {
    heard = Date.now();
    if (navigator.locks && channel && Date.now() >= streamAfter) elect();
    else poll();
  }
}

function stop() {
  giveUp?.();
  giveUp = null;
  clearTimeout(polling);
  polling = 0;
  isStale = true;
  turn += 1;
}

function elect() {
  if (giveUp) return;
  const ended = new AbortController();
  giveUp = () => ended.abort();
  navigator.locks.request(NAME, { signal: ended.signal }, () => hold(ended.signal)).catch(() => {});
}

/** Read the stream until `signal`, and pass it on; return when the lock may go to another tab. */
function hold(signal) {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const source = new EventSource("api/v1/live");
    source.onmessage = (event) => {
      isSilent = false;
      channel.postMessage(event.data);
      take(event.data, "live");
    };
    source.onerror = () => {
      // Else the browser connects again; meanwhile, who asks knows whether there is an answer.
      if (source.readyState === EventSource.CLOSED) {
        stop();
        doWithout();
      }
      poll();
    };
    signal.addEventListener("abort", () => {
      source.close();
      done();
    });
  });
}

/** Do without the stream for a while: it is refused, or a proxy does not pass it on. */
function doWithout() {
  streamAfter = Date.now() + STREAM_AGAIN_SECONDS * 1000;
  isSilent = false;
}

/** Ask, and ask again some time after the answer. */
async function poll() {
  if (polling) return;
  polling = -1;
  const mine = turn;
  try {
    const process = await get("api/v1/process");
    const live = { process, broker: null, worker: null, changed: null };
    for (const part of process.parts) {
      const answer = await ask(`${part.path}/overview`, { accepts: [404, 409, 503] });
      if (answer.ok) live[part.kind] = parse(await answer.text());
    }
    if (mine === turn) {
      // There are answers, but no events.
      if (isSilent) doWithout();
      take(live, "polling");
    }
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      stop();
      onRefused(error);
      return;
    }
    if (mine === turn) setStatus("lost");
  }
  if (mine === turn) polling = setTimeout(pollAgain, POLL_SECONDS * 1000);
}

function pollAgain() {
  polling = 0;
  if (navigator.locks && channel && Date.now() >= streamAfter) resume();
  else poll();
}

function take(data, status) {
  if (app.frozen || document.hidden) return;
  const live = typeof data === "string" ? parse(data) : data;
  heard = Date.now();
  setTime(live.process.time);
  app.status = status;
  // What has changed while nothing was asked for is not known.
  if (isStale) live.changed = null;
  isStale = false;
  onData(live);
}

/** Notice that nothing comes: the program has ended, or the network is gone. */
function watch() {
  if (app.frozen || document.hidden || app.needsLogin) return;
  const seconds = (Date.now() - heard) / 1000;
  if (seconds > 2 * SILENT_SECONDS) setStatus("lost");
  if (seconds > SILENT_SECONDS && !polling) {
    isSilent = true;
    stop();
    poll();
  }
}

function setStatus(status) {
  if (app.status !== status) {
    app.status = status;
    redraw();
  }
}
