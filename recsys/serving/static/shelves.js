/** The list as shelves: a persona on each, its share and seats, what can be done to it, and its cards. */

import { writeButton } from "./access.js";
import { card } from "./cards.js";
import { colour } from "./colours.js";
import { button, h, svg } from "./dom.js";
import { capital, counted, oftenInWords, percent } from "./words.js";

/** @typedef {import("./api.js").Recommended} Recommended */
/** @typedef {import("./api.js").Shelf & {renamed: boolean}} Shelf `renamed`: its name is the person's own */
/** @typedef {import("./api.js").Kind} Kind */
/** @typedef {{persona: number, name: string, weight: number, muted: boolean, renamed: boolean}} NamedPersona */

/**
 * @typedef {object} Controls
 * @property {(item: Recommended, kind: Kind) => void} answer
 * @property {(persona: NamedPersona, weight: number) => void} weigh
 * @property {(persona: NamedPersona, name: string | null) => void} rename null: the name that was found
 * @property {() => void} again draws the personas anew
 */

export const BOOST = 2;

/** @type {number | null} The persona that is being renamed. */
let renaming = null;

/** Leave what is being typed, as for another user. */
export function endRenaming() {
  renaming = null;
}

/**
 * Return the shelves of a list.
 * @param {{items: Recommended[], shelves: Shelf[], cold: boolean, filtered: boolean, fresh: Set<string>}} shown `fresh`: the items
 *   that have come by a change
 * @param {Controls} controls
 */
export function shelves(shown, controls) {
  const one = shown.items.length > 1 && new Set(shown.items.map((item) => item.reason)).size === 1;
  const ranks = new Map(shown.items.map((item, place) => [item.item_id, place + 1]));
  const only = shown.shelves.length === 1 && shown.shelves[0]?.persona === null && !shown.cold;
  return shown.shelves.flatMap((shelf) => {
    const items = shown.items.filter((item) => item.owner === shelf.persona);
    if (!items.length && (shown.filtered || shelf.persona === null) && !shelf.muted) return [];
    const cards = items.map((item) =>
      card(
        item,
        { rank: ranks.get(item.item_id) ?? 0, fresh: shown.fresh.has(item.item_id), reason: !one },
        controls.answer,
      ),
    );
    const id = `shelf-${shelf.persona ?? "nobody"}`;
    return [
      h(
        "section",
        { class: `shelf ${colour(shelf.persona)}${shelf.muted ? " muted" : ""}`, "aria-labelledby": id, "data-persona": shelf.persona },
        head(shelf, items.length, id, { cold: shown.cold, only }, controls),
        cards.length > 0 && h("ol", { class: "cards", "aria-labelledby": id }, ...cards),
      ),
    ];
  });
}

/**
 * Return the shelf of what goes with the present visit, if anything does.
 * @param {Recommended[]} items
 * @param {Controls} controls
 */
export function visitShelf(items, controls) {
  if (!items.length) return [];
  const cards = items.map((item) => card(item, { rank: null, fresh: false, reason: true }, controls.answer));
  return [
    h(
      "section",
      { class: "shelf visit", "aria-labelledby": "visit-title" },
      h(
        "div",
        { class: "shelf-head" },
        h("span", { class: "dot", "aria-hidden": "true" }),
        h("h2", { id: "visit-title", class: "shelf-name" }, "More like what you just did"),
        h("p", { class: "shelf-facts" }, h("span", { class: "often" }, "from this visit alone; gone when it is over")),
      ),
      h("ol", { class: "cards", "aria-labelledby": "visit-title" }, ...cards),
    ),
  ];
}

/**
 * @param {Shelf} shelf
 * @param {number} seats
 * @param {string} id
 * @param {{cold: boolean, only: boolean}} how
 * @param {Controls} controls
 */
