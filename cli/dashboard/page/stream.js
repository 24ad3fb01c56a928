// Frames from the server, for what is chosen.

import { asked, watch } from "./state.js";

const LATE_MS = 3000;

/** Call `onFrame` with each frame, and `onState` with "live" or "lost". */
export function follow(onFrame, onState) {
  let source = null;
  let query = null;
  let waiting = null;
  let late = 0;

  function open() {
    if (query === asked()) return;
    query = asked();
    source?.close();
    source = new EventSource(`frames?${query}`);
    const mine = source;
    source.onmessage = (event) => {
      if (mine !== source) return;
      clearTimeout(late);
      late = setTimeout(() => onState("lost"), LATE_MS);
      onState("live");
      // A page that is hidden, or slow, draws the newest frame alone.
      if (waiting === null) requestAnimationFrame(() => { const text = waiting; waiting = null; onFrame(JSON.parse(text)); });
      waiting = event.data;
    };
    source.onerror = () => {
      onState("lost");
      // A browser tries again by itself unless it was refused, as a query that is none is.
      if (mine === source && mine.readyState === EventSource.CLOSED) { query = null; setTimeout(open, LATE_MS); }
    };
  }

  watch(open);
  open();
}
