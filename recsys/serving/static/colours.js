/** A colour for each persona of the current user: no two share one, and none changes while the page is open. */

const COLOURS = 6; // as many personas as a user has at most

/** @type {Map<number, number>} */
let given = new Map();

/** Forget the personas of a user, for another. */
export function forgetColours() {
  given = new Map();
}

/**
 * Give each persona a colour, the largest first.
 * @param {number[]} personas
 */
export function giveColours(personas) {
  const absent = [...given.keys()].filter((persona) => !personas.includes(persona));
  for (const persona of personas) {
    if (given.has(persona)) continue;
    const gone = given.size >= COLOURS ? absent.shift() : undefined;
    if (gone !== undefined) given.delete(gone);
    const taken = new Set(given.values());
    let place = 0;
    while (taken.has(place) && place < COLOURS - 1) place += 1;
    given.set(persona, place);
  }
}

/**
 * Return the class of a persona's colour.
 * @param {number | null} persona null: nobody's
 */
export function colour(persona) {
  const place = persona === null ? undefined : given.get(persona);
  return place === undefined ? "nobody" : `p${place}`;
}
