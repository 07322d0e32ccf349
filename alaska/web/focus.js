// Keeps the focus and the selection where they are when a list is drawn again.

const ROW = "tr, li";
const BUTTONS = "a, button, summary";

/**
 * Draw. If that takes away what had the focus, the same button of the row that is in its place now gets it, or else the
 * title of the view; in the head of the page, what is in the place of the button for logging in.
 */
export function keepFocus(draw) {
  const before = document.activeElement;
  const place = before && before !== document.body ? placeOf(before) : null;
  const selected = selection();
  draw();
  if (selected) select(selected);
  if (!place || document.activeElement === before) return;
  // A row that was moved has lost the focus.
  if (before.isConnected) return void (document.activeElement === document.body && before.focus({ preventScroll: true }));
  const next = place.isInHead ? document.querySelector(".state button:last-of-type") : sameOf(place);
  if (next) next.focus();
  else document.querySelector("main h1")?.focus({ preventScroll: true });
}

function selection() {
  const now = getSelection();
  return now.isCollapsed ? null : [now.anchorNode, now.anchorOffset, now.focusNode, now.focusOffset];
}

/** Select again what was selected in a row that was moved. */
function select([from, fromOffset, to, toOffset]) {
  if (!getSelection().isCollapsed || !from.isConnected || !to.isConnected) return;
  const within = (node, offset) => Math.min(offset, node.length ?? node.childNodes.length);
  getSelection().setBaseAndExtent(from, within(from, fromOffset), to, within(to, toOffset));
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
