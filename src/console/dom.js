/**
 * Elements. Text only ever becomes text: nothing here, and nothing in the console, turns a string into markup, so what
 * documents hold cannot act. The server's policy (trusted types, no inline styles) would refuse it too. And it becomes
 * text that can be read: characters that are not seen are marked here, wherever the text is from.
 */
import { hasUnseen, partsOf, spelled } from './unseen.js';

const SVG = 'http://www.w3.org/2000/svg';
/** Attributes that people read or hear. */
const READ = new Set(['aria-label', 'title', 'aria-valuetext', 'data-brief']);
const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'open', 'indeterminate']);

/**
 * An element: `h('a', { href, onclick }, 'text')`. What is `undefined`, `null` or `false` is left out.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, properties, ...children) {
  return build(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties, ...children) {
  return build(document.createElementNS(SVG, tag), properties, children);
}

function build(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) put(element, name, value);
  element.append(...present(children));
  return element;
}

function put(element, name, value) {
  if (name.startsWith('on')) return element.addEventListener(name.slice(2), value);
  if (PROPERTIES.has(name)) return void (element[name] = value);
  if (value === undefined || value === null || value === false) return;
  element.setAttribute(name, attribute(name, value));
}

function attribute(name, value) {
  if (value === true) return '';
  return READ.has(name) ? spelled(String(value)) : String(value);
}

function present(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== undefined && child !== null && child !== false)
    .flatMap((child) => (typeof child === 'string' && hasUnseen(child) ? partsOf(child).map(part) : child));
}

function part(text) {
  if (typeof text === 'string') return text;
  return h('span', { class: 'unseen', title: `${text.name}, a character that is not seen` }, text.name);
}

/** Puts these in the place of all that was in it. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/** Writes a text only where it differs, so that a frame in which nothing changed costs no layout. */
export function say(element, text) {
  if (typeof text === 'string' && hasUnseen(text)) return void fill(element, text);
  if (element.textContent !== text) element.textContent = text;
}

/** Puts an attribute, or takes it away for `undefined`. */
export function mark(element, name, value) {
  if (value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== attribute(name, value)) element.setAttribute(name, attribute(name, value));
}

let names = 0;

/** An id that no other element of the page has. */
export function unique(word) {
  names += 1;
  return `${word}-${names}`;
}
