/** What went wrong, where it belongs, with a way to try again. */

import { ApiError } from "./api.js";
import { button, byId, h } from "./dom.js";

/** @type {(problem: ApiError) => boolean} */
let elsewhere = () => false;

/**
 * @param {(problem: ApiError) => boolean} refused takes care of what concerns the whole page, or returns false
 */
export function connectProblems(refused) {
  elsewhere = refused;
}

/**
 * Tell what went wrong, with a way to try again where that can help.
 * @param {string} place id of the part of the page that it concerns
 * @param {unknown} problem
 * @param {(() => Promise<unknown>) | null} [again]
 */
export function tell(place, problem, again = null) {
  if (!(problem instanceof ApiError)) throw problem;
  if (elsewhere(problem)) return;
  byId(place).replaceChildren(h("p", { class: problem.code === "not_supported" ? "hint" : "problem" }, problem.message));
  if (!problem.mayPass || !again) return;
  const retry = () => {
    byId(place).replaceChildren();
    void again();
  };
  byId(place).append(button({ class: "link" }, "Try again", retry));
}
