/** The personas of a user: how much each counted in time, how much it counts now, and what it is made of. */

import { axisOf } from "./calendar.js";
import { colour } from "./colours.js";
import { h, svg } from "./dom.js";
import { personaControls } from "./shelves.js";
import { age, capital, counted, halfLifeInWords, joined, monthOf, oftenInWords, percent, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").Persona} Persona */
/** @typedef {import("./api.js").Personas} Personas */

const WIDTH = 600;
const HEIGHT = 100;
const EARLY = 0.1; // of the first few events a persona easily is all: they do not set the scale
const DRIFT = 0.03; // between a persona's share now and in the long run, to be told
const RECENT = 0.25; // the picture goes on to now where the last event is not longer ago, as a part of all the time

/**
 * Draw how much each persona counted: a lane each, all of one scale, above one calendar.
 * @param {Personas} found
 */
export function picture(found) {
  const events = found.times.slice(0, -1); // the last moment is that of the question
  const [first, last] = [events[0] ?? found.now, events[events.length - 1] ?? found.now];
  const quiet = found.now - last;
  const times = quiet <= (found.now - first) * RECENT || events.length < 2 ? found.times : events;
  const axis = axisOf(times);
  const early = Math.floor(times.length * EARLY);
  const highest = Math.max(...found.personas.flatMap((persona) => persona.activity.slice(early, times.length)), 0.01);
  const ago = quiet > 30 * 86400 ? ` Your last event was ${age(quiet)}.` : "";
  return h(
    "figure",
    { class: "picture" },
    h(
      "div",
      { role: "img", "aria-label": inWords(found, first, last) },
      ...found.personas.map((persona) => lane(persona, axis, highest)),
      h(
        "div",
        { class: "axis" },
        rug(axis, times === found.times ? axis.places.slice(0, -1) : axis.places),
        ...axis.ticks.map(({ at, text, side }) => {
          const tick = h("span", { class: `tick ${side}` }, text);
          tick.style.left = `${(at * 100).toFixed(2)}%`;
          return tick;
        }),
      ),
    ),
    h(
      "figcaption",
      { class: "hint" },
      `The share of each in what counted at the time; a full lane is ${percent(highest)}${highest < 1 ? " or more" : ""}. Small marks are your events`,
      axis.cuts.length > 0 ? "; long pauses are cut short (//)." : ".",
      ago,
    ),
  );
}

/**
 * @param {Persona} persona
 * @param {import("./calendar.js").Axis} axis
 * @param {number} highest
 */
function lane(persona, axis, highest) {
  // A share stays until the next event, so the line goes in steps.
  const levels = axis.places.map((_, k) => ((1 - Math.min(1, (persona.activity[k] ?? 0) / highest)) * HEIGHT).toFixed(1));
  const points = levels.map((level, k) => {
    const x = ((axis.places[k] ?? 0) * WIDTH).toFixed(1);
    return k ? `${x},${levels[k - 1]}L${x},${level}` : `${x},${level}`;
  });
  points.push(`${WIDTH},${levels[levels.length - 1]}`);
  const lines = axis.ticks.map(({ at }) => svg("path", { class: "grid", d: `M${(at * WIDTH).toFixed(1)},0V${HEIGHT}`, "vector-effect": "non-scaling-stroke" }));
  return h(
    "div",
    { class: `lane ${colour(persona.persona)}${persona.muted ? " muted" : ""}` },
    h(
      "p",
      { class: "lane-name" },
      h("span", { class: "dot" }),
      h("span", { class: "name" }, capital(persona.name)),
      persona.muted ? h("span", { class: "tag" }, "muted") : h("b", {}, percent(persona.share_now)),
    ),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" },
      ...lines,
      svg("path", { class: "band", d: `M0,${HEIGHT}L${points.join("L")}V${HEIGHT}Z` }),
      svg("path", { class: "crest", d: `M${points.join("L")}`, "vector-effect": "non-scaling-stroke" }),
    ),
  );
}

/**
 * @param {import("./calendar.js").Axis} axis
 * @param {number[]} events
 */
function rug(axis, events) {
  const marks = events.map((place) => `M${(place * WIDTH).toFixed(1)},0V5`).join("");
  const breaks = axis.cuts.map((at) => {
    const sign = h("span", { class: "cut" }, "//");
    sign.style.left = `${(at * 100).toFixed(2)}%`;
    return sign;
  });
  const drawn = svg("svg", { class: "rug", viewBox: `0 0 ${WIDTH} 6`, preserveAspectRatio: "none" }, svg("path", { d: marks, "vector-effect": "non-scaling-stroke" }));
  return h("div", { class: "rug-line" }, drawn, ...breaks);
}

/**
 * @param {Personas} found
 * @param {number} first
 * @param {number} last
 */
function inWords(found, first, last) {
  const told = found.personas.map((persona) => {
    const before = persona.activity[0] ?? 0;
    const muted = persona.muted ? ", muted" : "";
    return `${persona.name}: ${percent(before)} at first, ${percent(persona.share_now)} now${muted}.`;
  });
  const [from, to] = [monthOf(first), monthOf(last)];
  return `Your ${counted(found.personas.length, "persona")} ${from === to ? `in ${from}` : `from ${from} to ${to}`}. ${told.join(" ")}`;
}

/**
 * Return what each persona is made of. Those without a shelf have their controls here.
 * @param {Personas} found
 * @param {Set<number | null>} shelved
 * @param {import("./shelves.js").Controls} controls
 */
export function personaList(found, shelved, controls) {
  return found.personas.map((persona) => {
    const titles = persona.items.slice(0, 3).map((item) => spokenTitle(item.title));
    const facts = [];
    if (persona.often.length > 0) facts.push(oftenInWords(persona.often));
    if (titles.length > 0) facts.push(`such as ${joined(titles)}`);
    const drifts = Math.abs(persona.share_now - persona.share_long_term) >= DRIFT;
    return h(
      "li",
      { class: `persona ${colour(persona.persona)}${persona.muted ? " muted" : ""}`, "data-persona": persona.persona },
      h("p", { class: "persona-name" }, h("span", { class: "dot", "aria-hidden": "true" }), h("b", {}, capital(persona.name))),
      h(
        "p",
        { class: "made-of" },
        capital(facts.join("; ")),
        drifts && h("span", { class: "drift" }, `${percent(persona.share_now)} now, ${percent(persona.share_long_term)} in the long run`),
      ),
      !shelved.has(persona.persona) && personaControls(persona, controls),
    );
  });
}

/**
 * Return the half-life in plain words.
 * @param {import("./api.js").HalfLife} found
 */
export function memory(found) {
  const [first, ...rest] = halfLifeInWords(found);
  return [h("p", { class: "half-life" }, first), h("p", { class: "hint" }, rest.join(" "))];
}
