/** The text about the current user: read, changed in place, and forgotten. */

import { writeButton } from "./access.js";
import * as api from "./api.js";
import { act, currentUser } from "./desk.js";
import { byId, redraw } from "./dom.js";
import { leavePersona } from "./filters.js";
import { tell } from "./problems.js";
import { age, counted } from "./words.js";

/** @typedef {import("./api.js").Summary} Summary */

/** Make the text work; return what brings it up to date. */
export function connectSummary() {
  const [form, field, error] = [byId("summary-form"), /** @type {HTMLTextAreaElement} */ (byId("summary-field")), byId("summary-error")];
  /** @type {Summary | null} */
  let shown = null;
  let of = "";

  /** @param {boolean} yes */
  const edit = (yes) => {
    form.hidden = !yes;
    byId("summary-told").hidden = yes;
    error.textContent = "";
    field.removeAttribute("aria-invalid");
    if (!yes) return;
    field.value = shown?.text ?? "";
    field.focus();
  };

  const draw = () => {
    if (!shown) return;
    byId("summary-text").textContent = shown.text || (shown.written === "person" ? "Nothing: your list is what is popular." : "Nothing yet. Mark titles, or say yourself what you like.");
    byId("summary-facts").textContent = facts(shown);
    redraw(byId("summary-buttons"), [
      writeButton({ "data-key": "summary edit" }, [shown.text ? "Change it" : "Write a text"], () => edit(true)),
      shown.written === "person" && writeButton({ "data-key": "summary forget", class: "quiet" }, ["Forget what I wrote"], () => void attempt(forget)),
    ], () => byId("summary-title").focus({ preventScroll: true }));
  };

  /** @param {() => Promise<unknown>} deed */
  const attempt = async (deed) => {
    byId("summary-problem").replaceChildren();
    try {
      await deed();
    } catch (problem) {
      tell("summary-problem", problem, () => attempt(deed));
    }
  };

  /** @param {string} done @param {() => Promise<unknown>} deed */
  const change = async (done, deed) => {
    const [user, before] = [currentUser(), shown];
    const restore = () => (before?.written === "person" ? api.setSummary(user, before.text, before.time) : api.dropSummary(user));
    await act({ key: "summary", done, deed, undo: restore, back: "summary edit" });
    document.getElementById("undo")?.focus({ preventScroll: true });
  };

  const forget = () => change("Forgotten: what you wrote", () => api.dropSummary(currentUser()));

  const save = async () => {
    error.textContent = "";
    const text = field.value;
    try {
      await change("Your text counts", async () => {
        await api.setSummary(currentUser(), text);
        leavePersona(); // no persona owns the items of a text
        edit(false);
      });
    } catch (problem) {
      if (!(problem instanceof api.ApiError) || problem.code !== "unreadable_text") throw problem;
      error.textContent = problem.message;
      field.setAttribute("aria-invalid", "true");
      field.focus();
      select(field, problem.message);
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(save);
  });
  const leave = () => {
    edit(false);
    const back = byId("summary-buttons").querySelector("button");
    back?.focus({ preventScroll: true });
  };
  byId("summary-cancel").addEventListener("click", leave);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void attempt(save);
  });

  return () => {
    const user = currentUser();
    if (of !== user) {
      shown = null;
      edit(false);
    }
    of = user;
    return attempt(async () => {
      const found = await api.summary(user).catch((problem) => {
        if (problem instanceof api.ApiError && problem.code === "not_supported") return null;
        throw problem;
      });
      if (user !== currentUser()) return;
      shown = found;
      byId("summary").hidden = !found;
      draw();
    });
  };
}

/** @param {Summary} found */
function facts(found) {
  const bytes = counted(new TextEncoder().encode(found.text).length, "byte");
  if (found.written === "history") return found.text ? `${bytes}, written from your history. You may change it.` : "";
  const since = found.events_since ? ` ${counted(found.events_since, "event")} since then ${found.events_since === 1 ? "counts" : "count"}, too.` : "";
  return `${bytes}, written by you ${age(Date.now() / 1000 - (found.time ?? 0))}.${since}`;
}

/**
 * Select the word that a message quotes.
 * @param {HTMLTextAreaElement} field
 * @param {string} message
 */
function select(field, message) {
  const word = /'([^']+)'|"([^"]+)"/.exec(message);
  const at = word ? field.value.toLowerCase().indexOf((word[1] ?? word[2] ?? "").toLowerCase()) : -1;
  if (word && at >= 0) field.setSelectionRange(at, at + word[0].length - 2);
}
