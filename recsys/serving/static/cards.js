/** A recommendation as a card: what, why in a line, what to say to it, and on demand what speaks for it. */

import { writeButton } from "./access.js";
import { h } from "./dom.js";
import { ANSWERS, icon } from "./kinds.js";
import { age, certaintyInWords, joined, percent, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").Recommended} Recommended */
/** @typedef {import("./api.js").Kind} Kind */

const GENRES = 3;

/** @type {Set<string>} Items whose evidence is open, so that it stays open when the list is drawn anew. */
const open = new Set();

/**
 * Return a card.
 * @param {Recommended} item
 * @param {{rank: number | null, fresh: boolean, reason: boolean}} how `fresh`: it has come by a change; `rank` null: of no list
 * @param {(item: Recommended, kind: Kind) => void} answer
 */
export function card(item, how, answer) {
  const title = h("h3", { class: "card-title", tabindex: -1, "data-key": `title ${item.item_id}` }, spokenTitle(item.title));
  const facts = [item.year && h("span", { class: "year" }, item.year), item.genres.length > 0 && h("span", { class: "genres" }, item.genres.slice(0, GENRES).join(", "))];
  return h(
    "li",
    { class: how.fresh ? "card fresh" : "card", "data-item": item.item_id },
    h("span", { class: "rank", "aria-hidden": "true" }, how.rank),
    h(
      "article",
      { "aria-label": spokenTitle(item.title) },
      h("div", { class: "card-head" }, title, how.fresh && h("span", { class: "tag" }, "new")),
      h("p", { class: "facts" }, ...facts),
      h(
        "div",
        { class: "answers" },
        ...ANSWERS.map(({ kind, label, icon: outline }) =>
          writeButton(
            { class: `answer ${kind}`, "data-kind": kind, "data-key": `${kind} ${item.item_id}`, "aria-label": `${label}: ${spokenTitle(item.title)}`, title: label },
            [icon(outline), h("span", { class: "answer-label" }, label)],
            () => answer(item, kind),
          ),
        ),
      ),
      item.evidence.length > 0 ? why(item, how) : how.reason && h("p", { class: "reason" }, item.reason),
    ),
  );
}

/**
 * The reason in a line, which opens to what speaks for the item.
 * @param {Recommended} item
 * @param {{reason: boolean}} how
 */
function why(item, how) {
  const largest = Math.max(...item.evidence.map((reason) => reason.share));
  const ofText = item.reason_kind === "text";
  const line = how.reason ? inALine(item) : "What speaks for it";
  const details = h(
    "details",
    { class: "why", open: open.has(item.item_id) },
    h("summary", { "data-key": `why ${item.item_id}` }, h("span", { class: "reason" }, line), h("span", { class: "visually-hidden" }, `: why ${spokenTitle(item.title)}`)),
    line !== item.reason && how.reason && h("p", { class: "sentence" }, item.reason),
    h(
      "table",
      {},
      h("caption", {}, item.evidence_kind === "contribution" ? "What speaks for it" : "What it resembles"),
      h(
        "thead",
        {},
        h("tr", {}, h("th", { scope: "col" }, ofText ? "From your text" : "From your past"), h("th", { scope: "col" }, "Part of it"), !ofText && h("th", { scope: "col" }, "When")),
      ),
      h("tbody", {}, ...item.evidence.map((reason) => row(reason, largest, item.without.includes(reason.item_id), !ofText))),
    ),
    h("p", { class: "hint" }, remarks(item).join(" ")),
  );
  details.addEventListener("toggle", () => {
    if (details.open) open.add(item.item_id);
    else open.delete(item.item_id);
  });
  return details;
}

/**
 * Say in a line why an item is here.
 * @param {Recommended} item
 */
function inALine(item) {
  if (item.reason_kind === "taste" || item.reason_kind === "popular") {
    return item.reason
      .replace(/^Popular with nearly everybody; (?!little)/, "Popular; ")
      .replace(/of your (taste for .+?|history),? speaks? for it.*$/, (_, whole) => (whole === "history" ? "of your history" : "of this persona")); // whose name stands above
  }
  if (item.reason_kind !== "because" || !item.without.length) return item.reason;
  const titles = new Map(item.evidence.map((reason) => [reason.item_id, spokenTitle(reason.title)]));
  return `Because of ${joined(item.without.map((id) => titles.get(id) ?? id), item.without.length > 4 ? 3 : 4)}`;
}

/**
 * @param {import("./api.js").Reason} reason
 * @param {number} largest
 * @param {boolean} needed without it, or the others that are needed, the item would not be here
 * @param {boolean} dated whether it has a time
 */
function row(reason, largest, needed, dated) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", String(reason.share / largest));
  const rating = reason.rating !== null && h("span", { class: "rating" }, `rated ${reason.rating}`);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, spokenTitle(reason.title), " ", rating, needed && h("span", { class: "needed" }, " needed")),
    h("td", { class: "share" }, h("span", { class: "share-number" }, percent(reason.share)), bar),
    dated && h(
      "td",
      {},
      reason.recent !== null && h("span", { class: reason.recent ? "tag recent" : "tag" }, reason.recent ? "recent" : "long-term"),
      " ",
      reason.age !== null && h("span", { class: "age" }, age(reason.age)),
    ),
  );
}

/** @param {Recommended} item */
function remarks(item) {
  const told = [];
  if (item.evidence_kind === "contribution" && item.certainty !== null) told.push(certaintyInWords(item.certainty, item.without.length));
  if (item.owner_share !== null && item.owner_share > 0) told.push(`This persona carries ${percent(item.owner_share)} of all that speaks for it.`);
  const recent = Math.round((item.recent ?? 0) * 100);
  if (recent > 0 && recent < 100) told.push(`${recent}% is recent, ${100 - recent}% long-term.`);
  if (item.seat !== null) told.push(`It has a seat of the taste ${item.seat}.`);
  if (item.split !== null) told.push(item.split.sentence);
  return told;
}
