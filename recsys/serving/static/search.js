/** Search by title: as somebody types, with what can be said to each title that is found. */

import { writeButton } from "./access.js";
import { ApiError, findItems } from "./api.js";
import { answer, saying, takeBack } from "./desk.js";
import { announce, button, byId, h, inputById } from "./dom.js";
import { ANSWERS } from "./kinds.js";
import { counted, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").FoundItem} FoundItem */
/** @typedef {import("./api.js").Kind} Kind */

const PAUSE = 180;

/** Make the search work. */
export function connectSearch() {
  const field = inputById("find-text");
  const found = byId("found");
  const error = byId("find-error");
  /** @type {number | undefined} */
  let pause;
  let asking = new AbortController();

  const clear = () => {
    asking.abort();
    window.clearTimeout(pause);
    found.replaceChildren();
    error.textContent = "";
  };

  const search = async () => {
    clear();
    const query = field.value.trim();
    if (!query) return;
    asking = new AbortController();
    const { signal } = asking;
    try {
      const items = await findItems(query, signal);
      if (signal.aborted) return;
      found.replaceChildren(...(items.length ? items.map(row) : [none(query)]));
      announce(items.length ? `${counted(items.length, "title")} found.` : "No title found.");
    } catch (problem) {
      if (problem instanceof ApiError) error.textContent = problem.message;
      else if (!signal.aborted) throw problem;
    }
  };

  field.addEventListener("input", () => {
    window.clearTimeout(pause);
    pause = window.setTimeout(search, PAUSE);
  });
  byId("find-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void search();
  });
  for (const part of [byId("find"), found]) {
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !found.childElementCount) return;
      event.preventDefault();
      field.value = "";
      clear();
      field.focus();
    });
  }
  return {
    /** Forget what was found, as for another user. */
    reset() {
      field.value = "";
      clear();
    },
  };
}

/** @param {string} query */
function none(query) {
  return h("li", { class: "hint" }, `No title holds “${query}”. Fewer letters find more.`);
}

/** @param {FoundItem} item */
function row(item) {
  /** @type {Map<Kind, import("./api.js").Event>} What was said already, to be sent as it was where it failed. */
  const said = new Map();
  const told = h("span", { class: "told", tabindex: -1 });
  /** @param {typeof ANSWERS[number]} choice */
  const take = async (choice) => {
    for (const one of buttons) one.disabled = true;
    const event = said.get(choice.kind) ?? saying(item, choice.kind);
    said.set(choice.kind, event);
    try {
      await answer(item, event);
      told.textContent = `${choice.done}, saved`;
      const label = `Undo: ${choice.done.toLowerCase()}, ${spokenTitle(item.title)}`;
      choicesBox.replaceChildren(told, button({ "aria-label": label }, "Undo", () => void undo(event.event_id)));
      told.focus({ preventScroll: true });
    } catch (problem) {
      offer(problem);
    }
  };
  /** @param {string} event */
  const undo = async (event) => {
    try {
      await takeBack(item.title, event);
      said.clear(); // what is undone stays undone: said again, it is another event
      choicesBox.replaceChildren(...buttons);
      offer();
      buttons[0]?.focus({ preventScroll: true });
    } catch (problem) {
      offer(problem);
    }
  };
  /** @param {unknown} [problem] */
  const offer = (problem) => {
    for (const one of buttons) one.disabled = false;
    if (problem !== undefined && !(problem instanceof ApiError)) throw problem;
    byId("find-error").textContent = problem?.message ?? "";
  };
  const buttons = ANSWERS.map((choice) =>
    writeButton({ class: "say", "data-kind": choice.kind, "aria-label": `${choice.label}: ${spokenTitle(item.title)}` }, [choice.label], () => void take(choice)),
  );
  const choicesBox = h("div", { class: "buttons" }, ...buttons);
  const facts = [item.year, item.genres.slice(0, 2).join(", ")].filter(Boolean).join(" · ");
  return h("li", {}, h("p", { class: "found-title" }, spokenTitle(item.title), facts && h("span", { class: "hint" }, facts)), choicesBox);
}
