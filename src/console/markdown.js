/**
 * The markdown that the manual is written in, as elements: headings, paragraphs, tables, fenced code, lists, links,
 * emphasis. Nothing of the text is ever taken for markup of the page.
 */
import { h } from './dom.js';

const DEFINITION = /^\[([^\]]+)\]:\s*(\S+)\s*$/;
const HEADING = /^(#{1,4})\s+(.*)$/;
const FENCE = /^(`{3,})\s*(\S*)/;
const ITEM = /^(\s*)([-*]|\d+\.)\s+(.*)$/;
/** Code, strong, emphasis, a link with its target or the name of one, a bare address. */
const INLINE = new RegExp(
  [
    /(`+)(.+?)\1/,
    /\*\*(.+?)\*\*/,
    /\*([^*\s](?:[^*]*[^*\s])?)\*/,
    /\[((?:`[^`]*`|[^\][`])+)\](?:\(([^()\s]*(?:\([^()]*\)[^()\s]*)*)\)|\[([^\]]*)\])?/,
    /<(https?:[^>\s]+)>/,
  ]
    .map(({ source }) => source)
    .join('|'),
  's',
);

/** What a heading is called in addresses, as other readers of markdown call it. */
export function anchorOf(text) {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

/**
 * @param {string} text
 * @param {(target: string) => string | undefined} link where a link leads; `undefined` makes it plain text
 * @returns {HTMLElement[]}
 */
export function markdown(text, link) {
  return new Reader(text, link).blocks();
}

class Reader {
  constructor(text, link) {
    this.link = link;
    this.references = new Map();
    this.lines = text.split('\n').filter((line) => !this.#defines(line));
    this.at = 0;
  }

  #defines(line) {
    const found = DEFINITION.exec(line);
    if (found) this.references.set(found[1].toLowerCase(), found[2]);
    return found !== null;
  }

  blocks() {
    const blocks = [];
    while (this.at < this.lines.length) {
      if (this.lines[this.at].trim() === '') this.at += 1;
      else blocks.push(this.#block(this.lines[this.at]));
    }
    return blocks;
  }

  #block(line) {
    if (HEADING.test(line)) return this.#heading(line);
    if (FENCE.test(line)) return this.#code(line);
    if (ITEM.test(line)) return this.#list();
    if (line.startsWith('|')) return this.#table();
    if (line.startsWith('>')) return this.#quote();
    return this.#paragraph();
  }

  #take(accepts) {
    const taken = [];
    while (this.at < this.lines.length && accepts(this.lines[this.at])) taken.push(this.lines[this.at++]);
    return taken;
  }

  #heading(line) {
    this.at += 1;
    const [, signs, text] = HEADING.exec(line);
    return h(`h${signs.length}`, { id: anchorOf(text), tabindex: '-1' }, this.#inline(text));
  }

  #code(line) {
    const [, fence, language] = FENCE.exec(line);
    this.at += 1;
    const lines = this.#take((line) => !line.startsWith(fence));
    this.at += 1;
    // Lines of Rust examples that begin with `# ` are for the compiler alone.
    const shown = language.startsWith('rust') ? lines.filter((line) => !/^\s*#( |$)/.test(line)) : lines;
    return h('pre', { tabindex: '0', role: 'group', 'aria-label': 'Example' }, h('code', null, shown.join('\n')));
  }

  #quote() {
    const lines = this.#take((line) => line.startsWith('>')).map((line) => line.replace(/^>\s?/, ''));
    return h('blockquote', null, this.#inner(lines.join('\n')));
  }

  #inner(text) {
    const reader = new Reader(text, this.link);
    reader.references = this.references;
    return reader.blocks();
  }

  #table() {
    const rows = this.#take((line) => line.startsWith('|')).map(cells);
    const [head, , ...body] = rows;
    const named = head.some((cell) => cell !== '');
    const columns =
      named &&
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          head.map((cell) => (cell === '' ? h('td') : h('th', { scope: 'col' }, this.#inline(cell)))),
        ),
      );
    const lines = body.map((row) =>
      h(
        'tr',
        null,
        row.map((cell) => h('td', null, this.#inline(cell))),
      ),
    );
    return h(
      'div',
      {
        class: 'scroll-x',
        tabindex: '0',
        role: 'group',
        'aria-label': named ? head.filter(Boolean).join(', ') : 'Table',
      },
      h('table', null, columns, h('tbody', null, lines)),
    );
  }

  /** An item goes on over the lines that are further in than its mark. */
  #list() {
    const [, indent, sign] = ITEM.exec(this.lines[this.at]);
    const items = [];
    while (this.at < this.lines.length) {
      const found = ITEM.exec(this.lines[this.at]);
      if (!found || found[1].length !== indent.length) break;
      this.at += 1;
      const rest = this.#take((line) => line.trim() !== '' && line.startsWith(`${indent}  `));
      this.#take((line) => line.trim() === '' && ITEM.test(this.lines[this.at + 1] ?? ''));
      items.push(this.#item([found[3], ...rest.map((line) => line.slice(indent.length + 2))]));
    }
    return h(/\d/.test(sign) ? 'ol' : 'ul', null, items);
  }

  #item(lines) {
    const nested = lines.findIndex((line, index) => index > 0 && ITEM.test(line));
    const own = nested < 0 ? lines : lines.slice(0, nested);
    const inner = nested < 0 ? [] : this.#inner(lines.slice(nested).join('\n'));
    return h('li', null, this.#inline(own.map((line) => line.trim()).join(' ')), inner);
  }

  #paragraph() {
    const first = this.lines[this.at++];
    const rest = this.#take(
      (line) =>
        line.trim() !== '' && !HEADING.test(line) && !FENCE.test(line) && !ITEM.test(line) && !line.startsWith('|'),
    );
    return h('p', null, this.#inline([first, ...rest].join(' ')));
  }

  #inline(text) {
    const parts = [];
    let left = text;
    for (let found = INLINE.exec(left); found; found = INLINE.exec(left)) {
      parts.push(left.slice(0, found.index), this.#part(found));
      left = left.slice(found.index + found[0].length);
    }
    return [...parts, left];
  }

  #part([whole, ticks, code, strong, emphasis, label, target, reference, plain]) {
    if (ticks) return h('code', null, code.trim());
    if (strong) return h('strong', null, this.#inline(strong));
    if (emphasis) return h('em', null, this.#inline(emphasis));
    if (plain) return this.#anchor(plain, [plain]);
    const to = target ?? this.references.get((reference || label).toLowerCase());
    return to === undefined ? whole : this.#anchor(to, this.#inline(label));
  }

  #anchor(target, label) {
    const href = this.link(target);
    return href === undefined ? h('span', null, label) : h('a', { href, rel: 'noreferrer' }, label);
  }
}

/** The cells of a line; a bar within code, or after a backslash, divides nothing. */
function cells(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/\|$/, '');
  const parts = inner.match(/(?:`[^`]*`|\\.|[^|\\`]|`)+|(?<=^|\|)(?=\||$)/g) ?? [];
  return parts.map((cell) => cell.trim().replaceAll('\\|', '|'));
}
