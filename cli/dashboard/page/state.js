// What the viewer has chosen. It stands in the address behind the #, so that a reload keeps it.

const NAMES = ["text", "namespace", "service", "source", "cluster", "theme", "map"];
const ASKED = ["text", "namespace", "service", "source", "cluster"];

export const state = Object.fromEntries(NAMES.map((name) => [name, ""]));
const watchers = [];

for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (NAMES.includes(name)) state[name] = value;

/** Choose something else, and tell those who watch. */
export function choose(changes) {
  if (Object.entries(changes).every(([name, value]) => state[name] === value)) return;
  Object.assign(state, changes);
  history.replaceState(null, "", `#${words(NAMES)}`);
  for (const watcher of watchers) watcher(changes);
}

/** Be told of each change. */
export function watch(watcher) {
  watchers.push(watcher);
}

/** What the server is asked for, as a query. */
export function asked() {
  return words(ASKED);
}

function words(names) {
  return new URLSearchParams(names.filter((name) => state[name]).map((name) => [name, state[name]])).toString();
}
