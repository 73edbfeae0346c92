/** What the current user has marked, each of which can be taken back. */

import { ApiError, exportData } from "./api.js";
import { currentUser, doneOf, takeBack } from "./desk.js";
import { button, byId, h, redraw } from "./dom.js";
import { age, counted } from "./words.js";

/** @typedef {import("./api.js").StoredEvent} StoredEvent */

const SHOWN = 20;

/**
 * Make the list of marks work: it is asked for while it is open.
 * @param {(problem: ApiError) => boolean} refused takes care of an error, or returns false
 */
export function connectMarks(refused) {
  const box = /** @type {HTMLDetailsElement} */ (byId("marks"));
  const error = byId("marks-error");
  let turn = 0;

  /** @param {() => Promise<void>} deed */
  const attempt = async (deed) => {
    error.textContent = "";
    try {
      await deed();
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      if (!refused(problem)) error.textContent = problem.message;
    }
  };

  const update = () => {
    const asked = ++turn;
    if (!box.open) {
      byId("marked").replaceChildren(); // of another user, maybe
      return;
    }
    void attempt(async () => {
      const { events } = await exportData(currentUser());
      if (asked !== turn) return;
      const newest = events.reverse().slice(0, SHOWN);
      const more = events.length - newest.length;
      const rows = newest.map((event) => row(event, () => void attempt(() => takeBack(event.title ?? event.item_id, event.event_id))));
      if (!events.length) rows.push(h("li", { class: "hint" }, "Nothing yet."));
      if (more) rows.push(h("li", { class: "hint" }, `${counted(more, "earlier mark")}: see the download.`));
      redraw(byId("marked"), rows, () => byId("marks-title").focus({ preventScroll: true }));
    });
  };
  box.addEventListener("toggle", update);
  return { update };
}

/**
 * @param {StoredEvent} event
 * @param {() => void} undo
 */
function row(event, undo) {
  const title = event.title ?? event.item_id;
  const done = doneOf(event.kind);
  const rated = event.value === null ? "" : `, rated ${event.value}`;
  const label = `Take back: ${done.toLowerCase()}, ${title}`;
  return h(
    "li",
    {},
    h("span", { class: "found-title" }, title),
    h("span", { class: "hint" }, `${done}${rated}, ${age(Date.now() / 1000 - event.time)}`),
    button({ "data-key": `take back ${event.event_id}`, "aria-label": label }, "Take back", undo),
  );
}
