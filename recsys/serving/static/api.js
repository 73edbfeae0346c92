/** The service's API, as the page uses it. Everybody else can use the same: see openapi.json. */

import { asSentence } from "./words.js";

/**
 * @typedef {{item_id: string, title: string, preferred: number, raters: number, sentence: string}} Split
 * @typedef {{item_id: string, title: string, contribution: number, share: number, rating: number | null,
 *   age: number | null, recent: boolean | null}} Reason
 * @typedef {"because" | "taste" | "popular" | "cold" | "muted" | "similar" | "rule" | "text"} ReasonKind
 * @typedef {{item_id: string, title: string, year: number | null, genres: string[], owner: number | null, owner_name: string | null, owner_share: number | null,
 *   reason: string, reason_kind: ReasonKind | null, without: string[], evidence: Reason[],
 *   evidence_kind: "contribution" | "similarity" | "none", certainty: number | null, recent: number | null,
 *   seat: string | null, split: Split | null}} Recommended
 * @typedef {{persona: number | null, name: string | null, share: number, seats: number, weight: number, muted: boolean, often: string[]}} Shelf
 * @typedef {{learned: number, pending: number}} Learning
 * @typedef {{model: string, now: number, known_events: number, items: Recommended[], shelves: Shelf[],
 *   learning: Learning | null, reasons: "searched" | "pending" | "unsearched", policy: AppliedPolicy | null,
 *   source: "history" | "text", stale: boolean, stale_seconds: number | null}} RecommendationList
 * @typedef {"law" | "organisation" | "role" | "individual"} Layer
 * @typedef {{id: string, layer: Layer, rule: string, why: string}} RuleFacts
 * @typedef {{item_id: string, title: string}} NamedItem
 * @typedef {{item_id: string, title: string, change: "removed" | "lifted", rules: RuleFacts[], price: number}} Decision
 * @typedef {{name: string, acted: {rule: RuleFacts, removed: NamedItem[], lifted: NamedItem[]}[], relaxed: string[], decisions: Decision[] | null}} AppliedPolicy
 * @typedef {{id: string, rule: string, why: string, when: string, unless: string}} RuleInWords
 * @typedef {{name: string | null, layers: {layer: Layer, rules: RuleInWords[]}[]}} PolicyFacts
 * @typedef {{id: string, [key: string]: unknown}} OwnRule
 * @typedef {{layer: RuleInWords[], rules: OwnRule[] | null, consents: string[]}} OwnPolicy
 * @typedef {{genre?: string, from_year?: number, to_year?: number, persona?: number}} Filters
 * @typedef {{persona: number, name: string, renamed: boolean, weight: number, muted: boolean, share_now: number,
 *   share_long_term: number, items: {item_id: string, title: string, weight: number}[],
 *   genres: {genre: string, share: number, lift: number}[], activity: number[], often: string[]}} Persona
 * @typedef {{unit: "events" | "days" | "periods" | "positions", median: number | null, low: number | null,
 *   high: number | null, probability: number}} Clock
 * @typedef {{kind: "own" | "shared" | "window" | "measured", clocks: Clock[], never: number, learned_from: number | null,
 *   lasted: Clock | null}} HalfLife
 * @typedef {{model: string, now: number, times: number[], half_life: HalfLife | null, personas: Persona[]}} Personas
 * @typedef {{weight: number, name: string | null}} Correction
 * @typedef {{text: string, written: "person" | "history", time: number | null, events_since: number}} Summary
 * @typedef {{item_id: string, title: string, value: number | null, time: number, weight: number, meant: boolean, why: string}} WeighedEvent
 * @typedef {{answers: number, genuine: {share: number, low: number, high: number} | null, identified: boolean, reason: string,
 *   events: WeighedEvent[]}} Reliability
 * @typedef {{item_id: string, title: string, value: number}} QuestionAgain
 * @typedef {{item_id: string, title: string, year: number | null, genres: string[]}} FoundItem
 * @typedef {"like" | "dislike" | "dont_know"} Said
 * @typedef {{questions: FoundItem[], items: FoundItem[], known: number, leanings: {genre: string, lift: number}[], notes: string[]}} InterviewScreen
 * @typedef {{user_id: string, events: number}} KnownUser
 * @typedef {"view" | "like" | "dislike"} Kind
 * @typedef {{event_id: string, user_id: string, item_id: string, time: number, kind: Kind | "rating", value?: number}} Event
 * @typedef {{event_id: string, item_id: string, title: string | null, value: number | null, time: number, kind: string}} StoredEvent
 */

