/** What is shown of one user: the list, the personas, the half-life; and what becomes of a click on any of them. */

import * as api from "./api.js";
import { difference, hideChange, showChange, spoken } from "./changes.js";
import { forgetColours, giveColours } from "./colours.js";
import { announce, byId, h, redraw } from "./dom.js";
import * as filters from "./filters.js";
import { doneOf } from "./kinds.js";
import { tell } from "./problems.js";
import { endRenaming, shelves, skeleton, visitShelf } from "./shelves.js";
import { leadOf, shownOf } from "./shown.js";
import { memory, personaList, picture } from "./personas.js";
import { capital, counted, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").FoundItem} FoundItem */
/** @typedef {import("./api.js").Kind} Kind */
/** @typedef {import("./shelves.js").NamedPersona} NamedPersona */

const TEN = 10;
const MOST = 100;
const OF_VISIT = 5;
const WITHOUT_PERSONAS = "Your list is made of everything that you marked, taken together; it is not parted into tastes here.";

/**
 * @typedef {object} Deed something that a person does, and can take back
 * @property {string} key names it
 * @property {string} done says it in a few words
 * @property {() => Promise<unknown>} deed
 * @property {() => Promise<unknown>} undo
 * @property {string} back the `data-key` of what has the focus after it is undone
 */

let user = "";
/** @type {api.RecommendationList | null} */
let list = null;
/** @type {api.Recommended[]} What goes with the present visit. */
let ofVisit = [];
/** @type {string[]} Of the catalogue. */
let genres = [];
/** @type {api.Personas | null} */
let personas = null;
let length = TEN;
/** @type {Set<string>} Items that came by the last change. */
let fresh = new Set();
/** @type {string | null} The deed whose change is shown. */
let shownDeed = null;
let turn = 0;
/** @type {() => Promise<void>} */
let refreshed = async () => {};
let marked = Promise.resolve();
let completed = Promise.resolve();

/** @param {() => Promise<void>} whenRefreshed brings what hangs on the list up to date */
export function connectDesk(whenRefreshed) {
  refreshed = whenRefreshed;
  filters.connectFilters(() => void refilter());
  byId("more").addEventListener("click", () => void more());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && user) void refresh();
  });
}

/** Wait until the list has all of its reasons. */
export const whole = () => completed;

/** Return whose desk it is. */
export const currentUser = () => user;

/** Return the list that is shown, once there is one. */
export const currentList = () => list;

/** Return the genres of the catalogue, once they are known. */
export const currentGenres = () => genres;

/** Return the current user's personas, once they are known. */
export const currentPersonas = () => personas?.personas ?? [];

/**
 * Show another user.
 * @param {string} next
 */
export async function openDesk(next) {
  leaveDesk();
  user = next;
  list = personas = null;
  ofVisit = [];
  length = TEN;
  byId("list-title").replaceChildren("Recommended for ", h("span", { class: "user" }, user));
  document.title = `${user} – recsys`;
  byId("list-lead").textContent = "";
  for (const part of ["persona-list", "picture", "half-life", "list-error", "personas-error", "marked", "visit"]) byId(part).replaceChildren();
  byId("shelves").replaceChildren(skeleton());
  byId("memory").hidden = byId("more").hidden = true;
  byId("desk").classList.add("loading"); // what comes, comes at once, so that no part of it pushes another
  await refresh();
  await marked;
  if (user === next) byId("desk").classList.remove("loading");
}

/** Leave the desk, for another user or for none. */
export function leaveDesk() {
  close();
  endRenaming();
  forgetColours();
  filters.resetFilters();
  fresh = new Set();
}

/**
 * Ask for the list and the personas, and draw both. Of several at once the last one counts.
 * @param {() => void} [drawn]
 * @returns {Promise<boolean>} whether a list was drawn
 */
export async function refresh(drawn) {
  const asked = ++turn;
  busy(true);
  const wanted = /** @type {const} */ ([user, length, filters.chosen()]);
  const [items, people, names, visit] = await Promise.allSettled([
    api.recommendations(...wanted, false),
    api.personas(user),
    genres.length ? genres : api.genres(),
    filters.inUse() ? null : api.visit(user, length),
  ]);
  if (asked !== turn) return false;
  personas = settled(people, "personas-error", WITHOUT_PERSONAS);
  if (names.status === "fulfilled") genres = names.value;
  const shown = settled(items, "list-error");
  ofVisit = (visit.status === "fulfilled" && visit.value?.items.slice(0, OF_VISIT)) || []; // not every model has it
  if (shown) list = shown;
  else byId("shelves").querySelector(".skeleton")?.remove();
  giveColours([...(personas?.personas ?? []), ...(list?.shelves ?? [])].flatMap(({ persona }) => (persona === null ? [] : [persona])));
  if (shown) drawList();
  drawPersonas();
  drawn?.();
  marked = refreshed();
  if (shown && shown.reasons !== "searched") completed = complete(asked, wanted);
  else busy(false);
  return shown !== null;
}

