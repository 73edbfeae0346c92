/** The page: what it starts with, and how its parts are connected. */

import { learnAccess } from "./access.js";
import { connectData, connectToken, connectUsers, rememberedUser, rememberUser } from "./account.js";
import { ApiError, knownUsers, token } from "./api.js";
import { connectDesk, leaveDesk, openDesk, whole } from "./desk.js";
import { button, byId, h } from "./dom.js";
import { connectInterview } from "./interview.js";
import { connectMarks } from "./marks.js";
import { connectProblems } from "./problems.js";
import { connectReliability } from "./reliability.js";
import { connectRules } from "./rules.js";
import { connectSearch } from "./search.js";
import { connectSummary } from "./summary.js";
import { connectTour } from "./tour.js";

/** @typedef {"choose" | "interview" | "desk" | "service-error"} View */

/** @param {View} view */
function show(view) {
  /** @type {View[]} */
  const views = ["choose", "interview", "desk", "service-error"];
  for (const one of views) byId(one).hidden = one !== view;
  byId("change-user").hidden = view !== "desk";
  byId("start-tour").hidden = view !== "desk";
}

/**
 * Take care of what concerns the whole page: a token that is missing or not good.
 * @param {ApiError} problem
 */
function refused(problem) {
  if (problem.status !== 401) return false;
  askToken(problem.code === "token_missing" ? "" : problem.message);
  return true;
}

/** @param {string} message @param {string} label @param {() => void} action */
function stop(message, label, action) {
  byId("service-error").replaceChildren(h("p", {}, message), button({ class: "primary" }, label, action));
  show("service-error");
}

/** @param {string} user */
async function open(user) {
  rememberUser(user);
  search.reset();
  show("desk");
  byId("list-title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  await openDesk(user);
  await whole(); // drawn again, it would lose what the tour marks
  if (byId("shelves").querySelector(".card")) tour.offer();
}

async function choose() {
  tour.end();
  leaveDesk();
  users.offer(await knownUsers());
  document.title = "recsys";
  show("choose");
  byId("choose-title").focus({ preventScroll: true });
}

/** @param {() => Promise<void>} deed */
async function attempt(deed) {
  try {
    await deed();
  } catch (problem) {
    if (!(problem instanceof ApiError)) throw problem;
    if (!refused(problem)) stop(problem.message, "Try again", () => void attempt(start));
  }
}

async function start() {
  byId("change-token").hidden = !token.get();
  await learnAccess();
  const user = rememberedUser();
  if (user === null) await choose();
  else await open(user);
}

const tour = connectTour();
const search = connectSearch();
const interview = connectInterview(
  (user) => void attempt(() => open(user)),
  () => void attempt(choose),
);
const users = connectUsers((user) => void attempt(() => open(user)));
const askToken = connectToken(
  () => void attempt(start),
  () => {
    if (byId("choose").hidden && !byId("shelves").querySelector(".card")) stop("Without a token there is nothing to show.", "Enter a token", () => askToken());
  },
);
connectProblems(refused);
const parts = [connectSummary(), connectMarks(), connectReliability(), connectRules()];
connectDesk(async () => void (await Promise.all(parts.map((update) => update()))));
connectData(refused);
byId("start-interview").addEventListener("click", () =>
  void attempt(async () => {
    show("interview");
    document.title = "A few questions – recsys";
    window.scrollTo(0, 0);
    await interview.start();
  }),
);
byId("change-user").addEventListener("click", () => void attempt(choose));
byId("change-token").addEventListener("click", () => askToken());
void attempt(start);
