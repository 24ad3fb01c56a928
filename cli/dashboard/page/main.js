// Joins the parts: frames in, views out, keys.

import * as detail from "./detail.js";
import { replace, say, set } from "./dom.js";
import { matrix } from "./matrix.js";
import * as overview from "./overview.js";
import { nothing, ring } from "./ring.js";
import { choose, state } from "./state.js";
import { follow } from "./stream.js";
import { flip, theme } from "./theme.js";

const MOST_ON_A_RING = 12;
const $ = (id) => document.getElementById(id);
const maps = { ring: ring(choose), matrix: matrix(choose) };
let shown = null;

function draw(frame) {
  set(document.body, { "data-shows": frame.shows });
  overview.update(frame);
  const kind = state.map || (frame.clusters.length > MOST_ON_A_RING ? "matrix" : "ring");
  maps[kind].update(frame);
  const name = frame.links.length ? kind : `${kind} alone`;
  if (shown !== name) replace($("map"), maps[kind].element, frame.links.length ? null : nothing(frame.untold));
  shown = name;
  set($("map"), { "data-kind": kind });
  say($("map-title"), frame.shows === "settings" ? "Who would serve whom" : "Who serves whom");
  set($("assumed"), { hidden: !frame.assumed });
  say($("assumed"), frame.assumed);
  detail.update(frame);
}

function turn() {
  choose({ map: $("map").dataset.kind === "matrix" ? "ring" : "matrix" });
}

function escape() {
  if (state.service || state.cluster) detail.close();
  else { choose({ text: "", namespace: "" }); $("text").value = ""; document.activeElement.blur(); }
}

const KEYS = {
  "/": () => $("text").focus(),
  j: overview.firstService,
  k: overview.firstService,
  ArrowDown: overview.firstService,
  d: detail.enter,
  m: turn,
  t: flip,
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open || event.defaultPrevented) return;
  if (event.key === "Escape") return escape();
  if (event.target.closest("input, select") || !KEYS[event.key]) return undefined;
  event.preventDefault();
  return KEYS[event.key]();
});

$("text").value = state.text;
$("text").addEventListener("input", () => choose({ text: $("text").value.trim() }));
$("namespace").addEventListener("change", () => choose({ namespace: $("namespace").value }));
$("filters").addEventListener("submit", (event) => { event.preventDefault(); overview.firstService(); });
$("map-kind").addEventListener("click", turn);
$("theme").addEventListener("click", flip);
$("help-open").addEventListener("click", KEYS["?"]);

// The header may have two lines: what is fixed below it follows.
new ResizeObserver(([{ target }]) => document.body.style.setProperty("--head", `${target.offsetHeight}px`)).observe(document.querySelector("body > header"));

theme();
overview.overview();
follow(draw, (how, words) => {
  set($("connection"), { class: `pill ${how}` });
  say($("connection"), words);
});
