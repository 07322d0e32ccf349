// JSON whose whole numbers beyond 2^53 are kept exactly, as strings: positions go up to 2^63.

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LONG = /\d{16}/;

/** Return the value of a text in JSON. A whole number that a double cannot hold becomes a string of its digits. */
export function parse(text) {
  if (!LONG.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(TOKENS, kept));
}

function kept(token) {
  if (token.length < 16 || token[0] === '"' || /[.eE]/.test(token)) return token;
  return Number.isSafeInteger(Number(token)) ? token : `"${token}"`;
}
