/** Numbers in plain words. */

const LANGUAGE = document.documentElement.lang || "en";
const whole = new Intl.NumberFormat(LANGUAGE);
const month = new Intl.DateTimeFormat(LANGUAGE, { year: "numeric", month: "short", timeZone: "UTC" });
const ago = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });
const DAY = 86400;
/** @type {[number, Intl.RelativeTimeFormatUnit][]} */
const UNITS = [[365.25 * DAY, "year"], [30.44 * DAY, "month"], [7 * DAY, "week"], [DAY, "day"], [3600, "hour"], [60, "minute"]];
const UNLIKELY = 0.1;

/** @typedef {import("./api.js").HalfLife} HalfLife */
/** @typedef {import("./api.js").Clock} Clock */

/** @param {number} share of 1 */
export function percent(share) {
  if (share > 0 && share < 0.005) return "under 1%";
  return `${Math.round(share * 100)}%`;
}

/** @param {number} count */
export const count = (count) => whole.format(count);

/**
 * @param {number} number
 * @param {string} one
 * @param {string} [several]
 */
export const counted = (number, one, several = `${one}s`) => `${count(number)} ${number === 1 ? one : several}`;

/** @param {number} seconds until now */
export function age(seconds) {
  for (const [size, unit] of UNITS) if (seconds >= size) return ago.format(-Math.floor(seconds / size), unit);
  return "just now";
}

/** @param {number} time Unix seconds */
export const monthOf = (time) => month.format(new Date(time * 1000));

/**
 * Say how much of what speaks for an item its reason names: certain, or not.
 * @param {number} certainty of 1
 * @param {number} needed events without which it would not be in the list; 0: none so few
 */
export function certaintyInWords(certainty, needed) {
  const part = percent(certainty);
  const much = certainty >= 0.75 ? "nearly all" : certainty >= 0.5 ? "more than half" : certainty >= 0.25 ? "a good part" : "a small part";
  const carried = `${much} of what speaks for it (${part})`;
  if (needed === 1) return `Without the one marked “needed” it would not be in the list. It is ${carried}.`;
  if (needed) return `Without the ${needed} marked “needed” it would not be in the list. They are ${carried}.`;
  return certainty < 0.5 ? `These are ${carried}: no few titles are the reason, but the sum of many.` : `These are ${carried}.`;
}

/**
 * Join names as a sentence does, the first few of them.
 * @param {string[]} names
 * @param {number} [most]
 */
export function joined(names, most = names.length) {
  const told = names.slice(0, most);
  const rest = names.length - told.length;
  if (rest > 0) return `${told.join(", ")} and ${count(rest)} more`;
  return told.length < 2 ? (told[0] ?? "") : `${told.slice(0, -1).join(", ")} and ${told[told.length - 1]}`;
}

const TURNED = /^(.+), (The|An?|L[aeo]s?|L'|Une?|Una|El|Der|Die|Das|Eine?|Il|Gli|I|Os?|As|De|Het|En|De[tn])$/;

/**
 * Return a title as one says it: its article in front, and without what stands in brackets at its end: the year, which
 * has a place of its own, and the title in another language. The same as `readable_title` of `recsys.data.titles`.
 * @param {string} title
 */
export function spokenTitle(title) {
  const bare = title.trim().replace(/(.)(?:\s*[([][^()[\]]*[)\]])+$/, "$1");
  return bare.replace(TURNED, (_, name, article) => (article.endsWith("'") ? article + name : `${article} ${name}`));
}

/**
 * Say what the titles of a persona often are, which its name does not.
 * @param {string[]} genres
 */
export const oftenInWords = (genres) => `often ${genres.join(", ")}`;

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** @param {string} text */
export function asSentence(text) {
  const start = capital(text);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/**
 * Say by what half-life the history is weighed, one sentence a line.
 * @param {HalfLife} found
 * @returns {string[]}
 */
export function halfLifeInWords(found) {
  const clocks = [...found.clocks].sort((one, other) => other.probability - one.probability);
  const [first, ...others] = clocks;
  if (!first) return [];
  if (found.kind === "window") return [`Only ${newestInWords(first)} count.`, "This is one memory for everybody."];
  if (found.kind === "measured" && first.median !== null) return [`What counts at least half as much as the newest: ${newestInWords(first)}.`];
  const uncertain = found.learned_from !== null;
  const told = [clockInWords(first, uncertain)];
  for (const other of others) {
    const words = clockInWords(other, true);
    if (other.probability >= UNLIKELY && words !== told[0]) told.push(`Or, ${percent(other.probability)} likely: ${lower(words)}`);
  }
  if (!uncertain) {
    if (found.kind === "shared") told.push("This is one memory for everybody.");
    if (found.never > 0 && found.kind !== "measured") told.push(`A weight of ${percent(found.never)} is never lost.`);
    return told;
  }
  if (found.never >= 0.01 && first.median !== null) told.push(`With ${percent(found.never)} probability nothing fades at all.`);
  if (found.lasted && found.lasted.median !== null) told.push(changeInWords(found.lasted));
  told.push(
    found.learned_from
      ? `Learned from ${counted(found.learned_from, "event")} of yours.`
      : "This is what holds for everybody: nothing is learned of you.",
  );
  return told;
}

/** @param {Clock} clock its median is a number */
const newestInWords = (clock) =>
  clock.unit === "events" ? `your newest ${counted(clock.median ?? 0, "event")}` : `the events of the last ${bare(clock.median ?? 0, clock.unit)}`;

/**
 * @param {Clock} lasted its median is a number: that the taste changed is likelier than not
 */
function changeInWords(lasted) {
  const newest = lasted.median === 0 ? "what comes next" : `your newest ${counted(lasted.median ?? 0, "event")}`;
  return `Your taste seems to have changed (${percent(lasted.probability)} likely): what came before ${newest} counts little.`;
}

/**
 * @param {Clock} clock
 * @param {boolean} uncertain
 */
function clockInWords(clock, uncertain) {
  if (clock.median === null) return "What you did long ago counts as much as what you did just now.";
  const median = bare(clock.median, clock.unit);
  const after = clock.unit === "days" ? median : `${median} more ${clock.median === 1 ? clock.unit.slice(0, -1) : clock.unit}`;
  const told = `After ${after}, what you did counts half as much`;
  if (!uncertain || clock.low === null || clock.low === clock.high) return `${told}.`;
  const range = clock.high === null ? `${bare(clock.low, clock.unit)} or more` : `${bare(clock.low, clock.unit)} to ${bare(clock.high, clock.unit)}`;
  return `${told}; with 80% probability it is ${range}.`;
}

/**
 * @param {number} value
 * @param {Clock["unit"]} unit
 */
function bare(value, unit) {
  if (unit !== "days") return count(tidy(value));
  if (value >= 730) return counted(tidy(value / 365.25), "year");
  if (value >= 90) return counted(Math.round(value / 30.44), "month");
  return counted(tidy(value), "day");
}

/** @param {number} value */
const tidy = (value) => (value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

/** @param {string} text */
const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);
