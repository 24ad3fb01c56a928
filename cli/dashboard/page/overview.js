// Totals, clusters, services and problems.

import { h, keep, say, set } from "./dom.js";
import { count, day, duration, milliseconds, purpose, rate } from "./format.js";
import { draw, remember, sparkline } from "./sparkline.js";
import { choose, state } from "./state.js";

const $ = (id) => document.getElementById(id);
const COLUMNS = [
  ["name", "service", (one) => one.name],
  ["exporters", "exported by", (one) => -one.exporters.length],
  ["policies", "policies", (one) => -Object.keys(one.policies).length],
  ["rps", "requests/s", (one) => -one.served.rps],
  ["errors", "errors/s", (one) => -one.served.errors],
  ["p50", "p50", (one) => -(one.served.p50 ?? -1)],
  ["p95", "p95", (one) => -(one.served.p95 ?? -1)],
];
const NUMBERS = new Set(["rps", "errors", "p50", "p95"]);
const SHOWN_EXPORTERS = 3;
const MOST_CARDS = 16;
let sorted = "name";
let last = null;

export function overview() {
  for (const [key, title] of COLUMNS) {
    const button = h("button", { type: "button", "data-key": key }, title);
    button.addEventListener("click", () => { sorted = key; services(last); });
    $("services").tHead.rows[0].append(h("th", { scope: "col", class: NUMBERS.has(key) ? "number" : null }, button));
  }
  $("services").tBodies[0].addEventListener("keydown", walk);
}

export function update(frame) {
  say($("environment"), frame.environment);
  last = frame;
  document.title = `${frame.environment}: ${frame.shows === "traffic" ? `${rate(frame.totals.served.rps)}/s` : day(frame.at)}`;
  totals(frame);
  $("clusters").classList.toggle("many", frame.clusters.length > MOST_CARDS);
  keep($("clusters"), frame.clusters, (one) => one.name, makeCluster, (element, one) => updateCluster(element, one, frame));
  services(frame);
  set($("problems-section"), { hidden: !frame.problems.length });
  keep($("problems"), frame.problems, (one) => one.group + one.name, makeProblem, updateProblem);
}

function totals(frame) {
  const { totals: sums } = frame;
  const moves = [
    ["requests/s", rate(sums.served.rps), false],
    ["between clusters/s", rate(sums.between.rps), false],
    ["errors/s", rate(sums.served.errors), sums.served.errors > 0],
    ["p95", milliseconds(sums.served.p95), false],
  ];
  const told = [
    frame.shows === "settings" ? ["clusters", String(sums.clusters), false] : ["clusters", `${sums.reachable}/${sums.clusters}`, sums.reachable < sums.clusters],
    ["services", String(sums.services), false],
    ...(frame.shows === "traffic" ? moves : [["policies", String(frame.clusters.reduce((sum, one) => sum + one.policies, 0)), false]]),
    ["problems", String(sums.problems), sums.problems > 0],
  ];
  keep($("totals"), told, ([name]) => name, ([name]) => h("div", {}, h("dt", {}, name), h("dd")), (element, [, value, bad]) => {
    set(element, { class: bad ? "bad" : "" });
    say(element.lastChild, value);
  });
}

function makeCluster(cluster) {
  const button = h("button", { type: "button" }, h("b"), h("span", { class: "note" }), sparkline(), h("span", { class: "numbers" }), h("span", { class: "error" }));
  button.addEventListener("click", () => choose({ cluster: cluster.name, service: "", source: "" }));
  return h("li", {}, button);
}

function updateCluster(element, cluster, { at, shows }) {
  const [name, note, spark, numbers, error] = element.firstChild.children;
  const until = cluster.certificate === null ? "" : `, certificate for ${duration(cluster.certificate - at)}`;
  set(element, { class: `${cluster.state} ${cluster.reach}`, "data-name": cluster.name });
  set(element.firstChild, { title: cluster.key });
  say(name, cluster.name);
  const gateways = cluster.wanted === null ? "gateways not read" : cluster.wanted ? `${cluster.ready}/${cluster.wanted} gateways` : "no gateway";
  const since = cluster.seen ? ` for ${duration(at - cluster.seen)}` : ", never read";
  const notes = { up: `${cluster.kubernetes}, ${gateways}${until}`, planned: cluster.address };
  say(note, notes[cluster.reach] ?? `${cluster.reach}${since}`);
  remember(`cluster ${cluster.name}`, at, cluster.served.rps);
  draw(spark, `cluster ${cluster.name}`);
  const told = shows === "traffic" ? [`${rate(cluster.served.rps)}/s served`, `${rate(cluster.sent.rps)}/s sent`] : cluster.reach === "down" ? [] : [purpose(cluster)];
  if (cluster.served.errors + cluster.sent.errors > 0) told.push(`${rate(cluster.served.errors + cluster.sent.errors)} errors/s`);
  if (cluster.retries) told.push(`${rate(cluster.retries)} retries/s`);
  if (cluster.ejected) told.push(`${cluster.ejected} ejected`);
  if (cluster.problems) told.push(count(cluster.problems, "problem"));
  say(numbers, told.join(" · "));
  say(error, cluster.error);
}

