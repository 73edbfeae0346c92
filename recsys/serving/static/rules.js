/** The rules that bind the list: those above, the person's own, which can be changed, and what they did to it. */

import { onWrite, writeButton } from "./access.js";
import * as api from "./api.js";
import { act, currentGenres, currentList, currentUser } from "./desk.js";
import { byId, h, inputById, redraw } from "./dom.js";
import { tell } from "./problems.js";
import { capital, joined, spokenTitle } from "./words.js";

/** @typedef {import("./api.js").OwnRule} OwnRule */
/** @typedef {import("./api.js").OwnPolicy} OwnPolicy */

const FEW = 3;
const LIKING = 0.2;

/** @type {Record<string, {needs: "genre" | "year", says: (value: string) => string, rule: (value: string) => Record<string, unknown>}>} */
const KINDS = {
  none: { needs: "genre", says: (genre) => `No ${genre}`, rule: (genre) => ({ deny: { genre } }) },
  few: { needs: "genre", says: (genre) => `At most ${FEW} of ${genre}`, rule: (genre) => ({ at_most: FEW, of: { genre } }) },
  older: { needs: "year", says: (year) => `Rather from before ${year}`, rule: (year) => ({ prefer: { before: Number(year) }, weight: LIKING }) },
  newer: { needs: "year", says: (year) => `Rather from after ${year}`, rule: (year) => ({ prefer: { after: Number(year) }, weight: LIKING }) },
};

/** @type {OwnPolicy | null} */
let own = null;

/** Make the rules work; return what brings them up to date. */
export function connectRules() {
  /** @type {import("./api.js").PolicyFacts | null} */
  let policy = null;

  /** @param {() => Promise<unknown>} deed */
  const attempt = async (deed) => {
    byId("rules-error").replaceChildren();
    try {
      await deed();
    } catch (problem) {
      tell("rules-error", problem, () => attempt(deed));
    }
  };

  const form = /** @type {HTMLFormElement} */ (byId("rule-form"));
  const kind = selectById("rule-kind");
  kind.replaceChildren(
    h("option", { value: "none" }, "No titles of a genre"),
    h("option", { value: "few" }, `At most ${FEW} titles of a genre`),
    h("option", { value: "older" }, "Rather older titles"),
    h("option", { value: "newer" }, "Rather newer titles"),
  );
  const offerValue = () => {
    const year = KINDS[kind.value]?.needs === "year";
    byId("rule-genre-field").hidden = year;
    byId("rule-year-field").hidden = !year;
  };
  kind.addEventListener("change", offerValue);
  form.addEventListener("submit", (event) => event.preventDefault());
  onWrite(byId("rule-add"), () => {
    const chosen = KINDS[kind.value];
    const value = chosen?.needs === "year" ? inputById("rule-year").value : selectById("rule-genre").value;
    if (!chosen || !value) return byId(chosen?.needs === "year" ? "rule-year" : "rule-genre").focus();
    const rule = { id: `own-${kind.value}-${value}`.toLowerCase(), ...chosen.rule(value), why: chosen.says(value) };
    const others = (own?.rules ?? []).filter(({ id }) => id !== rule.id);
    void attempt(() => change(`Rule added: ${chosen.says(value)}`, [...others, rule]));
  });

  byId("why-not").addEventListener("toggle", () => void attempt(tellRemoved));

  return () =>
    attempt(async () => {
      const user = currentUser();
      policy ??= await api.policy();
      byId("rules").hidden = policy.name === null;
      if (policy.name === null) return;
      const stored = await api.ownPolicy(user);
      if (user !== currentUser()) return;
      own = stored;
      offerValue();
      refillGenres();
      drawAbove(policy);
      drawOwn((rest, done) => void attempt(() => change(done, rest)));
      await tellRemoved();
    });
}

/**
 * Set the person's own rules, bring the list up to date, and show what that changed.
 * @param {string} done
 * @param {OwnRule[]} rules
 */
function change(done, rules) {
  const user = currentUser();
  const before = own?.rules ?? null;
  const consents = own?.consents ?? [];
  /** @param {OwnRule[] | null} wanted */
  const set = (wanted) => (wanted?.length || consents.length ? api.setOwnPolicy(user, wanted ?? [], consents) : api.dropOwnPolicy(user));
  return act({ key: "own rules", done, deed: () => set(rules), undo: () => set(before), back: "own rules" });
}

/** @param {import("./api.js").PolicyFacts} policy */
function drawAbove(policy) {
  const layers = policy.layers.filter(({ layer, rules }) => layer !== "individual" && rules.length > 0);
  redraw(
    byId("rules-above"),
    layers.map(({ layer, rules }) => h("li", {}, h("b", {}, capital(layer)), ": ", rules.map((rule) => said(rule)).join("; "))),
  );
}

/** @param {(rest: OwnRule[], done: string) => void} remove */
function drawOwn(remove) {
  const stored = own?.rules ?? [];
  const rows = (own?.layer ?? []).map((rule) =>
    h(
      "li",
      {},
      h("span", {}, said(rule)),
      own?.rules &&
        writeButton({ class: "link", "aria-label": `Remove the rule: ${said(rule)}` }, ["Remove"], () =>
          remove(stored.filter(({ id }) => id !== rule.id), `Rule removed: ${said(rule)}`),
        ),
    ),
  );
  redraw(byId("rules-own"), rows.length ? rows : [h("li", { class: "hint" }, "None yet.")], () => byId("rules-title").focus({ preventScroll: true }));
}

/** Tell what the rules removed, and who decided it: exactly where it is looked at, which takes the service a while. */
async function tellRemoved() {
  const opened = /** @type {HTMLDetailsElement} */ (byId("why-not"));
  const list = currentList();
  const acted = list?.policy?.acted ?? [];
  const removed = acted.flatMap(({ removed }) => removed);
  opened.hidden = removed.length === 0 && acted.every(({ lifted }) => lifted.length === 0);
  if (opened.hidden || !opened.open || !list) return;
  const user = currentUser();
  const told = await api.decisions(user, list.items.length);
  if (user !== currentUser()) return;
  redraw(
    byId("removed"),
    told.map(({ title, change, rules }) =>
      h(
        "li",
        {},
        h("b", {}, spokenTitle(title)),
        change === "removed" ? " is not listed: " : " is listed: ",
        joined(rules.map((rule) => `${said(rule)} (${decider(rule.layer)})`)),
      ),
    ),
  );
}

/** @param {{rule: string, why: string}} rule */
const said = (rule) => capital((rule.why || rule.rule).replace(/\.$/, ""));

/** @param {string} layer */
const decider = (layer) => ({ law: "the law", organisation: "the organisation", role: "the role of this service", individual: "you" })[layer] ?? layer;

function refillGenres() {
  const select = selectById("rule-genre");
  const before = select.value;
  select.replaceChildren(...currentGenres().map((genre) => h("option", { value: genre }, genre)));
  if (before) select.value = before;
}

/** @param {string} id */
function selectById(id) {
  return /** @type {HTMLSelectElement} */ (byId(id));
}