/**
 * Draw the list again when its reasons are searched; it has the same titles.
 * @param {number} asked the turn in which it is of use
 * @param {readonly [string, number, api.Filters]} wanted
 */
async function complete(asked, wanted) {
  const searched = await api.recommendations(...wanted, true).catch(() => null); // what is shown is true without it
  if (asked !== turn) return;
  if (searched) {
    list = searched;
    drawList();
  }
  busy(false);
}

/**
 * Return what a person says to an item, as an event of the current user.
 * @param {FoundItem} item
 * @param {Kind} kind
 */
export const saying = (item, kind) => api.eventOf(user, item.item_id, kind);

/**
 * Take what a person says to an item, bring the list up to date, and show what it changed. Where it fails, try again
 * with the same event: it may have arrived.
 * @param {FoundItem} item
 * @param {api.Event} event
 */
export function answer(item, event) {
  const person = user;
  return act({
    key: event.event_id,
    done: `${doneOf(event.kind)}: ${spokenTitle(item.title)}`,
    deed: () => api.send(event),
    undo: () => api.undo(person, event.event_id),
    back: `title ${item.item_id}`,
  });
}

/**
 * Take back what the current user said to an item, and bring the list up to date.
 * @param {string} title
 * @param {string} event its id
 */
export async function takeBack(title, event) {
  await api.undo(user, event);
  await undone(event, spokenTitle(title));
}

/**
 * Correct a persona: its weight, or its name.
 * @param {{persona: number, name: string, weight: number}} persona
 * @param {api.Correction} before what holds until now
 * @param {api.Correction} correction
 */
export function correct(persona, before, correction) {
  const person = user;
  const control = correction.name !== before.name ? "rename" : correction.weight === 0 || before.weight === 0 ? "mute" : "boost";
  return act({
    key: `persona ${persona.persona}`,
    done: correctionDone(persona.name, before, correction),
    deed: () => api.correct(person, persona.persona, correction),
    undo: () => api.correct(person, persona.persona, before),
    back: `${control} ${persona.persona}`,
  });
}

/**
 * @param {string} name
 * @param {api.Correction} before
 * @param {api.Correction} after
 */
function correctionDone(name, before, after) {
  if (after.name !== before.name) return after.name === null ? `${capital(name)} has its own name again` : `${capital(name)} is now ${after.name}`;
  if (after.weight === 0) return `Muted: ${name}`;
  if (after.weight > 1) return `Boosted: ${name}`;
  return before.weight === 0 ? `Unmuted: ${name}` : `No longer boosted: ${name}`;
}

/**
 * Do something that may change the list, bring it up to date, and show what it changed.
 * @param {Deed} one
 */
export async function act(one) {
  const person = user;
  const [earlier, source] = [displayed(), list?.source];
  await one.deed();
  if (person !== user) return;
  const before = new Set(earlier.items.map((item) => item.item_id));
  const drawn = await refresh(() => {
    fresh = new Set(displayed().items.flatMap((item) => (before.has(item.item_id) ? [] : [item.item_id])));
    if (fresh.size) drawList();
  });
  if (!drawn) return;
  const found = difference(earlier, displayed());
  if (source !== list?.source) found.seats = []; // no persona owns the items of a text
  shownDeed = one.key;
  showChange(one.done, found, {
    undo: () => void attempt("list-error", () => undo(one)),
    undoLabel: `Undo: ${one.done}`,
    close: () => {
      close();
      byId("list-title").focus({ preventScroll: true });
    },
  });
  announce(`${one.done}. ${spoken(found)}`);
}

/** @param {Deed} one */
async function undo(one) {
  await one.undo();
  await undone(one.key, one.done);
  const back = document.querySelector(`[data-key="${CSS.escape(one.back)}"]`);
  (back instanceof HTMLElement ? back : byId("list-title")).focus({ preventScroll: true });
}

/** @param {string} key @param {string} what */
async function undone(key, what) {
  if (shownDeed === key) close();
  fresh = new Set();
  await refresh();
  announce(`${what}: taken back. The list is up to date.`);
}

function close() {
  shownDeed = null;
  hideChange();
}

/** Return what of the list is shown now. */
const displayed = () => shownOf(list, length, currentPersonas());

