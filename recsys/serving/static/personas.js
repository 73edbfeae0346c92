/** The personas: a picture of how active each was, how much each counts now and in the long run, and what to change. */

import { colour } from "./cards.js";
import { button, h, svg } from "./dom.js";
import { asSentence, count, counted, halfLifeInWords, monthOf, percent } from "./words.js";

/** @typedef {import("./api.js").Persona} Persona */
/** @typedef {import("./api.js").Personas} Personas */
/** @typedef {{weight: number, name: string | null}} Correction */

const WIDTH = 600;
const HEIGHT = 170;
const BOOST = 3;
const CHOICES = [
  { label: "Mute", weight: 0 },
  { label: "As found", weight: 1 },
  { label: "Boost", weight: BOOST },
];

/** @type {number | null} The persona that is being renamed. */
let renaming = null;

/**
 * Draw how much each persona counted along the history: a band each, which together fill the height.
 * @param {Personas} found
 */
export function picture(found) {
  const moments = found.times.length;
  // Bands lie in the order of their numbers, so that none jumps when shares change.
  const bands = [...found.personas].sort((one, other) => one.persona - other.persona);
  const floor = new Array(moments).fill(0);
  const areas = bands.map((persona) => {
    const low = [...floor];
    persona.activity.forEach((share, place) => { floor[place] += share; });
    return svg("path", {
      class: `band ${colour(persona.persona)}${persona.muted ? " muted" : ""}`,
      d: area(low, floor),
      "vector-effect": "non-scaling-stroke",
    });
  });
  const first = found.times[0] ?? found.now;
  const last = found.times[moments - 2] ?? first; // the very last is the moment of the question
  const middle = found.times[Math.floor((moments - 1) / 2)] ?? first;
  return h(
    "figure",
    { class: "picture" },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": inWords(found, bands, first) },
      ...areas,
    ),
    h(
      "div",
      { class: "axis", "aria-hidden": "true" },
      h("span", {}, monthOf(first)),
      monthOf(middle) !== monthOf(first) && monthOf(middle) !== monthOf(last) && h("span", {}, monthOf(middle)),
      h("span", {}, monthOf(last) === monthOf(first) ? "now" : `${monthOf(last)}, now`),
    ),
    h("figcaption", { class: "hint" }, "How much each persona counted, along your events in their order."),
  );
}

/**
 * Return the rows of the personas: shares, what they are made of, and the person's own corrections.
 * @param {Personas} found
 * @param {(persona: Persona, correction: Correction, told: string) => void} change
 * @param {() => void} again draws the rows anew
 */
export function rows(found, change, again) {
  return found.personas.map((persona) =>
    h(
      "li",
      { class: persona.muted ? "persona muted" : "persona", "data-persona": persona.persona },
      renaming === persona.persona ? renameForm(persona, change, again) : head(persona, again),
      shares(persona),
      h("p", { class: "made-of" }, ...madeOf(persona)),
      choices(persona, change),
    ),
  );
}

/**
 * Return the half-life in plain words.
 * @param {import("./api.js").HalfLife} found
 */
export function memory(found) {
  const [first, ...rest] = halfLifeInWords(found);
  return [h("p", { class: "half-life" }, first), h("p", { class: "hint" }, rest.join(" "))];
}

/**
 * @param {number[]} low
 * @param {number[]} high
 */
