/** What of a list is shown: as many titles as are wanted, on shelves in their order. */

import { age, count, counted } from "./words.js";

/** @typedef {import("./api.js").RecommendationList} RecommendationList */
/** @typedef {import("./api.js").Persona} Persona */
/** @typedef {import("./shelves.js").Shelf} Shelf */
/** @typedef {import("./api.js").Recommended} Recommended */

/**
 * Return the titles that are shown, and the shelves, that of the first title first and those without a title last.
 * @param {RecommendationList | null} source
 * @param {number} length
 * @param {Persona[]} personas
 * @returns {{items: Recommended[], shelves: Shelf[]}}
 */
export function shownOf(source, length, personas) {
  if (!source) return { items: [], shelves: [] };
  const items = source.items.slice(0, length);
  const first = new Map(items.map((item, place) => /** @type {const} */ ([item.owner, place])).reverse());
  const renamed = new Set(personas.filter((persona) => persona.renamed).map((persona) => persona.persona));
  const shelves = source.shelves
    .map((shelf, place) => ({ shelf, place: first.get(shelf.persona) ?? items.length + place }))
    .sort((one, other) => one.place - other.place)
    .map(({ shelf }) => ({ ...shelf, renamed: shelf.persona !== null && renamed.has(shelf.persona) }));
  return { items, shelves };
}

/**
 * Return what is said above a list.
 * @param {RecommendationList} found
 */
export function leadOf(found) {
  return found.stale ? `What came in of late cannot be read just now: this is as of ${age(found.stale_seconds ?? 0)}. ${madeOf(found)}` : madeOf(found);
}

/** @param {RecommendationList} found */
function madeOf(found) {
  if (found.source === "text") return `From what you wrote${found.known_events ? `, and from ${counted(found.known_events, "event")} since` : ""}.`;
  if (found.known_events === 0) {
    return "Nothing of yours is known yet, so this is what most people like. Find three titles that you know and mark them: the list becomes yours.";
  }
  const reasons = new Set(found.items.map((item) => item.reason));
  if (found.items.length > 1 && reasons.size === 1) return found.items[0]?.reason ?? "";
  const own = found.shelves.filter((shelf) => shelf.persona !== null).length;
  return `From ${counted(found.known_events, "event")} of yours${own > 1 ? `, which show ${count(own)} personas` : ""}.`;
}
