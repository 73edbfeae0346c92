/** A recommendation as a card: what, why in a sentence, whose taste it is, what speaks for it, and what to say to it. */

import { button, h } from "./dom.js";
import { age, percent } from "./words.js";

/** @typedef {import("./api.js").Recommended} Recommended */
/** @typedef {import("./api.js").Kind} Kind */

/** What can be said to an item: the button, and what was done in a sentence. */
export const ANSWERS = /** @type {const} */ ([
  { kind: "use", label: "Seen it", done: "Seen" },
  { kind: "like", label: "Liked", done: "Liked" },
  { kind: "dismiss", label: "Not for me", done: "Not for me" },
]);

/** Personas with this weight or more are named on the card itself. */
const TOLD = 0.2;

/** @type {Set<string>} Items whose evidence is open, so that it stays open when the list is drawn anew. */
const open = new Set();

/**
 * Return a card.
 * @param {Recommended} item
 * @param {{rank: number, fresh: boolean, reason: boolean}} how `fresh`: it was not in the list before
 * @param {(item: Recommended, kind: Kind) => void} answer
 */
export function card(item, how, answer) {
  const title = h("h2", { class: "card-title", tabindex: -1, "data-key": `title ${item.item_id}` }, item.title);
  return h(
    "li",
    { class: how.fresh ? "card fresh" : "card", "data-item": item.item_id },
    h("span", { class: "rank", "aria-hidden": "true" }, how.rank),
    h(
      "article",
      {},
      h("div", { class: "card-head" }, title, how.fresh && h("span", { class: "tag" }, "new")),
      how.reason && h("p", { class: "reason" }, item.reason),
      item.evidence.length > 0 && item.personas.length > 1 && mix(item),
      item.evidence.length > 0 && why(item),
      h(
        "div",
        { class: "buttons answers" },
        ...ANSWERS.map(({ kind, label }) =>
          button(
            { class: "answer", "data-kind": kind, "data-key": `${kind} ${item.item_id}`, "aria-label": `${label}: ${item.title}` },
            label,
            () => answer(item, kind),
          ),
        ),
      ),
    ),
  );
}

/**
 * Return the place of a title in a persona's colours; the same persona has the same one everywhere.
 * @param {number} persona
 */
export const colour = (persona) => `p${persona % 8}`;

/**
 * Whose taste it is: a bar, and the personas that say most.
 * @param {Recommended} item
 */
function mix(item) {
  const told = item.personas.filter((share, place) => place === 0 || share.weight >= TOLD);
  const rest = 1 - told.reduce((sum, share) => sum + share.weight, 0);
  return h(
    "div",
    { class: "mix" },
    h(
      "div",
      { class: "mix-bar", "aria-hidden": "true" },
      ...item.personas.map((share) => {
        const part = h("span", { class: colour(share.persona) });
        part.style.flexGrow = String(share.weight);
        return part;
      }),
    ),
    h(
      "ul",
      { class: "mix-names", "aria-label": "Personas that speak for it" },
      ...told.map((share) => named(share.persona, share.name, share.weight)),
      rest > 0.005 && h("li", { class: "rest" }, "others ", h("b", {}, percent(rest))),
    ),
  );
}

/**
 * @param {number} persona
 * @param {string} name
 * @param {number} weight
 */
function named(persona, name, weight) {
  return h(
    "li",
    {},
    h("span", { class: `dot ${colour(persona)}`, "aria-hidden": "true" }),
    h("span", { class: "name" }, name),
    " ",
    h("b", {}, percent(weight)),
  );
}

/**
 * What speaks for it, and how much of it is recent.
 * @param {Recommended} item
 */
function why(item) {
  const contribution = item.evidence_kind === "contribution";
  const details = h(
    "details",
    { class: "why", open: open.has(item.item_id) },
    h(
      "summary",
      { "data-key": `why ${item.item_id}` },
      contribution ? "What speaks for it" : "What it resembles",
      h("span", { class: "visually-hidden" }, `: ${item.title}`),
    ),
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h("tr", {}, h("th", { scope: "col" }, "From your past"), h("th", { scope: "col" }, "Part of it"), h("th", { scope: "col" }, "When")),
      ),
      h("tbody", {}, ...item.evidence.map((reason) => row(reason, item.evidence[0]?.share ?? 1))),
    ),
    h("p", { class: "hint" }, ...remarks(item)),
    item.personas.length > 2 &&
      h(
        "ul",
        { class: "mix-names all", "aria-label": "All personas" },
        ...item.personas.map((share) => named(share.persona, share.name, share.weight)),
      ),
  );
  details.addEventListener("toggle", () => {
    if (details.open) open.add(item.item_id);
    else open.delete(item.item_id);
  });
  return details;
}

/**
 * @param {import("./api.js").Reason} reason
 * @param {number} largest
 */
function row(reason, largest) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", String(reason.share / largest));
  const rating = reason.rating !== null && h("span", { class: "rating" }, `rated ${reason.rating}`);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, reason.title, " ", rating),
    h("td", { class: "share" }, h("span", { class: "share-number" }, percent(reason.share)), bar),
    h(
      "td",
      {},
      reason.recent !== null && h("span", { class: reason.recent ? "tag recent" : "tag" }, reason.recent ? "recent" : "long-term"),
      " ",
      reason.age !== null && h("span", { class: "age" }, age(reason.age)),
    ),
  );
}

/**
 * @param {Recommended} item
 * @returns {string[]}
 */
function remarks(item) {
  const told = [];
  const rest = 1 - item.evidence.reduce((sum, reason) => sum + reason.share, 0);
  if (rest > 0.005 && item.evidence_kind === "contribution") told.push(`The other ${percent(rest)} come from many smaller parts of your past. `);
  const recent = Math.round((item.recent ?? 0) * 100);
  if (recent > 0 && recent < 100) {
    told.push(`Of everything that speaks for it ${recent}% is recent, ${100 - recent}% long-term.`);
  }
  return told;
}