function drawList() {
  if (!list) return;
  const { items, shelves: shown } = displayed();
  const filtered = filters.inUse();
  const cold = list.source === "history" && list.known_events === 0;
  byId("list-lead").textContent = leadOf(list);
  const drawn = shelves({ items, shelves: shown, cold, filtered, fresh }, controls);
  const none = filtered ? "No title passes. Try a wider span of years, or clear the filters." : "There is nothing left to recommend.";
  redraw(byId("shelves"), items.length ? drawn : [h("p", { class: "panel empty" }, none), ...drawn], () => byId("list-title").focus({ preventScroll: true }));
  redraw(byId("visit"), visitShelf(ofVisit, controls));
  byId("more").hidden = list.items.length < length || length >= MOST;
  byId("filter-open").hidden = !filtered && !items.length;
  filters.offer(genres, list.source === "text" ? [] : currentPersonas());
  filters.tell(items.length, list.items.length >= length);
}

function drawPersonas() {
  const found = personas;
  const cold = found && list?.source === "history" && list.known_events === 0;
  const some = found && !cold && found.personas.length > 0;
  const ofText = list?.source === "text";
  redraw(byId("picture"), [some && found.personas.length > 1 && picture(found)]);
  const none = cold && h("li", { class: "hint" }, "They appear as soon as you have marked the first title.");
  const shelved = new Set((ofText ? found?.personas : list?.shelves)?.map(({ persona }) => persona)); // no persona acts on a list of a text
  redraw(byId("persona-list"), some ? personaList(found, shelved, controls) : [none]);
  byId("memory").hidden = !found?.half_life;
  redraw(byId("half-life"), found?.half_life ? memory(found.half_life) : []);
}

async function refilter() {
  length = TEN;
  fresh = new Set();
  await refresh();
}

async function more() {
  const before = new Set(displayed().items.map((item) => item.item_id));
  length = Math.min(length + TEN, MOST);
  fresh = new Set();
  await refresh();
  const next = displayed().items.find((item) => !before.has(item.item_id));
  if (!next) byId("more").hidden = true;
  const title = next && document.querySelector(`[data-key="${CSS.escape(`title ${next.item_id}`)}"]`);
  if (title instanceof HTMLElement) title.focus();
  announce(next ? `${counted(displayed().items.length - before.size, "more title")}.` : "That is all.");
}

/**
 * @param {FoundItem} item
 * @param {Kind} kind
 */
function onCard(item, kind) {
  const event = saying(item, kind);
  void attempt("list-error", async () => {
    await answer(item, event);
    document.getElementById("undo")?.focus({ preventScroll: true });
  });
}

/**
 * @param {NamedPersona} persona
 * @param {number} weight
 */
function weigh(persona, weight) {
  const name = persona.renamed ? persona.name : null;
  if (weight === 0) filters.leavePersona(persona.persona);
  void attempt("list-error", () => correct(persona, { weight: persona.weight, name }, { weight, name }));
}

/**
 * @param {NamedPersona} persona
 * @param {string | null} name
 */
function rename(persona, name) {
  const before = { weight: persona.weight, name: persona.renamed ? persona.name : null };
  void attempt("list-error", () => correct(persona, before, { weight: persona.weight, name }));
}

/** @type {import("./shelves.js").Controls} */
const controls = {
  answer: onCard,
  weigh,
  rename,
  again() {
    drawList();
    drawPersonas();
  },
};

/** @param {boolean} yes */
function busy(yes) {
  for (const part of ["list", "personas"]) byId(part).setAttribute("aria-busy", String(yes));
}

/**
 * Return what was answered; tell what was refused.
 * @template T
 * @param {PromiseSettledResult<T>} result
 * @param {string} place
 * @param {string} [unsupported] what is said where the model cannot do it
 * @returns {T | null}
 */
function settled(result, place, unsupported) {
  byId(place).replaceChildren();
  if (result.status === "fulfilled") return result.value;
  if (unsupported && result.reason instanceof api.ApiError && result.reason.code === "not_supported") {
    byId(place).replaceChildren(h("p", { class: "hint" }, unsupported));
    return null;
  }
  tell(place, result.reason, async () => void (await refresh()));
  return null;
}

/**
 * Do something, and tell what goes wrong, with a way to try again.
 * @param {string} place
 * @param {() => Promise<unknown>} deed
 */
async function attempt(place, deed) {
  byId(place).replaceChildren();
  try {
    await deed();
  } catch (problem) {
    controls.again(); // as it still is
    tell(place, problem, () => attempt(place, deed));
  }
}
