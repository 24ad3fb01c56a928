// Callers in rows, the clusters that serve them in columns: for more clusters than a ring can show.

import { keep, s, say, set } from "./dom.js";
import { percent, told } from "./format.js";

const LEAST_CELL = 15;
const MOST_CELL = 30;
const TOLD_CELL = 28;
const SIDE = 560;
const EDGE = 130;
const SHOWN_LETTERS = 18;

export function matrix(look) {
  const [grid, rows, columns, cells] = [s("path", { class: "grid" }), s("g", {}), s("g", {}), s("g", {})];
  const axes = s("text", { class: "axes", "text-anchor": "end", x: EDGE - 6, y: EDGE - 12 }, "callers ↓ served by →");
  const svg = s("svg", { class: "matrix", role: "group", "aria-label": "Calls from row to column" }, grid, axes, rows, columns, cells);
  return { element: svg, update: (frame) => update(frame, { svg, grid, rows, columns, cells }, look) };
}

function update(frame, { svg, grid, rows, columns, cells }, look) {
  const count = frame.clusters.length;
  const cell = Math.max(LEAST_CELL, Math.min(MOST_CELL, Math.floor(SIDE / count)));
  const size = EDGE + count * cell + 4;
  const at = (number) => EDGE + number * cell;
  set(svg, { viewBox: `0 0 ${size} ${size}`, width: size, height: size });
  set(grid, { d: Array.from({ length: count + 1 }, (_, number) => `M${EDGE} ${at(number) - 1}H${at(count)}M${at(number) - 1} ${EDGE}V${at(count)}`).join("") });
  const named = frame.clusters.map((cluster, number) => ({ cluster, middle: at(number) + cell / 2 + 3 }));
  const open = (cluster) => look({ cluster, service: "", source: "" });
  for (const [parent, turned] of [[rows, false], [columns, true]]) {
    keep(parent, named, ({ cluster }) => cluster.name, ({ cluster }) => label(cluster, turned, open), (element, { cluster, middle }) => {
      const place = turned ? `translate(${middle} ${EDGE - 6}) rotate(-90)` : `translate(${EDGE - 6} ${middle})`;
      set(element, { class: `name ${cluster.state} ${cluster.reach}`, transform: place });
    });
  }
  const shown = frame.links.filter((link) => link.target >= 0);
  const top = Math.log1p(Math.max(1, ...shown.map((link) => link.traffic.rps)));
  keep(cells, shown, (link) => link.source * count + link.target, () => makeCell(cell), (element, link) => {
    const [title, square, text] = element.children;
    const [kind, strength] = looks(link, frame, top);
    set(element, { class: `cell ${kind}`, transform: `translate(${at(link.target)} ${at(link.source)})` });
    set(square, { width: cell - 2, height: cell - 2, "fill-opacity": strength.toFixed(2) });
    if (text) say(text, link.percent ? percent(link.percent).replace(" %", "") : "–");
    say(title, told(link, frame));
  });
}

/** With its percentage where that can be read. */
function makeCell(cell) {
  const text = s("text", { "text-anchor": "middle", x: cell / 2 - 1, y: cell / 2 + 3 });
  return s("g", {}, s("title"), s("rect", { rx: 2 }), cell < TOLD_CELL ? null : text);
}

/** What a cell is by its kind, and how strong: by the traffic, or where none is measured by the part of the requests. */
function looks(link, { shows }, top) {
  if (link.ejected > 0 || link.traffic.errors > 0) return ["bad", 0.6];
  if (shows !== "traffic") return ["shared", 0.2 + 0.5 * (link.percent / 100)];
  return link.traffic.rps > 0 ? ["moving", 0.3 + 0.7 * (Math.log1p(link.traffic.rps) / top)] : ["idle", 0.12];
}

function label(cluster, turned, open) {
  const name = cluster.name.length > SHOWN_LETTERS ? `${cluster.name.slice(0, SHOWN_LETTERS - 1)}…` : cluster.name;
  const element = s("text", { "text-anchor": turned ? "start" : "end", tabindex: turned ? null : 0, role: turned ? null : "button" }, name);
  element.addEventListener("click", () => open(cluster.name));
  element.addEventListener("keydown", (event) => { if (event.key === "Enter") open(cluster.name); });
  return element;
}
