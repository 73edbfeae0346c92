/** Filters of the list, by persona, genre and year, which the service applies to the whole catalogue. */

import { byId, h, inputById } from "./dom.js";
import { capital, counted } from "./words.js";

/** @typedef {import("./api.js").Persona} Persona */

const ANY = "";

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
    if (!form.hidden) byId("filter-persona").focus();
  });
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => window.setTimeout(changed)); // after the fields are empty
}

/** Whether any is in use. */
export const inUse = () => Object.keys(chosen()).length > 0;

/** Empty and close the filters, as for another user. */
export function resetFilters() {
  for (const id of ["filter-persona", "filter-genre"]) selectById(id).replaceChildren();
  for (const id of ["filter-from", "filter-to"]) inputById(id).value = "";
  byId("filters").hidden = true;
  byId("filter-open").setAttribute("aria-expanded", "false");
  byId("filter-told").textContent = "";
}

/**
 * Offer all genres, and the personas that may have titles.
 * @param {string[]} genres
 * @param {Persona[]} personas
 */
export function offer(genres, personas) {
  const heard = personas.filter((persona) => !persona.muted);
  refill("filter-persona", "All personas", heard.length > 1 ? heard.map((persona) => ({ value: String(persona.persona), text: capital(persona.name) })) : []);
  refill("filter-genre", "All genres", genres.map((genre) => ({ value: genre, text: genre })));
}

/**
 * No longer choose a persona, of which there are no titles any more.
 * @param {number | null} [persona] null: whichever is chosen
 */
export function leavePersona(persona = null) {
  if (persona === null || selectById("filter-persona").value === String(persona)) selectById("filter-persona").value = ANY;
}

/**
 * Say how many titles pass.
 * @param {number} shown
 * @param {boolean} more whether there may be more
 */
export function tell(shown, more) {
  byId("filter-told").textContent = inUse() ? (more ? `The best ${counted(shown, "title")} that pass.` : `${capital(counted(shown, "title"))} in all.`) : "";
  byId("filter-open").textContent = inUse() ? "Filter (on)" : "Filter";
}

/**
 * Return the filters in use.
 * @returns {import("./api.js").Filters}
 */
export function chosen() {
  const year = (/** @type {string} */ id) => {
    const { value, valueAsNumber, validity } = inputById(id);
    return value === "" || !validity.valid ? undefined : valueAsNumber;
  };
  const [persona, genre] = ["filter-persona", "filter-genre"].map((id) => selectById(id).value);
  const all = { persona: persona ? Number(persona) : undefined, genre: genre || undefined, from_year: year("filter-from"), to_year: year("filter-to") };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
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
