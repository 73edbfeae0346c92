/** What the current user has marked and corrected, each of which can be taken back. */

import { writeButton } from "./access.js";
import { ApiError, exportData } from "./api.js";
import { correct, currentPersonas, currentUser, takeBack } from "./desk.js";
import { button, byId, h, redraw } from "./dom.js";
import { doneOf } from "./kinds.js";
import { tell } from "./problems.js";
import { age, capital, count, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").StoredEvent} StoredEvent */
/** @typedef {import("./api.js").Persona} Persona */

const SHOWN = 5;

/** Make the list of marks work; return what brings it up to date. */
export function connectMarks() {
  let turn = 0;
  let of = "";
  let all = false;

  /** @param {() => Promise<unknown>} deed */
  const attempt = async (deed) => {
    byId("marks-error").replaceChildren();
    try {
      await deed();
    } catch (problem) {
      tell("marks-error", problem, problem instanceof ApiError ? () => attempt(deed) : null);
    }
  };

  const update = () => {
    const asked = ++turn;
    const user = currentUser();
    if (of !== user) all = false;
    of = user;
    return attempt(async () => {
      const { events } = await exportData(user);
      if (asked !== turn) return;
      const newest = [...events].reverse();
      const shown = all ? newest : newest.slice(0, SHOWN);
      const rows = [
        ...currentPersonas().flatMap((persona) => corrected(persona).map((one) => correctionRow(one, () => void attempt(one.undo)))),
        ...shown.map((event) => row(event, () => void attempt(() => takeBack(event.title ?? event.item_id, event.event_id)))),
      ];
      if (!rows.length) rows.push(h("li", { class: "hint" }, "Nothing yet. What you mark here, and what you mute, boost or rename, is listed, to be taken back."));
      if (shown.length < newest.length) {
        const show = () => {
          all = true;
          void update();
        };
        rows.push(h("li", {}, button({ class: "link", "data-key": "all marks" }, `Show all ${count(newest.length)}`, show)));
      }
      redraw(byId("marked"), rows, () => byId("marks-title").focus({ preventScroll: true }));
    });
  };
  return update;
}

/** @typedef {{key: string, done: string, name: string, undo: () => Promise<unknown>}} Corrected */

/**
 * Return what was corrected of a persona.
 * @param {Persona} persona
 * @returns {Corrected[]}
 */
function corrected(persona) {
  const own = persona.renamed ? persona.name : null;
  const now = { weight: persona.weight, name: own };
  /** @type {Corrected[]} */
  const found = [];
  if (persona.weight !== 1) {
    const done = persona.muted ? "Muted" : persona.weight > 1 ? "Boosted" : "Weighed less";
    found.push({ key: `weight ${persona.persona}`, done, name: persona.name, undo: () => correct(persona, now, { weight: 1, name: own }) });
  }
  if (persona.renamed) found.push({ key: `name ${persona.persona}`, done: "Renamed", name: persona.name, undo: () => correct(persona, now, { weight: persona.weight, name: null }) });
  return found;
}

/**
 * @param {Corrected} one
 * @param {() => void} undo
 */
function correctionRow({ key, done, name }, undo) {
  const label = `Take back: ${done.toLowerCase()}, ${name}`;
  return h(
    "li",
    {},
    h("span", { class: "marked-title" }, capital(name), h("span", { class: "hint" }, `${done}: a persona of yours`)),
    writeButton({ class: "link", "data-key": `take back ${key}`, "aria-label": label }, ["Take back"], undo),
  );
}

/**
 * @param {StoredEvent} event
 * @param {() => void} undo
 */
function row(event, undo) {
  const title = spokenTitle(event.title ?? event.item_id);
  const done = doneOf(event.kind);
  const value = event.value === null ? "" : ` ${event.kind === "rating" ? event.value : `(rated ${event.value})`}`;
  const label = `Take back: ${done.toLowerCase()}, ${title}`;
  return h(
    "li",
    {},
    h("span", { class: "marked-title" }, title, h("span", { class: "hint" }, `${done}${value}, ${age(Date.now() / 1000 - event.time)}`)),
    writeButton({ class: "link", "data-key": `take back ${event.event_id}`, "aria-label": label }, ["Take back"], undo),
  );
}
