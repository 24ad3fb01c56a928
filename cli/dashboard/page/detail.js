// What is looked into: a service or a cluster, with what the doctor says of it.

import { h, replace } from "./dom.js";
import { clock, fact, milliseconds, percent, rate } from "./format.js";
import { choose, state } from "./state.js";
import { examined } from "./stream.js";

const NOBODY = "nobody: refused";
const MOST_OPEN = 3;
const panel = document.getElementById("detail");
let doctor = { subject: "", at: 0, checks: null, error: "" };
let drawn = "";
let last = null;

export function update(frame) {
  last = frame;
  const { detail } = frame;
  const subject = detail?.service ?? detail?.cluster ?? "";
  const wanted = state.service || state.cluster;
  panel.hidden = !wanted;
  document.body.classList.toggle("looking", Boolean(wanted));
  if (!wanted || subject !== wanted) { if (!wanted) drawn = ""; return; }
  if (doctor.subject !== subject && frame.shows !== "settings") examine(subject);
  // Selected text and focus stay while nothing changes: what is redrawn each second is the numbers' own.
  const text = JSON.stringify([detail, doctor, frame.clusters.find((one) => one.name === subject)?.own]);
  if (text === drawn) return;
  drawn = text;
  const focused = document.activeElement?.dataset?.focus;
  const open = [...panel.querySelectorAll("details[open]")].map((one) => one.dataset.focus);
  const scrolled = panel.scrollTop;
  const content = detail.absent ? [quiet(detail.absent)] : detail.service ? service(detail, frame) : cluster(detail, frame);
  replace(panel, head(subject), ...content, frame.shows === "settings" ? null : told(subject, frame));
  for (const one of panel.querySelectorAll("details")) if (open.includes(one.dataset.focus)) one.open = true;
  panel.scrollTop = scrolled;
  if (focused) panel.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

/** Go there. */
export function enter() {
  panel.focus();
}

export function close() {
  choose({ service: "", cluster: "", source: "" });
}

function head(subject) {
  const button = h("button", { type: "button", "data-focus": "close", title: "Close (Esc)" }, "Close");
  button.addEventListener("click", close);
  return h("header", {}, h("h2", {}, subject), button);
}

function service(detail, frame) {
  const foretold = frame.shows === "settings";
  return [
    h("h3", {}, foretold ? "Who would serve whom" : "Who serves whom"),
    detail.callers.length ? h("table", { class: "callers" }, h("thead", {}, row("th", "callers", "policy", "served by")), h("tbody", {}, ...detail.callers.map((one) => caller(one, foretold)))) : quiet(frame.untold || "No gateway has a route for it."),
    ...served(detail.served),
    ...why(detail.why),
    ...["exports", "imports", "policies"].flatMap((title) => objects(title, detail[title])),
  ];
}

function served(listed) {
  if (!listed.length) return [];
  const told = listed.map((one) => `${one.cluster} ${rate(one.rps)}/s, p95 ${milliseconds(one.p95)}${one.errors > 0 ? `, ${rate(one.errors)} errors/s` : ""}`);
  return [h("p", {}, h("b", {}, "Brought to pods: "), told.join("; "))];
}

function caller(one, foretold) {
  const button = h("button", { type: "button", "data-focus": `why ${one.cluster} ${one.who}`, title: "Why" }, one.cluster);
  button.addEventListener("click", () => choose({ source: one.cluster }));
  const direct = one.direct ? [h("p", { class: "bad" }, `local pods directly: ${one.direct}`)] : [];
  const matches = one.matches.map((match) => h("div", {}, h("i", {}, `${match.headers} → `), ...parts(match.parts)));
  return h("tr", {}, h("td", {}, foretold ? h("b", {}, one.cluster) : button, ` ${one.who}`), h("td", {}, one.policy), h("td", {}, ...direct, ...parts(one.parts), ...matches, lost(one)));
}

/** Who would serve instead with each cluster lost. */
function lost(caller) {
  if (!caller.lost.length) return null;
  const rows = caller.lost.map((loss) => {
    const instead = loss.parts.flatMap((one, number) => [number ? ", " : "", h("span", {}, named(one))]);
    return h("div", {}, h("i", {}, `without ${loss.cluster} → `), ...(instead.length ? instead : [NOBODY]));
  });
  return h("details", { class: "lost", "data-focus": `lost ${caller.cluster} ${caller.who}`, open: rows.length <= MOST_OPEN }, h("summary", {}, "with a cluster lost"), ...rows);
}

function parts(listed) {
  const some = listed.filter((one) => one.percent > 0 || one.ejected || one.rps > 0);
  if (!some.length) return [h("span", { class: "quiet" }, NOBODY)];
  return some.map((one) => {
    const meter = h("meter", { min: 0, max: 100, value: one.percent });
    const moves = one.rps > 0 ? ` · ${rate(one.rps)}/s, p95 ${milliseconds(one.p95)}` : "";
    const errors = one.errors > 0 ? ` · ${rate(one.errors)} errors/s` : "";
    return h("div", { class: one.ejected || one.errors > 0 ? "share bad" : "share" }, meter, ` ${named(one)}${one.ejected ? ", ejected" : ""}${moves}${errors}`);
  });
}

/** Who gets how much. */
function named(one) {
  return [one.cluster, one.backend, percent(one.percent)].filter(Boolean).join(" ");
}

function why(hops) {
  if (!hops.length) return [];
  return [
    h("h3", {}, `Why, from ${state.source}`),
    h("ol", { class: "hops" }, ...hops.map((hop) => h("li", {}, h("b", {}, hop.at), ` → ${hop.decided}`, ...hop.why.map((text) => h("p", {}, text))))),
  ];
}

function objects(title, listed) {
  if (!listed.length) return [];
  return [
    h("h3", {}, `${title[0].toUpperCase()}${title.slice(1)}`),
    ...listed.map((one) => one.conditions.length ? object(title, one, listed.length) : h("p", { class: "bare" }, h("b", {}, one.cluster), ` ${one.says} `, h("span", { class: "quiet" }, "no conditions yet"))),
  ];
}

function object(title, one, count) {
  return h("details", { "data-focus": `${title} ${one.cluster}`, open: title !== "imports" && count <= 6 },
    h("summary", {}, h("b", {}, one.cluster), ` ${one.says} `, ...one.conditions.map(mark).filter(Boolean)),
    h("table", {}, h("tbody", {}, ...one.conditions.map((each) => row("td", each.type, each.status, each.reason, each.message, each.lastTransitionTime)))));
}

function mark(condition) {
  const good = condition.status === (condition.type === "Conflict" ? "False" : "True");
  if (good && condition.type === "Conflict") return null; // nobody needs to read that nothing is wrong
  return h("span", { class: good ? "mark good" : "mark bad", title: condition.message }, good ? condition.type : `${condition.type}: ${condition.reason}`);
}

function cluster(detail, frame) {
  const { own } = frame.clusters.find((one) => one.name === detail.cluster);
  const { membership } = detail;
  const moves = frame.shows !== "traffic" ? [] : [
    h("h3", {}, "Moving now"),
    detail.flows.length ? h("table", {}, h("thead", {}, row("th", "service", "brought to", "requests/s", "errors/s", "p95")), h("tbody", {}, ...detail.flows.map((one) => row("td", one.service, one.cluster, rate(one.rps), rate(one.errors), milliseconds(one.p95))))) : quiet("Nothing."),
  ];
  const answers = Object.entries(own);
  return [
    quiet(detail.key),
    membership.status ? h("p", { class: membership.status === "True" ? "" : "bad" }, `Membership: ${membership.message || membership.reason || membership.status}`) : "",
    h("h3", {}, "By the settings"),
    h("table", {}, h("tbody", {}, ...detail.settings.map((each) => row("td", ...each)))),
    h("h3", {}, "Gateways"),
    ...(detail.gateways.length ? detail.gateways.map(gateway) : [quiet(frame.shows === "settings" ? "Not there yet." : detail.untold || "None is ready.")]),
    ...moves,
    ...(answers.length ? [h("h3", {}, "Answered by the gateways themselves"), h("table", {}, h("tbody", {}, ...answers.map(([words, each]) => row("td", words, `${rate(each)}/s`))))] : []),
  ];
}

function gateway(one) {
  const facts = Object.entries(one.facts).map(([name, value]) => row("td", name, fact(name, value)));
  return h("details", { "data-focus": `gateway ${one.pod}`, open: true }, h("summary", {}, h("b", {}, one.pod), one.error ? h("span", { class: "bad" }, ` ${one.error}`) : ""), h("table", {}, h("tbody", {}, ...facts)));
}

/** What the doctor says; it is asked once, and again when somebody wants. */
function told(subject, frame) {
  const again = h("button", { type: "button", "data-focus": "doctor" }, "Look again");
  again.addEventListener("click", () => examine(subject));
  const title = doctor.checks ? `Doctor, at ${clock(doctor.at)}` : "Doctor";
  const checks = doctor.checks?.map((one) => h("li", { class: one.result },
    h("b", {}, one.name), ` ${one.broken && one.result !== "ok" ? `broken at ${one.broken}: ` : ""}${one.seen}`,
    one.hint && one.result !== "ok" ? h("p", { class: "hint" }, one.hint) : ""));
  const body = doctor.error ? h("p", { class: "bad" }, doctor.error)
    : !checks ? quiet("looks …")
    : checks.length ? h("ul", { class: "checks" }, ...checks) : quiet("No check is about it.");
  return h("section", { id: "doctor" }, h("h3", {}, title, " ", frame.shows === "traffic" ? again : null), body);
}

async function examine(subject) {
  doctor = { subject, at: 0, checks: null, error: "" };
  let found;
  try {
    found = { ...(await examined(subject)), error: "" };
  } catch (error) {
    found = { at: 0, checks: null, error: `The doctor cannot be asked: ${error.message}` };
  }
  if (doctor.subject !== subject) return;
  doctor = { ...found, subject };
  update(last);
}

function row(cell, ...texts) {
  return h("tr", {}, ...texts.map((text) => h(cell, cell === "th" ? { scope: "col" } : {}, text)));
}

function quiet(text) {
  return h("p", { class: "quiet" }, text);
}
