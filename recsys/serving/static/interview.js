/** A few questions to somebody new: four titles a screen; after each screen the list, and what is known, move. */

import { writeButton } from "./access.js";
import * as api from "./api.js";
import { announce, button, byId, h, redraw } from "./dom.js";
import { joined, percent, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").FoundItem} FoundItem */
/** @typedef {import("./api.js").InterviewScreen} InterviewScreen */
/** @typedef {import("./api.js").Said} Said */
/** @typedef {{shown: InterviewScreen, before: InterviewScreen | null, said: Map<string, Said>, skipped: Set<string>}} Screen */

const WAYS = /** @type {const} */ ([
  { said: "like", label: "Liked", letter: "l" },
  { said: "dislike", label: "Not for me", letter: "d" },
  { said: "dont_know", label: "Don't know it", letter: "k" },
]);
const LEAST = 0.005;

/**
 * Make the interview work.
 * @param {(user: string) => void} done opens the list of the new user
 * @param {() => void} left goes back to the choice of a user
 */
export function connectInterview(done, left) {
  const part = byId("interview");
  /** @type {Screen[]} */
  let screens = [];
  let turn = 0;
  let user = "";
  /** @type {Map<string, api.Event>} What is sent at the end, the same where it is sent again. */
  let events = new Map();

  const now = () => /** @type {Screen} */ (screens[screens.length - 1]);
  const answered = () => screens.flatMap(({ said }) => [...said].map(([item_id, answer]) => ({ item_id, answer })));
  const skipped = () => screens.flatMap((screen) => [...screen.skipped]);
  /** @param {Screen} screen */
  const waiting = (screen) => screen.shown.questions.filter(({ item_id: item }) => !screen.said.has(item));

  /** @param {() => Promise<void>} deed */
  const attempt = async (deed) => {
    byId("interview-error").textContent = "";
    try {
      await deed();
    } catch (problem) {
      if (!(problem instanceof api.ApiError)) throw problem;
      byId("interview-error").textContent = problem.message;
      part.setAttribute("aria-busy", "false");
    }
  };

  const next = async () => {
    const asked = ++turn;
    part.setAttribute("aria-busy", "true");
    const shown = await api.interview(answered(), skipped());
    if (asked !== turn) return;
    const before = screens.length ? now().shown : null;
    screens.push({ shown, before, said: new Map(), skipped: new Set() });
    draw();
    announce(`${heading()}. ${told(shown)} The list begins with ${joined(shown.items.slice(0, 3).map(({ title }) => spokenTitle(title)))}.`);
  };

  const back = () => {
    if (screens.length < 2) return;
    turn++;
    screens.pop();
    now().skipped.clear();
    draw();
  };

  const skip = () => {
    for (const { item_id: item } of waiting(now())) now().skipped.add(item);
    return next();
  };

  const enough = async () => {
    const asked = ++turn;
    const said = answered().filter(({ answer }) => answer !== "dont_know");
    for (const { item_id: item, answer } of said) {
      if (events.get(item)?.kind !== answer) events.set(item, api.eventOf(user, item, answer === "like" ? "like" : "dislike"));
    }
    if (said.length) await api.sendAll(said.flatMap(({ item_id: item }) => events.get(item) ?? []));
    if (asked === turn) done(user);
  };

  /** @param {FoundItem} item @param {Said} what */
  const say = (item, what) => {
    const screen = now();
    screen.said.set(item.item_id, what);
    if (waiting(screen).length) draw();
    else void attempt(next);
  };

  const heading = () => (now().shown.questions.length ? `Screen ${screens.length}` : "Nothing is left to ask");

  const draw = () => {
    const { shown, before, said } = now();
    const [first] = waiting(now());
    byId("interview-place").textContent = heading();
    const cards = shown.questions.map((item) => question(item, said.get(item.item_id), item === first, (what) => say(item, what)));
    byId("interview-questions").replaceChildren(...cards);
    byId("interview-back").hidden = screens.length < 2;
    byId("interview-skip").hidden = !shown.questions.length;
    byId("interview-known").replaceChildren(
      h("meter", { min: 0, max: 1, value: shown.known.toFixed(3), "aria-labelledby": "interview-told" }),
      h("p", { id: "interview-told" }, told(shown)),
    );
    redraw(byId("interview-list"), shown.items.map((item, place) => listed(item, place, before)));
    part.setAttribute("aria-busy", "false");
    const at = part.querySelector(".question.current button") ?? byId("interview-enough");
    if (at instanceof HTMLElement) at.focus({ preventScroll: false });
  };

  part.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || part.getAttribute("aria-busy") === "true") return;
    const letter = event.key.toLowerCase();
    const way = WAYS.find((one) => one.letter === letter);
    const [first] = screens.length ? waiting(now()) : [];
    if (way && first) say(first, way.said);
    else if (letter === "b") back();
    else if (letter === "s" && first) void attempt(skip);
    else if (letter === "e") byId("interview-enough").click();
    else return;
    event.preventDefault();
  });
  byId("interview-back").addEventListener("click", back);
  byId("interview-skip").addEventListener("click", () => void attempt(skip));
  byId("interview-leave").addEventListener("click", () => {
    turn++;
    left();
  });
  byId("interview-enough").replaceWith(
    writeButton({ id: "interview-enough", class: "primary" }, ["That is enough"], () => void attempt(enough)),
  );
  return {
    /** Begin with somebody new. */
    async start() {
      screens = [];
      events = new Map();
      user = `guest-${api.newId().slice(0, 6)}`;
      byId("interview-questions").replaceChildren();
      byId("interview-list").replaceChildren();
      byId("interview-known").replaceChildren();
      byId("interview-error").textContent = "";
      await next();
    },
  };
}

