// Keeps the focus where it is when a list is drawn again without what had it.

const ROW = "tr, li";
const BUTTONS = "a, button, summary";

/**
 * Draw. If that takes away what had the focus, the same button of the row that is in its place now gets it, or else the
 * title of the view; in the head of the page, what is in the place of the button for logging in.
 */
export function keepFocus(draw) {
  const before = document.activeElement;
  const place = before && before !== document.body ? placeOf(before) : null;
  draw();
  if (!place || before.isConnected) return;
  const next = place.isInHead ? document.querySelector(".state button:last-of-type") : sameOf(place);
  if (next) next.focus();
  else document.querySelector("main h1")?.focus({ preventScroll: true });
}

function placeOf(element) {
  const row = element.closest(ROW);
  const rows = row?.parentElement ?? null;
  const index = rows ? [...rows.children].indexOf(row) : 0;
  return { text: element.textContent.trim(), isInHead: element.closest(".top") !== null, rows, index };
}

function sameOf({ text, rows, index }) {
  const row = rows?.children[Math.min(index, rows.children.length - 1)];
  const each = row ? [...row.querySelectorAll(BUTTONS)] : [];
  return each.find((one) => one.textContent.trim() === text) ?? each[0];
}
