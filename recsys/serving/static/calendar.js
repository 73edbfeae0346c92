/** A calendar as an axis: moments at their distance in time, long pauses cut short, and dates to read it by. */

const DAY = 86400;
const LONG = 0.3; // a pause of this part of the rest is cut
const CUTS = 4;
const PAUSE = 0.05; // width of a pause that is cut
const LETTER = 0.021; // width of a letter of a date
const APART = 0.04; // between dates
const DATE = 0.2; // width of a date, about
const LANGUAGE = document.documentElement.lang || "en";

/** @typedef {{at: number, text: string, side: "start" | "middle" | "end", from: number, to: number}} Tick its text reaches from .. to .. */
/** @typedef {{places: number[], cuts: number[], ticks: Tick[]}} Axis places of the moments, of cut pauses, and of dates; each in [0, 1] */

/**
 * @typedef {{seconds: number, format: Intl.DateTimeFormatOptions, floor: (time: number) => number, next: (time: number) => number}} Unit
 * A unit of the calendar, in UTC: its length, how it is written, its beginning, and the next one.
 */

/** @param {number} months @param {Intl.DateTimeFormatOptions} format @returns {Unit} */
function months(months, format) {
  /** @param {number} time @param {number} later */
  const begin = (time, later) => {
    const date = new Date(time * 1000);
    const since = date.getUTCFullYear() * 12 + date.getUTCMonth();
    return Date.UTC(1970, (Math.floor(since / months) + later) * months - 1970 * 12) / 1000;
  };
  return { seconds: months * 30.44 * DAY, format, floor: (time) => begin(time, 0), next: (time) => begin(time, 1) };
}

/** @param {number} seconds @param {Intl.DateTimeFormatOptions} format @returns {Unit} */
function spans(seconds, format) {
  const floor = (/** @type {number} */ time) => Math.floor(time / seconds) * seconds;
  return { seconds, format, floor, next: (time) => floor(time) + seconds };
}

/** @type {Unit[]} */
const UNITS = [
  spans(3600, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  spans(DAY, { day: "numeric", month: "short", year: "numeric" }),
  months(1, { month: "short", year: "numeric" }),
  months(3, { month: "short", year: "numeric" }),
  months(12, { year: "numeric" }),
  months(24, { year: "numeric" }),
  months(60, { year: "numeric" }),
  months(120, { year: "numeric" }),
];

/**
 * Return the axis of some moments.
 * @param {number[]} times Unix seconds, ascending
 * @returns {Axis}
 */
export function axisOf(times) {
  const gaps = times.slice(1).map((time, place) => time - (times[place] ?? 0));
  const cut = longPauses(gaps);
  const rest = gaps.reduce((sum, gap, place) => sum + (cut.has(place) ? 0 : gap), 0);
  const wide = rest > 0 ? 1 - cut.size * PAUSE : 0;
  const pause = rest > 0 ? PAUSE : 1 / Math.max(cut.size, 1);
  const places = [0];
  gaps.forEach((gap, place) => places.push((places[place] ?? 0) + (cut.has(place) ? pause : (gap / rest) * wide)));
  const cuts = [...cut].sort((one, other) => one - other);
  return { places, cuts: cuts.map((place) => ((places[place] ?? 0) + (places[place + 1] ?? 0)) / 2), ticks: ticksOf(times, places, cuts) };
}

/**
 * Return the pauses that leave the least room to everything else.
 * @param {number[]} gaps
 */
function longPauses(gaps) {
  let rest = gaps.reduce((sum, gap) => sum + gap, 0);
  const longest = gaps.map((gap, place) => ({ gap, place })).sort((one, other) => other.gap - one.gap);
  /** @type {Set<number>} */
  const cut = new Set();
  for (const { gap, place } of longest) {
    if (cut.size === CUTS || gaps.length - cut.size < 2 || gap <= rest * LONG) break;
    cut.add(place);
    rest -= gap;
  }
  return cut;
}

/**
 * Return dates: the beginning of each stretch, and of years, months or days within it.
 * @param {number[]} times
 * @param {number[]} places
 * @param {number[]} cuts the gaps that are cut
 */
function ticksOf(times, places, cuts) {
  /** @type {Tick[]} */
  const ticks = [];
  const put = (/** @type {number} */ at, /** @type {string} */ text) => {
    const tick = tickAt(at, text);
    if (ticks.every((other) => tick.from >= other.to + APART || tick.to <= other.from - APART)) ticks.push(tick);
  };
  const starts = [0, ...cuts.map((place) => place + 1)];
  const stretches = starts.map((start, k) => [start, (starts[k + 1] ?? times.length) - 1]);
  for (const [start = 0, end = 0] of [...stretches].sort(([a = 0, b = 0], [c = 0, d = 0]) => width(places, c, d) - width(places, a, b))) {
    const [first = 0, last = 0] = [times[start], times[end]];
    const [from = 0, to = 0] = [places[start], places[end]];
    const most = Math.max(1, Math.floor((to - from) / DATE));
    const unit = UNITS.find((one) => (last - first) / one.seconds <= most) ?? UNITS[UNITS.length - 1];
    if (!unit) continue;
    const format = new Intl.DateTimeFormat(LANGUAGE, { ...unit.format, timeZone: "UTC" });
    const days = new Intl.DateTimeFormat(LANGUAGE, { ...(unit.seconds <= DAY ? UNITS[1]?.format : unit.format), timeZone: "UTC" });
    const begin = () => put(from, days.format(new Date(first * 1000)));
    if (unit.seconds < DAY) begin(); // hours alone do not say of which year
    for (let time = unit.next(first); time <= last; time = unit.next(time)) {
      const at = from + ((time - first) / (last - first)) * (to - from);
      put(at, format.format(new Date(time * 1000)));
    }
    begin();
  }
  return ticks.sort((one, other) => one.at - other.at);
}

/**
 * Return a date at a place, beside it where it would reach beyond an end.
 * @param {number} at
 * @param {string} text
 * @returns {Tick}
 */
function tickAt(at, text) {
  const wide = text.length * LETTER;
  if (at < wide / 2) return { at, text, side: "start", from: at, to: at + wide };
  if (at > 1 - wide / 2) return { at, text, side: "end", from: at - wide, to: at };
  return { at, text, side: "middle", from: at - wide / 2, to: at + wide / 2 };
}

/** @param {number[]} places @param {number} start @param {number} end */
const width = (places, start, end) => (places[end] ?? 0) - (places[start] ?? 0);
