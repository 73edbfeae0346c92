/** What can be said to an item, and the words for what was said, here or elsewhere. */

import { svg } from "./dom.js";

/** @typedef {import("./api.js").Kind} Kind */

/** The buttons of a card: the outlines of their icons fill a square of 24. */
export const ANSWERS = /** @type {const} */ ([
  { kind: "view", label: "Seen it", done: "Seen", icon: "M4 12.5l5.5 5.5L20 6.5" },
  {
    kind: "like",
    label: "Liked",
    done: "Liked",
    icon: "M12 20S4 15 4 9.3A4.3 4.3 0 0 1 12 7a4.3 4.3 0 0 1 8 2.3C20 15 12 20 12 20z",
  },
  { kind: "dislike", label: "Less like this", done: "Less like this", icon: "M6.5 6.5l11 11M17.5 6.5l-11 11" },
]);

/** @type {Record<string, string>} */
const DONE = {
  use: "Seen",
  view: "Seen",
  rating: "Rated",
  click: "Looked at",
  like: "Liked",
  buy: "Bought",
  skip: "Skipped",
  dislike: "Less like this",
};

/** @param {string} kind */
export const doneOf = (kind) => DONE[kind] ?? kind;

/** @param {string} outline */
export function icon(outline) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: outline }));
}
