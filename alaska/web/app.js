// What the parts of the page have in common: who has logged in, what was told last, and how to draw again.

const ROLES = ["none", "view", "send", "operate", "all"];

export const app = {
  /** Who has logged in, and with which role; null until it is known. */
  session: null,
  needsLogin: false,
  /** The last live data: process, broker, worker. */
  live: null,
  /** "live", "polling", "connecting", "frozen" or "lost". */
  status: "connecting",
  frozen: false,
  at: null,
  view: null,
  data: null,
  error: null,
  loading: false,
  menu: false,
  /** What a view keeps while it is shown. */
  page: {},
  draw: () => {},
  reload: () => {},
  /** Find out again who has logged in, since a session may have ended. */
  identify: () => {},
};

let asked = false;

/** Draw again, once for all calls until the next frame. */
export function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    app.draw();
  });
}

/** Return whether the user has a role or a higher one. */
export function may(role) {
  return ROLES.indexOf(app.session?.role ?? "none") >= ROLES.indexOf(role);
}

/** Return the path of a part of the process, "broker" or "worker"; undefined if it has none. */
export function pathOf(kind) {
  return app.live?.process.parts.find((part) => part.kind === kind)?.path;
}

let ahead = 0;

/** Take over the time of the process, which may differ from that of the browser. */
export function setTime(seconds) {
  ahead = seconds - Date.now() / 1000;
}

/** Return the time of the process, in seconds since 1970. */
export function now() {
  return Date.now() / 1000 + ahead;
}
