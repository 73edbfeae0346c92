/** What is shown of one user: the list, the personas, the half-life; and what becomes of a click on any of them. */

import * as api from "./api.js";
import { ANSWERS, card } from "./cards.js";
import { announce, button, byId, h, redraw } from "./dom.js";
import { memory, picture, rows } from "./personas.js";
import { counted } from "./words.js";

/** @typedef {import("./api.js").FoundItem} FoundItem */
/** @typedef {import("./api.js").Kind} Kind */
/** @typedef {{event: api.Event, item: FoundItem, at: number}} Mark */

let user = "";
/** @type {api.RecommendationList | null} */
let list = null;
/** @type {api.Personas | null} */
let personas = null;
/** @type {Set<string>} Items of the list before this one, to tell what is new. */
let before = new Set();
/** @type {Mark | null} The last mark, which stands where its card was. */
let mark = null;
let turn = 0;
/** @type {(problem: api.ApiError) => boolean} */
let refused = () => false;
let refreshed = () => {};

/**
 * @param {(problem: api.ApiError) => boolean} whenRefused takes care of an error that is not about the desk, or returns false
 * @param {() => void} whenRefreshed
 */
export function connectDesk(whenRefused, whenRefreshed) {
  refused = whenRefused;
  refreshed = whenRefreshed;
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && user) void refresh();
  });
}

/** Return whose desk it is. */
export const currentUser = () => user;

/**
 * Show another user.
 * @param {string} next
 */
export async function openDesk(next) {
  leaveDesk();
  user = next;
  list = personas = null;
  before = new Set();
  byId("list-title").replaceChildren("Recommended for ", h("span", { class: "user" }, user));
  document.title = `${user} – recsys`;
  byId("list-lead").textContent = "";
  for (const part of ["cards", "persona-list", "picture", "half-life", "list-error", "personas-error"]) byId(part).replaceChildren();
  byId("memory").hidden = byId("jump-memory").hidden = true;
  return refresh();
}

/** Leave the desk, for another user or for none. */
export function leaveDesk() {
  mark = null;
}

/**
 * Ask for the list and the personas, and draw both. Of several at once the last one counts.
 * @param {string} [told] what has happened, for those who do not see it
 * @param {() => void} [drawn]
 */
export async function refresh(told = "", drawn) {
  const asked = ++turn;
  busy(true);
  refreshed();
  const [items, people] = await Promise.allSettled([api.recommendations(user), api.personas(user)]);
  if (asked !== turn) return;
  busy(false);
  const shown = settled(items, "list-error");
  if (shown) {
    before = new Set(list?.items.map((item) => item.item_id));
    list = shown;
    drawList();
  }
  personas = settled(people, "personas-error");
  drawPersonas();
  drawn?.();
  const fresh = list && before.size ? list.items.filter((item) => !before.has(item.item_id)).length : 0;
  announce([told, shown ? (fresh ? `The list has changed: ${fresh} new.` : told && "The list is up to date.") : ""].filter(Boolean).join(" "));
}

/**
 * Return what a person says to an item, as an event of the current user.
 * @param {FoundItem} item
 * @param {Kind} kind
 */
export const saying = (item, kind) => api.eventOf(user, item.item_id, kind);

/**
 * Take what a person says to an item, and bring the list up to date. Where it fails, try again with the same event:
 * it may have arrived.
 * @param {FoundItem} item
 * @param {api.Event} event
 */
export async function answer(item, event) {
  await api.send(event);
  const at = list ? list.items.findIndex((one) => one.item_id === item.item_id) : -1;
  mark = { event, item, at };
  await refresh(`${doneOf(event.kind)}: ${item.title}.`, () => {
    if (at >= 0) document.getElementById("mark")?.focus({ preventScroll: true });
  });
}

/**
 * Take back what the current user said to an item, and bring the list up to date.
 * @param {string} title
 * @param {string} event its id
 * @param {() => void} [drawn]
 */
export async function takeBack(title, event, drawn) {
  await api.undo(user, event);
  if (mark?.event.event_id === event) mark = null;
  await refresh(`${title}: taken back.`, drawn);
}

/**
 * @param {FoundItem} item
 * @param {api.Event} event
 */
async function onCard(item, event) {
  byId("list-error").replaceChildren();
  try {
    await answer(item, event);
  } catch (problem) {
    tell("list-error", problem, () => onCard(item, event));
  }
}

