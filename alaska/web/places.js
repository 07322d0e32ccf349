// Where one can go, in groups: the name in the address, the text, and the number that is shown beside it.

const BROKER = [
  ["", [["overview", "Overview"]]],
  [
    "Work",
    [
      ["services", "Services"],
      ["running", "Running", (broker) => broker.in_flight],
      ["scheduled", "Scheduled", (broker) => broker.delayed],
      ["letters", "Dead letters", (broker) => broker.dead_letters],
    ],
  ],
  ["Messages", [["mailboxes", "Mailboxes"], ["streams", "Streams"]]],
  ["Programs", [["workers", "Workers", (broker) => broker.workers], ["clients", "Clients", (broker) => broker.clients], ["scripts", "Scripts"]]],
  ["Tools", [["search", "Find a message"], ["send", "Send a request"]]],
  ["System", [["store", "Store and limits"], ["configuration", "Configuration"]]],
];
const WORKER = [
  ["", [["overview", "Overview"]]],
  ["Work", [["running", "Running"], ["scripts", "Scripts"]]],
  ["System", [["store", "Process"], ["configuration", "Configuration"]]],
];

/** Return the groups for a process with these parts. */
export function groups(hasBroker, hasWorker) {
  if (hasBroker) return BROKER;
  return hasWorker ? WORKER : [BROKER[0]];
}
