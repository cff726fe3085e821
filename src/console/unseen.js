/**
 * Characters that nobody sees, but that change what people read: some turn the order of those that follow, others hide
 * in a name that then looks like another. They are shown by their numbers. This knows nothing of the page.
 */

/** What makes one picture of two; between letters it would hide. */
const JOINED = String.raw`(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Extended_Pictographic})`;
/** Controls, marks of direction, joiners and the like, but no tab, no newline, and no sign that has a shape. */
const UNSEEN = new RegExp(
  String.raw`(?![\t\n\u0600-\u0605\u06dd\u08e2])(?!${JOINED})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]`,
  'gu',
);
/** What most texts are: they need no closer look. */
const PLAIN = /^[\t\n\x20-\x7e]*$/;
/** So many of one text are marks of their own; the rest are written into it, for a text may be nothing but such. */
const MARKS_MAX = 12;

/** Whether a text has such characters. */
export function hasUnseen(text) {
  return !PLAIN.test(text) && text.search(UNSEEN) >= 0;
}

/**
 * A text as parts, those in `{ name }` for the characters that are not seen.
 *
 * @param {string} text
 * @returns {(string | { name: string })[]}
 */
export function partsOf(text) {
  const parts = [];
  let from = 0;
  for (const { 0: character, index } of text.matchAll(UNSEEN)) {
    if (parts.length >= 2 * MARKS_MAX) break;
    parts.push(text.slice(from, index), { name: nameOf(character) });
    from = index + character.length;
  }
  parts.push(spelled(text.slice(from)));
  return parts.filter((part) => part !== '');
}

/** The same as one text, where there can be no marks: `a[U+202E]b`. */
export function spelled(text) {
  return PLAIN.test(text) ? text : text.replace(UNSEEN, (character) => `[${nameOf(character)}]`);
}

/** JSON in which they are escapes: it means the same. */
export function escaped(json) {
  const unit = (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replace(UNSEEN, (character) => character.split('').map(unit).join(''));
}

function nameOf(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}