async function undo() {
  if (!mark) return;
  const { item, event } = mark;
  try {
    await takeBack(item.title, event.event_id, () => {
      const title = document.querySelector(`[data-key="${CSS.escape(`title ${item.item_id}`)}"]`);
      (title instanceof HTMLElement ? title : byId("list-title")).focus({ preventScroll: true });
    });
  } catch (problem) {
    tell("list-error", problem, undo);
  }
}

function drawList() {
  if (!list) return;
  const { items } = list;
  const reasons = new Set(items.map((item) => item.reason));
  const alike = items.length > 1 && reasons.size === 1;
  byId("list-lead").textContent = alike
    ? (items[0]?.reason ?? "")
    : `Made of ${counted(list.known_events, "event")} of the past.`;
  /** @type {HTMLElement[]} */
  const drawn = items.map((item, place) =>
    card(item, { rank: place + 1, fresh: before.size > 0 && !before.has(item.item_id), reason: !alike }, (one, kind) => void onCard(one, saying(one, kind))),
  );
  if (!items.length) drawn.push(h("li", { class: "hint" }, "There is nothing left to recommend."));
  if (mark && mark.at >= 0) drawn.splice(Math.min(mark.at, drawn.length), 0, markRow(mark));
  const place = mark?.at ?? 0;
  redraw(byId("cards"), drawn, () => {
    const titles = byId("cards").querySelectorAll(".card-title");
    const next = titles[Math.min(place, titles.length - 1)];
    (next instanceof HTMLElement ? next : byId("list-title")).focus({ preventScroll: true });
  });
}

/** @param {Mark} shown */
function markRow({ item, event }) {
  const done = doneOf(event.kind);
  return h(
    "li",
    { class: "mark" },
    h("span", {}, `${done}: `, h("b", {}, item.title)),
    button({ id: "mark", "aria-label": `Undo: ${done.toLowerCase()}, ${item.title}` }, "Undo", () => void undo()),
  );
}

function drawPersonas() {
  const found = personas;
  const cold = list?.known_events === 0;
  const some = found && !cold;
  redraw(byId("picture"), [some && found.personas.length > 1 && picture(found)]);
  const again = () => redraw(byId("persona-list"), rows(found ?? { model: "", now: 0, times: [], half_life: null, personas: [] }, change, again));
  if (some) again();
  else redraw(byId("persona-list"), [found && h("li", { class: "hint" }, "They appear as soon as you have marked the first title.")]);
  byId("memory").hidden = byId("jump-memory").hidden = !found?.half_life;
  redraw(byId("half-life"), found?.half_life ? memory(found.half_life) : []);
}

/**
 * @param {import("./api.js").Persona} persona
 * @param {import("./personas.js").Correction} correction
 * @param {string} told
 */
async function change(persona, correction, told) {
  try {
    await api.correct(user, persona.persona, correction);
  } catch (problem) {
    drawPersonas(); // as it still is
    tell("personas-error", problem, () => change(persona, correction, told));
    return;
  }
  await refresh(told);
}

/** @param {boolean} yes */
function busy(yes) {
  for (const part of ["list", "personas"]) byId(part).setAttribute("aria-busy", String(yes));
}

/**
 * Return what was answered; tell what was refused.
 * @template T
 * @param {PromiseSettledResult<T>} result
 * @param {string} place
 * @returns {T | null}
 */
function settled(result, place) {
  byId(place).replaceChildren();
  if (result.status === "fulfilled") return result.value;
  tell(place, result.reason, () => refresh());
  return null;
}

/**
 * Tell what went wrong, with a way to try again where that can help.
 * @param {string} place
 * @param {unknown} problem
 * @param {() => Promise<void>} again
 */
function tell(place, problem, again) {
  if (!(problem instanceof api.ApiError)) throw problem;
  if (refused(problem)) return;
  byId(place).replaceChildren(h("p", { class: problem.code === "not_supported" ? "hint" : "problem" }, problem.message));
  if (!problem.mayPass) return;
  const retry = () => {
    byId(place).replaceChildren();
    void again();
  };
  byId(place).append(button({ class: "link" }, "Try again", retry));
}

/** @param {Kind} kind */
export const doneOf = (kind) => ANSWERS.find((one) => one.kind === kind)?.done ?? "";
