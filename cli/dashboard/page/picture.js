// The one frame that is in this file, for what is chosen: in the place of stream.js, with nobody to ask.

import { day } from "./format.js";
import { state, watch } from "./state.js";

const picture = JSON.parse(document.getElementById("picture").textContent);
const TOLD = { moment: "as it was", settings: "by the settings" };

/** Call `onFrame` now and when something else is chosen, and `onState` with "still" and of when it is. */
export function follow(onFrame, onState) {
  const { frame } = picture;
  const draw = () => onFrame(chosen(frame));
  onState("still", `${TOLD[frame.shows]}, ${day(frame.at)}`);
  watch(draw);
  draw();
}

/** What the doctor said about a service or cluster. */
export async function examined(subject) {
  return { at: picture.frame.at, checks: own(picture.doctor, subject) ?? [] };
}

function chosen(frame) {
  const all = !state.text && !state.namespace;
  const services = all ? frame.services : frame.services.filter(({ name }) => matches(name));
  return { ...frame, services, links: all ? frame.links : sum(services), detail: detail() };
}

/** As the server has it. */
function matches(name) {
  return name.includes(state.text) && (!state.namespace || name.split("/")[0] === state.namespace);
}

/** The links between clusters of some services. */
function sum(services) {
  const found = new Map();
  for (const [source, target, count, percent, ejected] of services.flatMap(({ name }) => picture.links[name] ?? [])) {
    const key = `${source} ${target}`;
    const link = found.get(key) ?? { source, target, services: 0, percent: 0, ejected: 0, traffic: { rps: 0, errors: 0, p50: null, p95: null } };
    link.services += count;
    link.ejected += ejected;
    link.percent = Math.max(link.percent, percent);
    found.set(key, link);
  }
  return [...found.values()];
}

function detail() {
  const subject = state.service || state.cluster;
  if (!subject) return null;
  const found = own(picture.details, subject);
  if (!found) return { [state.service ? "service" : "cluster"]: subject, absent: picture.left_out || "This picture has nothing of it." };
  return state.service ? { ...found, why: own(own(picture.why, subject), state.source) ?? [] } : found;
}

/** What is said under a name, which may be that of something every object has. */
function own(object, name) {
  return object && Object.hasOwn(object, name) ? object[name] : undefined;
}
