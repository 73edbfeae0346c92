/** A short tour: a few sentences, each beside what it is about. It can be ended, and started again. */

import { byId, dialogById } from "./dom.js";

const SEEN = "recsys.tour";
const STEPS = [
  {
    at: () => document.querySelector(".shelf-head") ?? byId("list-title"),
    title: "A shelf for each persona",
    text: "You have more than one taste. Each shelf is one of them, a persona of yours, with its share and its seats in the list. Mute a persona, boost it, or give it your own name.",
  },
  {
    at: () => document.querySelector(".why") ?? byId("shelves"),
    title: "Why it is here",
    text: "Each title says why in a line. Open the line: it names what speaks for the title, and without what it would not be here.",
  },
  {
    at: () => document.querySelector(".answers") ?? byId("shelves"),
    title: "Answer back",
    text: "Seen it, liked it, or less like this: it counts at once, and you are shown what it changed. Everything can be undone.",
  },
  {
    at: () => byId("find"),
    title: "Tell it what you know",
    text: "Starting from nothing? Find three titles that you like. That is enough for your first persona to appear.",
  },
  {
    at: () => byId("personas"),
    title: "Your personas in time",
    text: "How much each persona counted over the years, how much it counts now, and the titles that it is made of.",
  },
  {
    at: () => byId("data"),
    title: "It is yours",
    text: "Download everything that is held of you, or have it erased. Erased is gone from the next answer on.",
  },
];

/** Make the tour work. */
export function connectTour() {
  const dialog = dialogById("tour");
  const title = byId("tour-title");
  const back = byId("tour-back");
  const next = byId("tour-next");
  let step = 0;
  /** @type {Element | null} */
  let before = null;

  const leave = () => {
    for (const marked of document.querySelectorAll(".toured")) marked.classList.remove("toured");
  };

  /** @param {number} to */
  const show = (to) => {
    const now = STEPS[to];
    if (!now) return;
    step = to;
    leave();
    byId("tour-place").textContent = `${to + 1} of ${STEPS.length}`;
    title.textContent = now.title;
    byId("tour-text").textContent = now.text;
    back.hidden = to === 0;
    next.textContent = to === STEPS.length - 1 ? "Done" : "Next";
    byId("tour-end").hidden = to === STEPS.length - 1;
    const target = now.at();
    target.classList.add("toured");
    // On a wide screen the tour stands on the other side of what it is about.
    dialog.classList.toggle("aside", target.getBoundingClientRect().left > window.innerWidth / 2);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
    title.focus({ preventScroll: true });
  };

  const end = () => {
    if (!dialog.open) return;
    dialog.close();
    leave();
    remember();
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  };

  const start = () => {
    before = document.activeElement === document.body ? byId("start-tour") : document.activeElement;
    if (!dialog.open) dialog.show();
    show(0);
  };

  back.addEventListener("click", () => show(step - 1));
  next.addEventListener("click", () => (step === STEPS.length - 1 ? end() : show(step + 1)));
  byId("tour-end").addEventListener("click", end);
  byId("start-tour").addEventListener("click", start);
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") end();
  });
  return {
    /** Start for somebody who has not seen it in this browser. */
    offer() {
      if (!isSeen() && !dialog.open) start();
    },
    end,
  };
}

function isSeen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true; // what cannot be remembered is not pressed on anybody at each visit
  }
}

function remember() {
  try {
    localStorage.setItem(SEEN, "seen");
  } catch {
    // Storage is switched off.
  }
}
