/** How far the current user's ratings count: those that count least, "I meant that", and what is worth asking again. */

import { writeButton } from "./access.js";
import * as api from "./api.js";
import { act, currentUser } from "./desk.js";
import { byId, h, redraw } from "./dom.js";
import { tell } from "./problems.js";
import { counted, percent, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").WeighedEvent} WeighedEvent */
/** @typedef {import("./api.js").Reliability} Reliability */
/** @typedef {import("./api.js").QuestionAgain} QuestionAgain */

const SHOWN = 5;
const DOUBTED = 0.5;

/** Make the panel work; return what brings it up to date. It is hidden where the model counts all ratings alike. */
export function connectReliability() {
  /** @param {() => Promise<unknown>} deed */
  const attempt = async (deed) => {
    byId("reliability-error").replaceChildren();
    try {
      await deed();
    } catch (problem) {
      tell("reliability-error", problem, () => attempt(deed));
    }
  };

  /** @param {WeighedEvent} event */
  const mean = (event) => {
    const user = currentUser();
    const title = spokenTitle(event.title);
    return act({
      key: `meant ${event.item_id}`,
      done: event.meant ? `Not confirmed any more: ${title}` : `Meant: ${title}`,
      deed: () => api.setMeant(user, event.item_id, !event.meant),
      undo: () => api.setMeant(user, event.item_id, event.meant),
      back: `meant ${event.item_id}`,
    });
  };

  /** @param {QuestionAgain} question @param {api.Event} event */
  const rate = (question, event) =>
    act({
      key: event.event_id,
      done: `Rated ${event.value}: ${spokenTitle(question.title)}`,
      deed: () => api.send(event),
      undo: () => api.undo(event.user_id, event.event_id),
      back: `again ${question.item_id} ${event.value}`,
    });

  /** @param {QuestionAgain} question @param {number[]} scale */
  const asked = (question, scale) => {
    const title = spokenTitle(question.title);
    return h(
      "li",
      { class: "again" },
      h("span", { class: "marked-title" }, `${title}, to which you gave ${question.value}`),
      h(
        "span",
        { class: "buttons", role: "group", "aria-label": `Your rating of ${title} today` },
        ...scale.map((value) =>
          writeButton({ "data-key": `again ${question.item_id} ${value}`, "aria-label": `Rate ${title} ${value}` }, [value], () => {
            const event = api.ratingOf(currentUser(), question.item_id, value);
            void attempt(() => rate(question, event));
          }),
        ),
      ),
    );
  };

  /** @param {WeighedEvent} event */
  const row = (event) => {
    const title = spokenTitle(event.title);
    return h(
      "li",
      {},
      h("span", { class: "marked-title" }, title, h("span", { class: "hint" }, `Rated ${event.value}, counts ${percent(event.weight)}: ${event.why}.`)),
      writeButton(
        { class: "link", "data-key": `meant ${event.item_id}`, "aria-label": event.meant ? `Take back: you meant ${title}` : `I meant that: ${title}` },
        [event.meant ? "Take back" : "I meant that"],
        () => void attempt(() => mean(event)),
      ),
    );
  };

  let turn = 0;
  return () => {
    const number = ++turn;
    const user = currentUser();
    return attempt(async () => {
      const [found, again] = await Promise.all([api.reliability(user), api.askAgain(user)]).catch((problem) => {
        if (problem instanceof api.ApiError && problem.code === "not_supported") return [null, null];
        throw problem;
      });
      if (number !== turn) return;
      byId("reliability").hidden = !found?.answers;
      if (!found || !again) return;
      byId("reliability-lead").textContent = lead(found);
      const questions = again.scale.length ? again.questions.map((question) => asked(question, again.scale)) : [];
      byId("reliability-again").hidden = questions.length === 0;
      redraw(byId("reliability-questions"), questions, () => byId("reliability-title").focus({ preventScroll: true }));
      redraw(byId("reliability-events"), doubted(found).map(row), () => byId("reliability-title").focus({ preventScroll: true }));
    });
  };
}

/** @param {Reliability} found */
function lead({ answers, genuine, reason }) {
  const ratings = counted(answers, "rating");
  if (!genuine) return `Your ${ratings} count alike: ${reason}.`;
  const { share, low, high } = genuine;
  return `Of your ${ratings}, about ${percent(share)} look like preferences (${percent(low)} to ${percent(high)}). A rating that your others do not foretell counts less, unless you say that you meant it. Of the newest, these count least.`;
}

/**
 * Return a user's ratings that count least, one for each title, and those that were confirmed.
 * @param {Reliability} found
 */
function doubted({ events }) {
  /** @type {Map<string, WeighedEvent>} */
  const newest = new Map();
  for (const event of events) if (event.value !== null && !newest.has(event.item_id)) newest.set(event.item_id, event);
  const rated = [...newest.values()].sort((one, other) => one.weight - other.weight);
  return [...rated.filter(({ meant, weight }) => !meant && weight < DOUBTED).slice(0, SHOWN), ...rated.filter(({ meant }) => meant)];
}
