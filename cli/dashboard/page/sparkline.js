// The last two minutes of a number, as a small line.

import { s, set } from "./dom.js";

const LENGTH = 120;
const MOST = 2000;
const WIDTH = 60;
const HEIGHT = 16;
const histories = new Map();

/** Remember a number of now under a name; at most one a second. */
export function remember(name, at, value) {
  let history = histories.get(name);
  if (!history) {
    if (!value || histories.size >= MOST) return;
    histories.set(name, (history = []));
  }
  if (history.length && at - history.at(-1).at < 0.9) history.at(-1).value = value;
  else history.push({ at, value });
  if (history.length > LENGTH) history.shift();
}

export function sparkline() {
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, s("polyline", { fill: "none" }));
}

/** Draw what is remembered under a name. */
export function draw(svg, name) {
  const history = histories.get(name) ?? [];
  const top = Math.max(1, ...history.map((one) => one.value));
  const points = history.map((one, number) => {
    const x = WIDTH - ((history.length - 1 - number) * WIDTH) / (LENGTH - 1);
    return `${x.toFixed(1)},${(HEIGHT - 1 - (one.value / top) * (HEIGHT - 2)).toFixed(1)}`;
  });
  set(svg.firstChild, { points: points.join(" ") });
}
