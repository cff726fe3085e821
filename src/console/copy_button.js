/** A button that copies a text. */
import { h } from './dom.js';
import { icon } from './icons.js';

const COPIED_MS = 1500;

/**
 * Where the page may not write to the clipboard (plain HTTP from elsewhere), it selects the text instead.
 *
 * @param {string} title what is copied
 * @param {() => string} text
 * @param {HTMLElement} shown what holds the text
 */
export function copyButton(title, text, shown) {
  const word = h('span', null, 'Copy');
  const button = h('button', { type: 'button', class: 'quiet', 'aria-label': `Copy: ${title}` }, icon('copy'), word);
  const say = (said) => {
    word.textContent = said;
    setTimeout(() => (word.textContent = 'Copy'), COPIED_MS);
  };
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      say('Copied');
    } catch {
      if (shown.select) shown.select();
      else getSelection()?.selectAllChildren(shown);
      say('Selected');
    }
  });
  return button;
}