function services(frame) {
  const rule = COLUMNS.find(([key]) => key === sorted)[2];
  const listed = [...frame.services].sort((a, b) => { const [x, y] = [rule(a), rule(b)]; return x < y ? -1 : x > y ? 1 : a.name < b.name ? -1 : 1; });
  for (const button of $("services").tHead.querySelectorAll("button")) set(button.parentNode, { "aria-sort": button.dataset.key === sorted ? "ascending" : null });
  say($("matched"), frame.services.length === frame.totals.services ? String(frame.totals.services) : `${frame.services.length} of ${frame.totals.services}`);
  keep($("services").tBodies[0], listed, (one) => one.name, makeService, (element, one) => updateService(element, one, frame));
  // One row is reached by Tab, the others from there: else a table of hundreds stands between its neighbours.
  const rows = [...$("services").tBodies[0].rows];
  const entry = rows.find((row) => row === document.activeElement) ?? rows.find((row) => row.dataset.name === state.service) ?? rows[0];
  for (const row of rows) set(row, { tabindex: row === entry ? 0 : -1 });
  const select = $("namespace");
  const known = frame.namespaces.includes(state.namespace) || !state.namespace ? frame.namespaces : [...frame.namespaces, state.namespace];
  keep(select, ["", ...known], (one) => one, (one) => h("option", { value: one }, one || "all namespaces"), () => {});
  if (select.value !== state.namespace) select.value = state.namespace;
}

function makeService(service) {
  const row = h("tr", { "data-name": service.name }, h("th", { scope: "row" }), h("td"), h("td"),
    h("td", { class: "number" }, h("span"), sparkline()), ...Array.from({ length: 3 }, () => h("td", { class: "number" })));
  row.addEventListener("click", () => choose({ service: service.name, cluster: "", source: "" }));
  return row;
}

function updateService(row, service, frame) {
  const [name, exporters, policies, requests, errors, p50, p95] = row.cells;
  set(row, { class: service.state, title: service.why || null, "aria-selected": service.name === state.service ? "true" : null });
  say(name, service.name);
  const names = service.exporters.slice(0, SHOWN_EXPORTERS).map((number) => frame.clusters[number].name);
  const more = service.exporters.length - names.length;
  say(exporters, names.join(", ") + (more > 0 ? ` and ${more} more` : "") || "–");
  say(policies, Object.entries(service.policies).map(([type, count]) => `${type} in ${count}`).join(", ") || "–");
  remember(`service ${service.name}`, frame.at, service.served.rps);
  say(requests.firstChild, rate(service.served.rps));
  draw(requests.lastChild, `service ${service.name}`);
  say(errors, rate(service.served.errors));
  set(errors, { class: service.served.errors > 0 ? "number bad" : "number" });
  say(p50, milliseconds(service.served.p50));
  say(p95, milliseconds(service.served.p95));
}

/** Arrows and j, k go from row to row; Enter looks into one. */
function walk(event) {
  const row = event.target.closest("tr");
  const next = { ArrowDown: "nextElementSibling", j: "nextElementSibling", ArrowUp: "previousElementSibling", k: "previousElementSibling" }[event.key];
  if (next) { event.preventDefault(); row[next]?.focus(); }
  else if (event.key === "Enter") row.click();
}

/** Begin to go from row to row. */
export function firstService() {
  const body = $("services").tBodies[0];
  body.querySelector('[tabindex="0"]')?.focus();
}

function makeProblem() {
  return h("li", {}, h("b"), h("span"), h("p", { class: "hint" }));
}

function updateProblem(element, problem) {
  const [name, seen, hint] = element.children;
  set(element, { class: problem.result });
  say(name, problem.name);
  say(seen, problem.seen);
  say(hint, problem.hint ?? "");
}
