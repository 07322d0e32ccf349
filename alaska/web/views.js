// The views by their names in the address. Each has a `title`, the `topics` whose changes concern it, `load(at, signal)`
// and `draw(data, at)`; one that is `still` is only loaded when its address changes.

import { clients } from "./views/clients.js";
import { configuration } from "./views/configuration.js";
import { letters } from "./views/letters.js";
import { mailboxes } from "./views/mailboxes.js";
import { overview } from "./views/overview.js";
import { running } from "./views/running.js";
import { scheduled } from "./views/scheduled.js";
import { scripts } from "./views/scripts.js";
import { search } from "./views/search.js";
import { send } from "./views/send.js";
import { services } from "./views/services.js";
import { store } from "./views/store.js";
import { streams } from "./views/streams.js";
import { workers } from "./views/workers.js";

export const views = {
  clients, configuration, letters, mailboxes, overview, running, scheduled, scripts, search, send, services, store, streams, workers,
};
