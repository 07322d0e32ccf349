// Addresses within the page: `#/services/NAME?sort=waiting`. They can be linked to, and nothing else is asked for them.

/** Return the parts and arguments of an address. */
export function read(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { name: parts[0] ?? "overview", parts: parts.slice(1), args: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Return an address; empty arguments are left out. */
export function to(name, parts = [], args = {}) {
  const path = [name, ...parts.map((part) => encodeURIComponent(part))].join("/");
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(args)) if (value !== undefined && value !== null && value !== "") query.set(key, value);
  const text = query.toString();
  return text ? `#/${path}?${text}` : `#/${path}`;
}

/** Return the present address with other arguments; a page of a list begins at its start again. */
export function withArgs(at, args) {
  return to(at.name, at.parts, { ...at.args, after: "", ...args });
}

/** Show another address; `replace`: without a step back. */
export function go(address, replace = false) {
  if (!replace) location.hash = address;
  else if (location.hash !== address) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }
}