const TOKEN = "recsys.token";

/** What the service, or the way to it, says no with: a stable code, and a sentence for people. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: the service was not reached
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the same may be taken later. */
  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The token, kept for as long as the tab is open. */
export const token = {
  /** @returns {string} */
  get() {
    try {
      return sessionStorage.getItem(TOKEN) ?? held;
    } catch {
      return held;
    }
  },
  /** @param {string} secret */
  set(secret) {
    held = secret;
    try {
      sessionStorage.setItem(TOKEN, secret);
    } catch {
      // Storage is switched off: the token lasts until the page is loaded again.
    }
  },
};
let held = "";

/**
 * Return what the token allows.
 * @returns {Promise<{user_id: string | null, scopes: string[]}>}
 */
export const access = () => ask("GET", "v1/token");

/**
 * Return a few users that can be looked at.
 * @returns {Promise<KnownUser[]>}
 */
export const knownUsers = async () => (await ask("GET", "v1/users?n=6")).users;

/**
 * @param {string} user
 * @param {number} n length of the list
 * @param {Filters} filters
 * @param {boolean} searched false: reasons as far as they are known, at once
 * @returns {Promise<RecommendationList>}
 */
export function recommendations(user, n, filters, searched) {
  const given = Object.entries({ n, ...(searched ? {} : { details: "ready" }), ...filters });
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return ask("GET", `${pathOf(user)}/recommendations?${query}`);
}

/**
 * Return more like what the user just did, nothing of the list of n, and nothing when the visit is over.
 * @param {string} user
 * @param {number} n length of the list
 * @returns {Promise<RecommendationList>}
 */
export const visit = (user, n) => ask("GET", `${pathOf(user)}/recommendations?n=${n}&shelf=now`);

/**
 * Return the genres of the catalogue.
 * @returns {Promise<string[]>}
 */
export const genres = async () => (await ask("GET", "v1/genres")).genres;

/**
 * Return of each title that rules removed from a list, or lifted into it, which ones.
 * @param {string} user
 * @param {number} n length of the list
 * @returns {Promise<Decision[]>}
 */
export async function decisions(user, n) {
  const query = new URLSearchParams({ n: String(n), details: "false", decisions: "true" });
  return (await ask("GET", `${pathOf(user)}/recommendations?${query}`)).policy?.decisions ?? [];
}

/**
 * Return the rules that bind everybody's lists.
 * @returns {Promise<PolicyFacts>}
 */
export const policy = () => ask("GET", "v1/policy");

/**
 * @param {string} user
 * @returns {Promise<OwnPolicy>}
 */
export const ownPolicy = (user) => ask("GET", `${pathOf(user)}/policy`);

/**
 * @param {string} user
 * @param {OwnRule[]} rules
 * @param {string[]} consents
 * @returns {Promise<unknown>}
 */
export const setOwnPolicy = (user, rules, consents) => ask("PUT", `${pathOf(user)}/policy`, { rules, consents });

/**
 * @param {string} user
 * @returns {Promise<unknown>}
 */
export const dropOwnPolicy = (user) => ask("DELETE", `${pathOf(user)}/policy`);

/**
 * @param {string} user
 * @returns {Promise<Personas>}
 */
export const personas = (user) => ask("GET", `${pathOf(user)}/personas`);

/**
 * @param {string} user
 * @param {number} persona
 * @param {Correction} correction
 * @returns {Promise<unknown>}
 */
export const correct = (user, persona, correction) => ask("PUT", `${pathOf(user)}/personas/${persona}`, correction);

/**
 * Return the text about a user: the user's own, else what the history says.
 * @param {string} user
 * @returns {Promise<Summary>}
 */
export const summary = (user) => ask("GET", `${pathOf(user)}/summary`);

/**
 * @param {string} user
 * @param {string} text
 * @param {number | null} [time] when it was written; null: now
 * @returns {Promise<Summary>}
 */
export const setSummary = (user, text, time = null) => ask("PUT", `${pathOf(user)}/summary`, { text, time });

/**
 * @param {string} user
 * @returns {Promise<unknown>}
 */
