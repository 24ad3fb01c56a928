// Numbers as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** Per second. */
export function rate(value) {
  return value >= 100 ? WHOLE.format(value) : TENTH.format(value);
}

export function milliseconds(value) {
  if (value === null) return "–";
  return value >= 1000 ? `${TENTH.format(value / 1000)} s` : `${TENTH.format(value)} ms`;
}

/** A part of requests: in whole percent, unless that would hide some. */
export function percent(value) {
  return value > 0 && value < 1 ? `${TENTH.format(value)} %` : `${WHOLE.format(value)} %`;
}

/** Seconds from one moment to another, roughly. */
export function duration(seconds) {
  const size = Math.abs(seconds);
  const [unit, length] = size < 120 ? ["s", 1] : size < 7200 ? ["min", 60] : size < 172800 ? ["h", 3600] : ["days", 86400];
  return `${WHOLE.format(size / length)} ${unit}`;
}

/** Of several, with its word: one service, two services. */
export function count(number, word) {
  return number === 1 ? `1 ${word}` : `${WHOLE.format(number)} ${word.replace(/y$/, "ie")}s`;
}

/** A link in words; what moves, only where that is measured. */
export function told(link, frame) {
  const [from, to] = [frame.clusters[link.source].name, frame.clusters[link.target].name];
  const moves = frame.shows === "traffic" ? [`${rate(link.traffic.rps)} requests/s`, `${rate(link.traffic.errors)} errors/s`] : [];
  const ejected = link.ejected ? [`ejected by ${link.ejected}`] : [];
  return `${from} → ${to}: ${[count(link.services, "service"), `up to ${percent(link.percent)}`, ...moves, ...ejected].join(", ")}`;
}

/** What a cluster is for: the control plane, what it exports, and policies for its callers. */
export function purpose(cluster) {
  const parts = [
    cluster.role === "control-plane" ? "front door" : "",
    cluster.exports ? `exports ${cluster.exports}` : "",
    cluster.policies ? count(cluster.policies, "policy") : "",
  ];
  return parts.filter(Boolean).join(" · ") || "exports nothing";
}

export function day(at) {
  const parts = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  return new Date(at * 1000).toLocaleString("en-GB", parts);
}

export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

/** A gauge: bytes as MiB, others as they are. */
export function fact(name, value) {
  return name.startsWith("memory") ? `${TENTH.format(value / 1048576)} MiB` : WHOLE.format(value);
}
