/** Who is asking: the choice of a user, the token, and what is held of the user. */

import { onWrite } from "./access.js";
import * as api from "./api.js";
import { currentUser, openDesk } from "./desk.js";
import { announce, button, byId, dialogById, h, inputById } from "./dom.js";
import { counted } from "./words.js";

const USER = "recsys.user";

/**
 * Make the choice of a user work.
 * @param {(user: string) => void} choose
 */
export function connectUsers(choose) {
  const error = byId("user-error");
  byId("user-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const user = inputById("user-id").value.trim();
    const dots = user === "." || user === "..";
    error.textContent = !user ? "Give an id, such as a name." : dots ? "A browser cannot ask for an id of dots alone." : "";
    if (error.textContent) inputById("user-id").focus();
    else choose(user);
  });
  byId("new-user").addEventListener("click", () => choose(`guest-${api.newId().slice(0, 6)}`));
  return {
    /** @param {api.KnownUser[]} users */
    offer(users) {
      byId("known").hidden = users.length === 0;
      byId("known-users").replaceChildren(
        ...users.map(({ user_id: user, events }) => {
          const chip = button({ class: "chip", "data-user": user }, user, () => choose(user));
          chip.append(h("small", {}, counted(events, "event")));
          return h("li", {}, chip);
        }),
      );
    },
  };
}

/** Return the user that this browser remembers. */
export function rememberedUser() {
  try {
    return localStorage.getItem(USER);
  } catch {
    return null;
  }
}

/** @param {string} user */
export function rememberUser(user) {
  try {
    localStorage.setItem(USER, user);
  } catch {
    // Storage is switched off: the user is asked for at each visit.
  }
}

/**
 * Make the question for a token work.
 * @param {() => void} given
 * @param {() => void} left
 */
export function connectToken(given, left) {
  const dialog = dialogById("token-dialog");
  const field = inputById("token");
  const error = byId("token-error");
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const secret = field.value.trim();
    // What a header cannot hold is no token.
    error.textContent = !secret ? "Paste a token." : /^[\x21-\x7e]+$/.test(secret) ? "" : "A token has letters, digits and signs only; paste it anew.";
    if (error.textContent) return;
    api.token.set(secret);
    field.value = "";
    dialog.close("given");
    given();
  });
  byId("token-cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "given") left();
    dialog.returnValue = "";
  });
  /** @param {string} [problem] what was wrong with the last one */
  return (problem = "") => {
    byId("change-token").hidden = false;
    if (!dialog.open) dialog.showModal();
    error.textContent = problem;
    field.focus();
  };
}

/**
 * Make download and erasure work.
 * @param {(problem: api.ApiError) => boolean} refused takes care of an error, or returns false
 */
export function connectData(refused) {
  const told = byId("data-told");
  const dialog = dialogById("erase-dialog");
  /** @param {() => Promise<void>} deed */
  const attempt = async (deed) => {
    told.textContent = "";
    try {
      await deed();
    } catch (problem) {
      if (!(problem instanceof api.ApiError)) throw problem;
      if (!refused(problem)) told.textContent = problem.message;
    }
  };
  byId("export").addEventListener("click", () =>
    void attempt(async () => {
      const user = currentUser();
      const held = new Blob([JSON.stringify(await api.exportData(user), null, 2)], { type: "application/json" });
      const address = URL.createObjectURL(held);
      h("a", { href: address, download: `recsys-${user.replace(/[^\w-]+/g, "_")}.json` }).click();
      window.setTimeout(() => URL.revokeObjectURL(address), 60_000);
      told.textContent = "Downloaded: events, what the model was trained on, corrections, tokens.";
    }),
  );
  onWrite(byId("erase"), () => {
    byId("erase-text").textContent =
      `The events, corrections and tokens of ${currentUser()} are deleted, and the next list is that of somebody new. ` +
      "What the model has learned from its own log stays until it is trained again. This cannot be undone.";
    dialog.showModal();
  });
  byId("erase-cancel").addEventListener("click", () => dialog.close());
  byId("erase-confirm").addEventListener("click", () => {
    dialog.close();
    void attempt(async () => {
      const user = currentUser();
      await api.eraseData(user);
      await openDesk(user);
      told.textContent = `Everything of ${user} is erased.`;
      announce(told.textContent);
    });
  });
}