export const dropSummary = (user) => ask("DELETE", `${pathOf(user)}/summary`);

/**
 * Return how far each of the newest events of a user counts, and why.
 * @param {string} user
 * @returns {Promise<Reliability>}
 */
export const reliability = (user) => ask("GET", `${pathOf(user)}/reliability`);

/**
 * Say "I meant that" of an answer, or take it back.
 * @param {string} user
 * @param {string} item
 * @param {boolean} meant
 * @returns {Promise<unknown>}
 */
export const setMeant = (user, item, meant) => ask("PUT", `${pathOf(user)}/reliability`, { item_id: item, meant });

/**
 * Return the ratings worth asking about again, and those that can be given.
 * @param {string} user
 * @returns {Promise<{scale: number[], questions: QuestionAgain[]}>}
 */
export const askAgain = (user) => ask("GET", `${pathOf(user)}/ask-again?n=2`);

/**
 * @param {string} query
 * @param {AbortSignal} signal
 * @returns {Promise<FoundItem[]>}
 */
export async function findItems(query, signal) {
  return (await ask("GET", `v1/items?${new URLSearchParams({ query, n: "8" })}`, undefined, { signal })).items;
}

/**
 * Return an event that happens now. Sent again, it counts once.
 * @param {string} user
 * @param {string} item
 * @param {Kind} kind
 * @returns {Event}
 */
export function eventOf(user, item, kind) {
  return { event_id: newId(), user_id: user, item_id: item, time: Math.floor(Date.now() / 1000), kind };
}

/**
 * Return a rating that is given now.
 * @param {string} user
 * @param {string} item
 * @param {number} value
 * @returns {Event}
 */
export const ratingOf = (user, item, value) => ({ event_id: newId(), user_id: user, item_id: item, time: Math.floor(Date.now() / 1000), kind: "rating", value });

/**
 * @param {Event} event
 * @returns {Promise<unknown>}
 */
export const send = (event) => ask("POST", "v1/events", { events: [event] });

/**
 * Send several events at once.
 * @param {Event[]} events
 * @returns {Promise<unknown>}
 */
export const sendAll = (events) => ask("POST", "v1/events", { events });

/**
 * Return the next questions to somebody new, and the list that the answers so far make.
 * @param {{item_id: string, answer: Said}[]} answers
 * @param {string[]} skipped
 * @returns {Promise<InterviewScreen>}
 */
export const interview = (answers, skipped) => ask("POST", "v1/interview", { answers, skipped });

/**
 * Take an event back. Where there is none any more, it is done.
 * @param {string} user
 * @param {string} event its id
 * @returns {Promise<void>}
 */
export async function undo(user, event) {
  try {
    await ask("DELETE", `${pathOf(user)}/events/${encodeURIComponent(event)}`);
  } catch (problem) {
    if (!(problem instanceof ApiError) || problem.code !== "not_found") throw problem;
  }
}

/**
 * @param {string} user
 * @returns {Promise<{events: StoredEvent[]}>}
 */
export const exportData = (user) => ask("GET", `${pathOf(user)}/data`);

/**
 * @param {string} user
 * @returns {Promise<unknown>}
 */
export const eraseData = (user) => ask("DELETE", `${pathOf(user)}/data`);

/** Return an id that nobody else has made. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing without TLS
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} user */
function pathOf(user) {
  // A browser takes such a step out of every path, however it is written.
  if (user === "." || user === "..") throw new ApiError(0, "dots", "A browser cannot ask for an id of dots alone.");
  return `v1/users/${encodeURIComponent(user)}`;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
async function ask(method, path, body, options = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  const secret = token.get();
  if (secret) headers.Authorization = `Bearer ${secret}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  /** @type {Response} */
  let response;
  try {
    const sent = body === undefined ? null : JSON.stringify(body);
    response = await fetch(new URL(path, document.baseURI), { method, headers, body: sent, ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The service does not answer. See that it is running, then try again.");
  }
  if (response.status === 204) return null;
  const content = await response.json().catch(() => null);
  if (response.ok && content !== null) return content;
  const told = content?.error ?? {};
  throw new ApiError(
    response.status,
    told.code ?? "unreadable",
    told.message ? asSentence(told.message) : `The answer cannot be read (status ${response.status}). Try again.`,
  );
}
