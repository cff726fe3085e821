/** Buttons, which are the same everywhere. */
import { h } from './dom.js';
import { icon } from './icons.js';

/** `look`: `plain`, `primary`, `quiet`, `danger`. */
export function button(label, onclick, look = 'plain') {
  return h('button', { type: 'button', class: look, onclick }, label);
}

/** A picture that is pressed; screen readers and those who wait with the pointer hear its name. */
export function iconButton(picture, label, onclick) {
  const named = { 'aria-label': label, title: label };
  return h('button', { type: 'button', class: 'quiet icon-button', ...named, onclick }, icon(picture));
}
