// Tables: sorted and paged by the server, and the same on a narrow screen, where each row is a block.

import { html, nothing } from "./vendor/lit-html.js";
import { repeat } from "./vendor/directives/repeat.js";
import { NONE, count } from "./format.js";
import { to, withArgs } from "./router.js";

/**
 * Return a table.
 *
 * A column has a `label`, `cell(row)`, and perhaps `sort`, the value of the argument `sort` that sorts by it, and
 * `number` if it is aligned as one, `wide` if it needs room, `short` if it is never broken. `page` is a page of the API, or has `items` only. `key(row)` identifies a row.
 */
export function table(at, caption, columns, page, key, none) {
  if (!page.items.length && !at.args.after) return at.args.match || at.args.sender ? nothingMatches(at) : none;
  return html`
    <div class="scroll"><table role="table">
      <caption class="unseen">${caption}</caption>
      <thead role="rowgroup"><tr role="row">${columns.map((column) => header(at, column))}</tr></thead>
      <tbody role="rowgroup">
        ${repeat(page.items, key, (row) => html`<tr role="row">
          ${columns.map((column) => cell(column, column.cell(row)))}
        </tr>`)}
      </tbody>
    </table></div>
    ${page.total === undefined ? nothing : pager(at, page)}`;
}

/** A cell; on a narrow screen, one without a value is left out. */
function cell(column, value) {
  return html`<td role="cell" class=${classOf(column, value === NONE)} data-label=${column.label}><div>${value}</div></td>`;
}

function classOf(column, isNone = false) {
  return [isNone ? "none" : "", column.number ? "number" : "", column.wide ? "wide" : "", column.short ? "short" : "", column.label ? "" : "last"].filter(Boolean).join(" ");
}

function header(at, column) {
  if (column.sort === undefined) {
    return html`<th role="columnheader" scope="col" class=${classOf(column)}>${column.label || html`<span class="unseen">Actions</span>`}</th>`;
  }
  const is = (at.args.sort ?? "") === column.sort;
  const order = column.sort === "" || column.ascending ? "ascending" : "descending";
  const arrow = is ? html`<span class="order" aria-hidden="true">${order === "ascending" ? "↑" : "↓"}</span>` : nothing;
  // The labels of numbers end where the numbers do.
  return html`<th role="columnheader" scope="col" class=${classOf(column)} aria-sort=${is ? order : "none"}>
    <a href=${withArgs(at, { sort: column.sort })}>${column.number ? html`${arrow}${column.label}` : html`${column.label}${arrow}`}</a>
  </th>`;
}

function pager(at, page) {
  const many = page.total > page.items.length || at.args.after;
  return html`<nav class="pager" aria-label="Pages">
    <span>${count(page.items.length)} of ${count(page.total)}</span>
    ${at.args.after ? html`<a class="button" href=${withArgs(at, {})}>First page</a>` : nothing}
    ${page.next ? html`<a class="button" href=${to(at.name, at.parts, { ...at.args, after: page.next })}>Next page</a>` : nothing}
    ${many ? html`<span class="rows">Rows:${[25, 100, 500].map((rows) => html`
      <a href=${withArgs(at, { limit: rows === 100 ? "" : rows })} aria-current=${Number(at.args.limit ?? 100) === rows ? "true" : nothing}>${rows}</a>`)}</span>` : nothing}
  </nav>`;
}

function nothingMatches(at) {
  return html`<div class="empty"><p class="empty-title">Nothing matches “${[at.args.match, at.args.sender].filter(Boolean).join("” and “")}”.</p>
    <p><a href=${withArgs(at, { match: "", sender: "" })}>Show everything</a></p></div>`;
}

/** Return the arguments for a page of a list in the address, of which only these are meant for it. */
export function pageArgs(at, ...names) {
  const found = {};
  for (const name of ["after", "limit", "match", "sort", ...names]) if (at.args[name]) found[name] = at.args[name];
  return found;
}
