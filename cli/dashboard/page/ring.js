// Clusters on a ring, and the calls between them: for as many as people can follow.

import { h, keep, s, say, set } from "./dom.js";
import { percent, purpose, rate, told } from "./format.js";

const WIDTH = 900;
const HEIGHT = 460;
const BOX = { width: 158, height: 52 };

export function ring(look) {
  const links = s("g", {});
  const nodes = s("g", {});
  const svg = s("svg", { class: "ring", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": "Clusters and calls between them" },
    s("defs", {}, ...["idle", "shared", "moving", "bad"].map(arrow)), links, nodes);
  return { element: svg, update: (frame) => update(frame, links, nodes, look) };
}

function arrow(kind) {
  return s("marker", { id: `arrow-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
    s("path", { d: "M0 0 L8 4 L0 8 Z", class: `arrow ${kind}` }));
}

function update(frame, links, nodes, look) {
  const at = frame.clusters.map((_, number) => position(number, frame.clusters.length));
  const shown = frame.links.filter((link) => link.target >= 0);
  keep(links, shown, (link) => `${link.source}-${link.target}`, makeLink, (element, link) => updateLink(element, link, at, frame));
  keep(nodes, frame.clusters, (cluster) => cluster.name, (cluster) => makeNode(cluster, look), (element, cluster) => {
    const { x, y } = at[frame.clusters.indexOf(cluster)];
    updateNode(element, cluster, frame, x, y);
  });
}

/** The first stands above, the others follow clockwise. */
function position(number, count) {
  const angle = (number / count) * 2 * Math.PI - Math.PI / 2;
  return {
    x: WIDTH / 2 + Math.cos(angle) * (WIDTH / 2 - BOX.width / 2 - 14),
    y: HEIGHT / 2 + Math.sin(angle) * (HEIGHT / 2 - BOX.height / 2 - 10),
  };
}

function makeLink() {
  return s("g", { class: "link" }, s("title"), s("path", { class: "line" }), s("path", { class: "flow" }), s("text", { "text-anchor": "middle", dy: -4 }));
}

function updateLink(element, link, at, frame) {
  const [title, line, flow, label] = element.children;
  const moving = link.traffic.rps > 0;
  const bad = link.ejected > 0 || link.traffic.errors > 0 || frame.clusters[link.target].reach === "down";
  const kind = bad ? "bad" : moving ? "moving" : frame.shows === "traffic" ? "idle" : "shared";
  const { d, middle } = curve(at[link.source], at[link.target]);
  set(element, { class: `link ${kind}` });
  set(line, { d, "marker-end": `url(#arrow-${kind})` });
  set(flow, { d, visibility: moving ? null : "hidden" });
  flow.style.setProperty("--pace", `${(2 / (1 + Math.log10(1 + link.traffic.rps))).toFixed(2)}s`);
  line.style.setProperty("--wide", (1.2 + Math.log10(1 + link.traffic.rps)).toFixed(2));
  set(label, { x: middle.x.toFixed(1), y: middle.y.toFixed(1) });
  const share = link.ejected && !link.percent ? "ejected" : percent(link.percent);
  say(label, moving ? `${share} · ${rate(link.traffic.rps)}/s` : share);
  say(title, told(link, frame));
}

/** Bent to the right of its direction, so that there and back are two lines; it ends at the target's box. */
function curve(from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const bend = { x: (from.x + to.x) / 2 - (dy / length) * 46, y: (from.y + to.y) / 2 + (dx / length) * 46 };
  const start = edge(from, bend);
  const end = edge(to, bend);
  const middle = { x: (start.x + 2 * bend.x + end.x) / 4, y: (start.y + 2 * bend.y + end.y) / 4 };
  return { d: `M${start.x.toFixed(1)} ${start.y.toFixed(1)} Q${bend.x.toFixed(1)} ${bend.y.toFixed(1)} ${end.x.toFixed(1)} ${end.y.toFixed(1)}`, middle };
}

function edge(box, towards) {
  const [dx, dy] = [towards.x - box.x, towards.y - box.y];
  const scale = Math.min((BOX.width / 2 + 4) / Math.abs(dx || 1e-9), (BOX.height / 2 + 4) / Math.abs(dy || 1e-9), 1);
  return { x: box.x + dx * scale, y: box.y + dy * scale };
}

function makeNode(cluster, look) {
  const element = s("g", { class: "node", tabindex: 0, role: "button" },
    s("rect", { x: -BOX.width / 2, y: -BOX.height / 2, width: BOX.width, height: BOX.height, rx: 9 }),
    s("text", { class: "name", "text-anchor": "middle", y: -5 }),
    s("text", { class: "note", "text-anchor": "middle", y: 15 }));
  const open = () => look({ cluster: cluster.name, service: "", source: "" });
  element.addEventListener("click", open);
  element.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } });
  return element;
}

function updateNode(element, cluster, frame, x, y) {
  const [, name, note] = element.children;
  const lost = cluster.reach === "silent" || cluster.reach === "down";
  const word = lost ? cluster.reach : frame.shows === "traffic" ? `${rate(cluster.served.rps)}/s served` : purpose(cluster);
  set(element, { class: `node ${cluster.state} ${cluster.reach}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "aria-label": `${cluster.name}, ${word}` });
  say(name, cluster.name.length > 20 ? `${cluster.name.slice(0, 19)}…` : cluster.name);
  say(note, word);
}

/** Said where nothing crosses, as far as it is told. */
export function nothing(untold) {
  return h("p", { class: "quiet" }, untold || "No policy lets calls leave their cluster.");
}
