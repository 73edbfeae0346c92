/** Filters of the list, by side, genre and year: they choose among the best titles, of which more are asked for then. */

import { byId, h, inputById } from "./dom.js";
import { capital, count } from "./words.js";

/** @typedef {import("./api.js").Recommended} Recommended */
/** @typedef {import("./api.js").Shelf} Shelf */

export const POOL = 100;
const ANY = "";
const NOBODY = "nobody";

/** @param {string} id */
const selectById = (id) => /** @type {HTMLSelectElement} */ (byId(id));

/**
 * Make the filters work.
 * @param {() => void} changed called when they choose others
 */
export function connectFilters(changed) {
  const form = /** @type {HTMLFormElement} */ (byId("filters"));
  const open = byId("filter-open");
  open.addEventListener("click", () => {
    form.hidden = !form.hidden;
    open.setAttribute("aria-expanded", String(!form.hidden));
    changed();
    if (!form.hidden) byId("filter-side").focus();
  });
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => window.setTimeout(changed)); // after the fields are empty
}

/** Whether the filters are open or in use: then more titles are to be asked for. */
export const wanted = () => !byId("filters").hidden || inUse();

/** Whether any is in use. */
export function inUse() {
  const { side, genre, from, to } = chosen();
  return side !== ANY || genre !== ANY || from !== null || to !== null;
}

/** Empty and close the filters, as for another user. */
export function resetFilters() {
  for (const id of ["filter-side", "filter-genre"]) selectById(id).replaceChildren();
  for (const id of ["filter-from", "filter-to"]) inputById(id).value = "";
  byId("filters").hidden = true;
  byId("filter-open").setAttribute("aria-expanded", "false");
  byId("filter-told").textContent = "";
}

/**
 * Offer what the titles have.
 * @param {Recommended[]} items
 * @param {Shelf[]} shelves
 */
export function offer(items, shelves) {
  const genres = [...new Set(items.flatMap((item) => item.genres))].sort((one, other) => one.localeCompare(other));
  const sides = shelves
    .filter((shelf) => !shelf.muted && items.some((item) => item.owner === shelf.persona))
    .map((shelf) => ({ value: shelf.persona === null ? NOBODY : String(shelf.persona), text: capital(shelf.name ?? "liked by nearly everybody") }));
  refill("filter-side", "All sides", sides);
  refill("filter-genre", "All genres", genres.map((genre) => ({ value: genre, text: genre })));
  byId("filter-open").hidden = !items.length;
}

/**
 * Return the items that pass.
 * @param {Recommended[]} items
 */
export function passing(items) {
  const { side, genre, from, to } = chosen();
  return items.filter(
    (item) =>
      (side === ANY || side === (item.owner === null ? NOBODY : String(item.owner))) &&
      (genre === ANY || item.genres.includes(genre)) &&
      (from === null || (item.year !== null && item.year >= from)) &&
      (to === null || (item.year !== null && item.year <= to)),
  );
}

/**
 * Say how many pass.
 * @param {number} passed
 * @param {number} all
 */
export function tell(passed, all) {
  byId("filter-told").textContent = inUse() ? `${count(passed)} of your ${count(all)} best titles pass.` : "";
  byId("filter-open").textContent = inUse() ? "Filter (on)" : "Filter";
}

function chosen() {
  const year = (/** @type {string} */ id) => {
    const { value, valueAsNumber } = inputById(id);
    return value === "" || Number.isNaN(valueAsNumber) ? null : valueAsNumber;
  };
  return { side: selectById("filter-side").value, genre: selectById("filter-genre").value, from: year("filter-from"), to: year("filter-to") };
}

/**
 * @param {string} id
 * @param {string} all
 * @param {{value: string, text: string}[]} options
 */
function refill(id, all, options) {
  const select = selectById(id);
  const before = select.value;
  const kept = before !== ANY && !options.some(({ value }) => value === before) ? [{ value: before, text: select.selectedOptions[0]?.text ?? before }] : [];
  select.replaceChildren(...[{ value: ANY, text: all }, ...options, ...kept].map(({ value, text }) => h("option", { value }, text)));
  select.value = before;
}