/**
 * A title with what can be said of it.
 * @param {FoundItem} item
 * @param {Said | undefined} said
 * @param {boolean} current
 * @param {(said: Said) => void} say
 */
function question(item, said, current, say) {
  const title = spokenTitle(item.title);
  const facts = [item.year, item.genres.slice(0, 3).join(", ")].filter(Boolean).join(" · ");
  return h(
    "li",
    { class: `question${current ? " current" : ""}${said ? " said" : ""}`, "data-item": item.item_id },
    h("p", { class: "question-title" }, title, facts && h("span", { class: "hint" }, facts)),
    h(
      "div",
      { class: "buttons", role: "group", "aria-label": title },
      ...WAYS.map((way) =>
        button({ "aria-pressed": String(said === way.said), "aria-label": `${way.label}: ${title}`, "data-said": way.said }, way.label, () => say(way.said)),
      ),
    ),
  );
}

/**
 * A title of the list, with how far it has moved.
 * @param {FoundItem} item
 * @param {number} place
 * @param {InterviewScreen | null} before
 */
function listed(item, place, before) {
  const earlier = before?.items.findIndex(({ item_id: id }) => id === item.item_id) ?? place;
  const moved = earlier < 0 ? "new" : earlier > place ? `↑ ${earlier - place}` : earlier < place ? `↓ ${place - earlier}` : "";
  return h(
    "li",
    { class: earlier < 0 ? "moved fresh" : moved ? "moved" : null, "data-key": `listed ${item.item_id}` },
    h("span", { class: "listed-title" }, spokenTitle(item.title), item.year && h("span", { class: "hint" }, ` ${item.year}`)),
    moved && h("span", { class: "tag" }, moved),
  );
}

/** @param {InterviewScreen} screen */
function told(screen) {
  if (screen.known < LEAST) return "Nothing is known of you yet: this is what most people like.";
  const up = screen.leanings.filter(({ lift }) => lift > 1).map(({ genre }) => genre.toLowerCase());
  const down = screen.leanings.filter(({ lift }) => lift < 1).map(({ genre }) => genre.toLowerCase());
  const leans = [up.length && `towards ${joined(up)}`, down.length && `away from ${joined(down)}`].filter(Boolean);
  const much = `${percent(screen.known)} of what these questions could tell is known.`;
  return leans.length ? `${much} You lean ${leans.join(", ")}.` : much;
}
