// Light or dark: as the system has it, until somebody chooses.

import { choose, state, watch } from "./state.js";

const system = matchMedia("(prefers-color-scheme: dark)");

export function theme() {
  apply();
  watch(apply);
}

/** The other one. */
export function flip() {
  const dark = state.theme ? state.theme === "dark" : system.matches;
  choose({ theme: dark ? "light" : "dark" });
}

function apply() {
  if (state.theme === "dark" || state.theme === "light") document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
}
