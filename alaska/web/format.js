// Numbers, sizes, durations and times as text.

import { now } from "./app.js";

/** What is shown where there is no value. */
export const NONE = "–";
const GROUPS = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Return a whole number with its digits in groups; one that is too large for a double comes as a string. */
export function count(value) {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "string") return value.replace(/\B(?=(\d{3})+$)/g, ",");
  return GROUPS.format(value);
}

/** Return a rate per second. */
export function rate(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value === 0) return "0/s";
  if (value < 0.095) return `${trim(value * 60, 1)}/min`;
  return `${value < 10 ? trim(value, 1) : count(Math.round(value))}/s`;
}

/** Return a size. */
export function octets(value) {
  if (value === null || value === undefined) return NONE;
  let size = Number(value);
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit && size < 100 ? trim(size, 1) : count(Math.round(size))} ${UNITS[unit]}`;
}

/** Return a duration in its two largest units. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return NONE;
  const value = Math.max(0, seconds);
  if (value === 0) return "0 s";
  if (value < 0.001) return `${count(Math.round(value * 1e6))} µs`;
  if (value < 1) return `${trim(value * 1000, value < 0.01 ? 1 : 0)} ms`;
  if (value < 60) return `${trim(value, value < 10 ? 1 : 0)} s`;
  if (value < 3600) return pair(value, 60, "min", 1, "s");
  if (value < 86400) return pair(value, 3600, "h", 60, "min");
  return pair(value, 86400, "d", 3600, "h");
}

function pair(value, large, largeUnit, small, smallUnit) {
  const first = Math.floor(value / large);
  const second = Math.floor((value - first * large) / small);
  return second ? `${first} ${largeUnit} ${second} ${smallUnit}` : `${first} ${largeUnit}`;
}

/** Return how long ago a time was, or in how long it will be. */
export function ago(time) {
  if (time === null || time === undefined) return NONE;
  const age = now() - time;
  if (Math.abs(age) < 1) return "now";
  return age > 0 ? `${duration(Math.floor(age))} ago` : `in ${duration(Math.ceil(-age))}`;
}

/** Return the age of something that began at a time. */
export function age(time) {
  return time === null || time === undefined ? NONE : duration(Math.max(0, Math.floor((now() - time) * 10) / 10));
}

/** Return the date and time of day. */
export function clock(time) {
  if (time === null || time === undefined) return NONE;
  const date = new Date(time * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Return a share in percent. */
export function percent(part, whole) {
  if (!whole) return NONE;
  const share = (100 * part) / whole;
  return `${share > 0 && share < 0.1 ? "<0.1" : trim(share, share < 10 ? 1 : 0)}\u00a0%`;
}

/** Return a number and a noun, which has an s unless it is one. */
export function many(value, noun, nouns = `${noun}s`) {
  return `${count(value)} ${Number(value) === 1 ? noun : nouns}`;
}

/** What cannot be seen, or turns the text around it: controls, marks of direction, spaces without a width. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };

/** Return a text in which every character can be seen; lines and tabs are kept. */
export function visible(text) {
  return text.replace(UNSEEN, escaped);
}

/** Return a name, which may be any octets, as one line in which every character can be seen. */
export function oneLine(text) {
  return visible(text).replace(/[\n\t]/g, escaped);
}

/** Return a text as a sentence: with a capital letter and a full stop. */
export function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

function escaped(character) {
  const code = character.charCodeAt(0);
  return SHORT[character] ?? (code < 128 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
}

function trim(value, digits) {
  return String(Number(value.toFixed(digits)));
}
