// Callers in rows, the clusters that serve them in columns: for more clusters than a ring can show.

import { keep, s, say, set } from "./dom.js";
import { percent, rate } from "./format.js";

const CELL = 15;
const EDGE = 130;
const SHOWN_LETTERS = 18;

export function matrix(look) {
  const [rows, columns, cells] = [s("g", {}), s("g", {}), s("g", {})];
  const svg = s("svg", { class: "matrix", role: "group", "aria-label": "Calls from row to column" }, rows, columns, cells);
  return { element: svg, update: (frame) => update(frame, { svg, rows, columns, cells }, look) };
}

function update(frame, { svg, rows, columns, cells }, look) {
  const size = EDGE + frame.clusters.length * CELL + 4;
  set(svg, { viewBox: `0 0 ${size} ${size}`, width: size, height: size });
  const named = frame.clusters.map((cluster, number) => ({ cluster, at: EDGE + number * CELL }));
  const open = (cluster) => look({ cluster, service: "", source: "" });
  for (const [parent, turned] of [[rows, false], [columns, true]]) {
    keep(parent, named, ({ cluster }) => cluster.name, ({ cluster }) => label(cluster, turned, open), (element, { cluster, at }) => {
      const place = turned ? `translate(${at + CELL - 4} ${EDGE - 6}) rotate(-90)` : `translate(${EDGE - 6} ${at + CELL - 4})`;
      set(element, { class: `name ${cluster.state} ${cluster.reach}`, transform: place });
    });
  }
  const shown = frame.links.filter((link) => link.target >= 0);
  const top = Math.log1p(Math.max(1, ...shown.map((link) => link.traffic.rps)));
  keep(cells, shown, (link) => link.source * frame.clusters.length + link.target, () => s("rect", { width: CELL - 2, height: CELL - 2, rx: 2 }, s("title")), (element, link) => {
    const bad = link.ejected > 0 || link.traffic.errors > 0;
    const strength = link.traffic.rps > 0 ? 0.3 + 0.7 * (Math.log1p(link.traffic.rps) / top) : 0.12;
    set(element, { class: bad ? "bad" : link.traffic.rps > 0 ? "moving" : "idle", x: EDGE + link.target * CELL, y: EDGE + link.source * CELL, "fill-opacity": strength.toFixed(2) });
    const [from, to] = [frame.clusters[link.source].name, frame.clusters[link.target].name];
    say(element.firstChild, `${from} → ${to}: ${link.services} services, up to ${percent(link.percent)}, ${rate(link.traffic.rps)} requests/s, ${rate(link.traffic.errors)} errors/s${link.ejected ? `, ejected by ${link.ejected}` : ""}`);
  });
}

function label(cluster, turned, open) {
  const name = cluster.name.length > SHOWN_LETTERS ? `${cluster.name.slice(0, SHOWN_LETTERS - 1)}…` : cluster.name;
  const element = s("text", { "text-anchor": turned ? "start" : "end", tabindex: turned ? null : 0, role: turned ? null : "button" }, name);
  element.addEventListener("click", () => open(cluster.name));
  element.addEventListener("keydown", (event) => { if (event.key === "Enter") open(cluster.name); });
  return element;
}