function area(low, high) {
  /** @type {(shares: number[]) => string[]} */
  const points = (shares) => {
    const wide = shares.length > 1 ? shares : [...shares, ...shares]; // one moment is drawn as a level
    return wide.map((share, place) => {
      const [x, y] = [(place / (wide.length - 1)) * WIDTH, (1 - Math.min(share, 1)) * HEIGHT];
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
  };
  return `M${[...points(high), ...points(low).reverse()].join("L")}Z`;
}

/**
 * @param {Personas} found
 * @param {Persona[]} bands
 * @param {number} first
 */
function inWords(found, bands, first) {
  const told = bands.map((persona) => {
    const before = persona.activity[0] ?? 0;
    const muted = persona.muted ? ", muted" : "";
    return `${persona.name}: ${percent(before)} at first, ${percent(persona.share_now)} now${muted}.`;
  });
  return `Activity of ${counted(found.personas.length, "persona")} since ${monthOf(first)}. ${told.join(" ")}`;
}

/**
 * @param {Persona} persona
 * @param {() => void} again
 */
function head(persona, again) {
  const rename = () => {
    renaming = persona.persona;
    again();
    const field = document.querySelector(`input[data-key="name ${persona.persona}"]`);
    if (!(field instanceof HTMLInputElement)) return;
    field.focus();
    field.select();
  };
  return h(
    "div",
    { class: "persona-head" },
    h("span", { class: `dot ${colour(persona.persona)}`, "aria-hidden": "true" }),
    h("h3", {}, `${persona.name} `, persona.muted && h("span", { class: "tag" }, "muted")),
    button(
      { class: "link", "data-key": `rename ${persona.persona}`, "aria-label": `Rename ${persona.name}` },
      "Rename",
      rename,
    ),
  );
}

/**
 * @param {Persona} persona
 * @param {(persona: Persona, correction: Correction, told: string) => void} change
 * @param {() => void} again
 */
function renameForm(persona, change, again) {
  const id = `persona-name-${persona.persona}`;
  const submit = h("button", { type: "submit", class: "primary", "data-key": `rename ${persona.persona}` }, "Save");
  const field = h("input", { id, maxlength: 80, value: persona.name, autocomplete: "off", "data-key": `name ${persona.persona}` });
  const end = () => {
    renaming = null;
    again();
    const back = document.querySelector(`[data-key="rename ${persona.persona}"]`);
    if (back instanceof HTMLElement) back.focus();
  };
  /** @param {string | null} name */
  const save = (name) => {
    renaming = null;
    submit.focus(); // its place is taken by the button that opened this form
    const told = name === null ? "It has the name that was found again" : `It is called ${name} now`;
    change(persona, { weight: persona.weight, name }, told);
  };
  const form = h(
    "form",
    { class: "rename", novalidate: true },
    h("label", { for: id }, `Your name for ${persona.name}`),
    h("div", { class: "joined" }, field, submit),
    h(
      "div",
      { class: "buttons" },
      button({ class: "link" }, "Cancel", end),
      persona.renamed && button({ class: "link" }, "Back to the name that was found", () => save(null)),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (!name || name === persona.name) end();
    else save(name);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    end();
  });
  return form;
}

/** @param {Persona} persona */
function shares(persona) {
  return h(
    "dl",
    { class: "shares" },
    ...share("now", persona.share_now, `bar-now ${colour(persona.persona)}`),
    ...share("long-term", persona.share_long_term, `bar-long ${colour(persona.persona)}`),
  );
}

/**
 * @param {string} label
 * @param {number} value
 * @param {string} look
 */
function share(label, value, look) {
  const bar = svg(
    "svg",
    { class: "share-bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8, rx: 1 }),
    svg("rect", { class: look, width: Math.max(0.5, value * 100).toFixed(2), height: 8, rx: 1 }),
  );
  return [h("dt", {}, label), h("dd", {}, bar, h("b", {}, percent(value)))];
}

/** @param {Persona} persona */
function madeOf(persona) {
  const titles = persona.items.slice(0, 3).map((item) => item.title);
  const genres = persona.genres.slice(0, 3).map((genre) => genre.genre);
  return [
    genres.length > 0 && h("span", { class: "genres" }, genres.join(" · ")),
    titles.length > 0 && h("span", {}, titles.join(", ")),
  ];
}

/**
 * @param {Persona} persona
 * @param {(persona: Persona, correction: Correction, told: string) => void} change
 */
function choices(persona, change) {
  const given = CHOICES.some((choice) => choice.weight === persona.weight);
  const all = given ? CHOICES : [...CHOICES, { label: `×${count(persona.weight)}`, weight: persona.weight }];
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", { class: "visually-hidden" }, `How much ${persona.name} counts`),
    ...all.map(({ label, weight }) => {
      const id = `persona-${persona.persona}-${weight}`;
      const radio = h("input", {
        type: "radio",
        id,
        name: `persona-${persona.persona}`,
        value: weight,
        checked: weight === persona.weight,
        "data-key": id,
      });
      radio.addEventListener("change", () => {
        const told = weight === 0 ? "is muted" : weight === 1 ? "counts as found" : `counts ${count(weight)} times as much`;
        change(persona, { weight, name: persona.renamed ? persona.name : null }, asSentence(`${persona.name} ${told}`));
      });
      return h("span", {}, radio, h("label", { for: id }, label));
    }),
  );
}