function head(shelf, seats, id, how, controls) {
  if (shelf.persona === null || shelf.name === null) {
    const name = how.only ? "Titles for you" : how.cold ? "What most people like" : "Liked by nearly everybody";
    return h(
      "div",
      { class: how.only ? "visually-hidden" : "shelf-head" },
      h("span", { class: "dot", "aria-hidden": "true" }),
      h("h2", { id, class: "shelf-name" }, name),
      !how.cold && h("p", { class: "shelf-facts" }, h("span", { class: "seats" }, counted(seats, "seat"))),
    );
  }
  const persona = /** @type {NamedPersona} */ (shelf);
  const state = persona.muted ? "muted" : persona.weight > 1 ? "boosted" : "";
  return h(
    "div",
    { class: "shelf-head" },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("h2", { id, class: "shelf-name" }, capital(persona.name), state && " ", state && h("span", { class: "tag" }, state)),
    h(
      "p",
      { class: "shelf-facts" },
      shelf.often.length > 0 && h("span", { class: "often" }, oftenInWords(shelf.often)),
      meter(shelf.share),
      h("span", { class: "share" }, percent(shelf.share), h("span", { class: "visually-hidden" }, " of what counts now,")),
      h("span", { class: "seats" }, seats ? counted(seats, "seat") : "no seat"),
    ),
    personaControls(persona, controls),
  );
}

/** @param {number} share */
function meter(share) {
  return svg(
    "svg",
    { class: "meter", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8, rx: 1 }),
    svg("rect", { class: "level", width: Math.max(1, share * 100).toFixed(2), height: 8, rx: 1 }),
  );
}

/**
 * Return what can be done to a persona, or the form in which it gets a name.
 * @param {NamedPersona} persona
 * @param {Controls} controls
 */
export const personaControls = (persona, controls) => (renaming === persona.persona ? renameForm(persona, controls) : buttons(persona, controls));

/**
 * @param {NamedPersona} persona
 * @param {Controls} controls
 */
function buttons(persona, controls) {
  const boosted = persona.weight > 1;
  /** @param {string} key @param {string} label @param {number} weight @param {string} hint @param {boolean} on whether it holds, and is taken back */
  const control = (key, label, weight, hint, on) =>
    writeButton(
      { class: on ? "control on" : "control", "data-key": `${key} ${persona.persona}`, "aria-label": `${label} ${persona.name}`, title: hint },
      [label],
      () => controls.weigh(persona, weight),
    );
  const mute = persona.muted
    ? control("mute", "Unmute", 1, "Its titles may be recommended again", true)
    : control("mute", "Mute", 0, "None of its titles, until you unmute it", false);
  const boost = boosted ? control("boost", "Unboost", 1, "As many seats as it is due", true) : control("boost", "Boost", BOOST, "Twice its seats", false);
  const rename = () => {
    renaming = persona.persona;
    controls.again();
    const field = document.getElementById(`persona-name-${persona.persona}`);
    if (!(field instanceof HTMLInputElement)) return;
    field.focus();
    field.select();
  };
  return h(
    "div",
    { class: "controls", role: "group", "aria-label": `What ${persona.name} may do` },
    mute,
    boost,
    writeButton(
      { class: "control", "data-key": `rename ${persona.persona}`, "aria-label": `Rename ${persona.name}`, title: "Give it your own name" },
      ["Rename"],
      rename,
    ),
  );
}

/**
 * @param {NamedPersona} persona
 * @param {Controls} controls
 */
function renameForm(persona, controls) {
  const id = `persona-name-${persona.persona}`;
  const submit = h("button", { type: "submit", class: "primary", "data-key": `rename ${persona.persona}` }, "Save");
  const field = h("input", { id, maxlength: 80, value: persona.name, autocomplete: "off", "data-key": `name ${persona.persona}` });
  const end = () => {
    renaming = null;
    controls.again();
    const back = document.querySelector(`[data-key="rename ${persona.persona}"]`);
    if (back instanceof HTMLElement) back.focus();
  };
  /** @param {string | null} name */
  const save = (name) => {
    renaming = null;
    submit.focus(); // its place is taken by the button that opened this form
    controls.rename(persona, name);
  };
  const form = h(
    "form",
    { class: "rename", novalidate: true },
    h("label", { for: id, class: "visually-hidden" }, `Your name for ${persona.name}`),
    h("div", { class: "joined" }, field, submit),
    h(
      "div",
      { class: "buttons" },
      button({ class: "link" }, "Cancel", end),
      persona.renamed && button({ class: "link" }, "Back to the name that was found", () => save(null)),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (!name || name === persona.name) end();
    else save(name);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    end();
  });
  return form;
}

/** Return what stands in the place of a list that is on its way, of nearly its size. */
export function skeleton() {
  const rows = Array.from({ length: 10 }, () => h("div", { class: "skeleton-card" }));
  return h("div", { class: "skeleton", "aria-hidden": "true" }, h("div", { class: "skeleton-head" }), ...rows);
}
