/** A small curve over time, with its numbers beside it as a table for those who cannot see it or want to know. */
import { fill, h, say, svg } from './dom.js';

const WIDTH = 240;
const HEIGHT = 48;
const TABLE_ROWS = 10;

/**
 * @typedef {{
 *   label: string,
 *   read: (point: any) => number | undefined,
 *   write: (value: number) => string,
 *   faint?: boolean,
 * }} Curve
 */

export class Sparkline {
  #curves;
  #title;

  /** @param {{ title: string, help: string, curves: Curve[] }} options */
  constructor({ title, help, curves }) {
    this.#title = title;
    this.#curves = curves;
    this.values = curves.map(() => h('span', null, '–'));
    this.number = h(
      'p',
      { class: 'tile-number tabular' },
      curves.map(({ label }, index) =>
        h('span', null, curves.length > 1 && h('span', { class: 'tile-label' }, label), this.values[index]),
      ),
    );
    this.name = svg('title', null, title);
    this.area = svg('path', { class: 'spark-area' });
    this.lines = curves.map(({ faint }) => svg('path', { class: faint ? 'spark-line faint' : 'spark-line' }));
    this.picture = svg(
      'svg',
      { class: 'spark', role: 'img', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none' },
      this.name,
      this.area,
      this.lines,
    );
    this.most = h('span', { class: 'tile-most tabular' });
    this.body = h('tbody');
    this.details = h('details', { class: 'tile-values' }, h('summary', null, 'Values'), this.#table());
    this.element = h(
      'section',
      { class: 'tile' },
      h('h2', { class: 'tile-title' }, title),
      this.number,
      h('p', { class: 'tile-help' }, h('span', null, help), this.most),
      this.picture,
      this.details,
    );
  }

  /** @param {{ at: number, point: any }[]} points in order; `span` is how many the curve is wide */
  draw(points, span) {
    const newest = points.at(-1)?.point;
    this.#drawNumber(newest);
    const values = this.#curves.map(({ read }) => points.map(({ point }) => read(point)));
    const most = Math.max(...values.flat().filter((value) => value !== undefined), 0);
    const shift = span - points.length;
    this.lines.forEach((line, index) => line.setAttribute('d', path(values[index], most, shift, span)));
    this.area.setAttribute('d', area(values[0], most, shift, span));
    const first = this.#curves[0];
    say(this.most, most > 0 ? `up to ${first.write(most)}` : '');
    say(
      this.name,
      newest
        ? `${this.#title}: now ${this.#write(newest)}, at most ${first.write(most)} in the time shown`
        : this.#title,
    );
    if (this.details.open) this.#drawTable(points);
  }

  #drawNumber(point) {
    this.#curves.forEach(({ read, write }, index) => {
      const value = point && read(point);
      say(this.values[index], value === undefined ? '–' : write(value));
    });
  }

  #write(point) {
    return this.#curves
      .map(({ label, read, write }) => {
        const value = read(point);
        const text = value === undefined ? '–' : write(value);
        return this.#curves.length > 1 ? `${label} ${text}` : text;
      })
      .join(' · ');
  }

  #table() {
    const head = ['Time', ...this.#curves.map(({ label }) => label)].map((name) => h('th', { scope: 'col' }, name));
    return h('table', { class: 'plain-table tabular' }, h('thead', null, h('tr', null, head)), this.body);
  }

  #drawTable(points) {
    const rows = points
      .slice(-TABLE_ROWS)
      .reverse()
      .map(({ at, point }) =>
        h(
          'tr',
          null,
          h('td', null, new Date(at).toTimeString().slice(0, 8)),
          this.#curves.map(({ read, write }) => h('td', null, read(point) === undefined ? '–' : write(read(point)))),
        ),
      );
    fill(this.body, rows);
  }
}

function place(value, most, index, shift, span) {
  const x = ((index + shift) / Math.max(1, span - 1)) * WIDTH;
  const y = HEIGHT - 2 - (most > 0 ? value / most : 0) * (HEIGHT - 6);
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}

/** A line through the values, broken where there is none. */
function path(values, most, shift, span) {
  let text = '';
  let drawing = false;
  values.forEach((value, index) => {
    if (value !== undefined) text += `${drawing ? 'L' : 'M'}${place(value, most, index, shift, span)}`;
    drawing = value !== undefined;
  });
  return text;
}

/** The same, filled down to nothing; what is missing is nothing. */
function area(values, most, shift, span) {
  if (values.length < 2) return '';
  const top = values.map((value, index) => place(value ?? 0, most, index, shift, span)).join('L');
  const left = (shift / Math.max(1, span - 1)) * WIDTH;
  return `M${left.toFixed(1)} ${HEIGHT}L${top}L${WIDTH} ${HEIGHT}Z`;
}
