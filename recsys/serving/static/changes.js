/** What a control has changed: what left the list, what came, whose seats; with a way back. */

import { button, byId, h } from "./dom.js";
import { capital, joined, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").Recommended} Recommended */
/** @typedef {import("./api.js").Shelf} Shelf */
/** @typedef {{items: Recommended[], shelves: Shelf[]}} Shown */
/** @typedef {{left: string[], came: string[], seats: string[]}} Difference */

const TITLES = 3;
const LETTERS = 34;

/**
 * Return what is different between two lists, in words.
 * @param {Shown} before
 * @param {Shown} after
 * @returns {Difference}
 */
export function difference(before, after) {
  /** @param {Shown} one @param {Shown} other */
  const without = (one, other) => {
    const there = new Set(other.items.map((item) => item.item_id));
    return one.items.filter((item) => !there.has(item.item_id)).map((item) => spokenTitle(item.title));
  };
  const names = new Map([...before.shelves, ...after.shelves].map((shelf) => [shelf.persona, shelf.name]));
  /** @param {Shown} shown @param {number | null} persona */
  const seats = (shown, persona) => shown.items.filter((item) => item.owner === persona).length;
  const moved = [...names].map(([persona, name]) => ({ name: shortened(capital(name ?? "liked by nearly everybody")), from: seats(before, persona), to: seats(after, persona) }));
  return {
    left: without(before, after),
    came: without(after, before),
    seats: moved.filter(({ from, to }) => from !== to).map(({ name, from, to }) => `${name} ${from} → ${to}`),
  };
}

/**
 * Return a difference as a sentence or two, for those who hear it.
 * @param {Difference} found
 */
export function spoken({ left, came }) {
  if (!left.length && !came.length) return "The list stays as it was.";
  return [left.length && `Left: ${joined(left, TITLES)}.`, came.length && `Came: ${joined(came, TITLES)}.`].filter(Boolean).join(" ");
}

/**
 * Show what was done and what it changed.
 * @param {string} done
 * @param {Difference} found
 * @param {{undo: () => void, undoLabel: string, close: () => void}} how
 */
export function showChange(done, found, how) {
  const same = !found.left.length && !found.came.length && !found.seats.length;
  /** @param {string} name @param {string[]} values */
  const line = (name, values) => (values.length ? [h("dt", {}, name), h("dd", {}, name === "Seats" ? values.join(", ") : joined(values, TITLES))] : []);
  byId("change").replaceChildren(
    h(
      "div",
      { class: "change-told" },
      h("h2", { id: "change-title" }, done),
      same
        ? h("p", { class: "hint" }, "The list stays as it was.")
        : h("dl", {}, ...line("Left", found.left), ...line("Came", found.came), ...line("Seats", found.seats)),
    ),
    h(
      "div",
      { class: "buttons" },
      button({ id: "undo", "aria-label": how.undoLabel }, "Undo", how.undo),
      button({ id: "change-close", class: "quiet", "aria-label": "Close what changed" }, "Close", how.close),
    ),
  );
  byId("change").hidden = false;
}

/** Take what was shown away. */
export function hideChange() {
  byId("change").hidden = true;
  byId("change").replaceChildren();
}

/** @param {string} name */
const shortened = (name) => (name.length > LETTERS ? `${name.slice(0, LETTERS - 1).trimEnd()}…` : name);
