/** What the token allows: controls that write are switched off, with a reason, where it may only read. */

import { access } from "./api.js";
import { announce, byId, h } from "./dom.js";

/** @typedef {import("./dom.js").Attributes} Attributes */
/** @typedef {import("./dom.js").Child} Child */

let readOnly = false;

/** Ask what the token allows, and show it. */
export async function learnAccess() {
  const { scopes } = await access();
  readOnly = !scopes.includes("write");
  byId("read-only").hidden = !readOnly;
  for (const one of document.querySelectorAll(".writes")) guard(one);
}

/**
 * Return a button that changes something. Without the right to write it stays in reach, for its reason to be heard.
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @param {() => void} action
 */
export function writeButton(attributes, children, action) {
  const made = h("button", { type: "button", ...attributes }, ...children);
  return onWrite(made, action);
}

/**
 * Let a click on an element change something, where the token allows it.
 * @template {Element} E
 * @param {E} element
 * @param {() => void} action
 */
export function onWrite(element, action) {
  element.classList.add("writes");
  guard(element);
  element.addEventListener("click", () => {
    if (readOnly) announce(byId("read-only").textContent?.replace(/\s+/g, " ") ?? "");
    else action();
  });
  return element;
}

/** @param {Element} element */
function guard(element) {
  if (readOnly) {
    element.setAttribute("aria-disabled", "true");
    element.setAttribute("aria-describedby", "read-only");
    element.setAttribute("title", "Switched off: this token may only read");
  } else if (element.getAttribute("aria-disabled")) {
    for (const name of ["aria-disabled", "aria-describedby", "title"]) element.removeAttribute(name);
  }
}
