// Frames from the server, for what is chosen. Where the page is a file, picture.js is in its place.

import { asked, watch } from "./state.js";

const LATE_MS = 3000;

/** Call `onFrame` with each frame, and `onState` with "live" or "lost" and the words for it. */
export function follow(onFrame, onState) {
  let source = null;
  let query = null;
  let waiting = null;
  let late = 0;
  const lost = () => onState("lost", "no frames: is ./stack dashboard still running?");

  function open() {
    if (query === asked()) return;
    query = asked();
    source?.close();
    source = new EventSource(`frames?${query}`);
    const mine = source;
    source.onmessage = (event) => {
      if (mine !== source) return;
      clearTimeout(late);
      late = setTimeout(lost, LATE_MS);
      onState("live", "live");
      // A page that is hidden, or slow, draws the newest frame alone.
      if (waiting === null) requestAnimationFrame(() => { const text = waiting; waiting = null; onFrame(JSON.parse(text)); });
      waiting = event.data;
    };
    source.onerror = () => {
      lost();
      // A browser tries again by itself unless it was refused, as a query that is none is.
      if (mine === source && mine.readyState === EventSource.CLOSED) { query = null; setTimeout(open, LATE_MS); }
    };
  }

  watch(open);
  open();
}

/** What the doctor says about a service or cluster, asked now: `at` and `checks`. */
export async function examined(subject) {
  const answer = await fetch(`doctor?${new URLSearchParams({ about: subject })}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
