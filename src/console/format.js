/** How times, numbers and values are written. */

const MOMENT = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const DAY = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const NUMBER = new Intl.NumberFormat('en');

const two = (number) => String(number).padStart(2, '0');

/** The time of day, here: `12:03:04.123`. */
export function clock(iso) {
  const at = new Date(iso);
  const milliseconds = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${milliseconds}`;
}

/** Day and time, to the second. */
export function moment(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? String(iso) : MOMENT.format(at);
}

/** The time of day if it is today's, else the day too: short, for a column. */
export function when(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return String(iso);
  return at.toDateString() === new Date().toDateString() ? clock(iso).slice(0, 8) : DAY.format(at);
}

export function count(number) {
  return NUMBER.format(number);
}

/** `1 event`, `2 events`. */
export function many(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`;
}

/** Three digits at most, for what changes all the time. */
export function rounded(number) {
  if (!Number.isFinite(number)) return '–';
  if (number >= 1e6) return `${(number / 1e6).toPrecision(3)} M`;
  if (number >= 100) return count(Math.round(number));
  return String(Number(number.toPrecision(number < 10 ? 2 : 3)));
}

export function bytes(number) {
  if (number < 1024) return `${number} B`;
  if (number < 1024 * 1024) return `${rounded(number / 1024)} KiB`;
  return `${rounded(number / 1024 / 1024)} MiB`;
}

/** A duration that is given in seconds. */
export function lasting(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 0.001) return `${rounded(seconds * 1e6)} µs`;
  if (seconds < 1) return `${rounded(seconds * 1e3)} ms`;
  if (seconds < 120) return `${rounded(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** A value in one line, cut to about `room` letters without walking the rest of it. */
export function brief(value, room = 120) {
  const line = new Line(room);
  line.value(value, false);
  return line.text;
}

/**
 * The user's own fields of a document as names and texts, cut to about `room` letters.
 *
 * @returns {[string, string][]}
 */
export function briefFields(document, room = 160) {
  const fields = [];
  let left = room;
  for (const name of Object.keys(document)) {
    if (left <= 0) break;
    if (name.startsWith('_')) continue;
    const text = brief(document[name], Math.min(60, left));
    fields.push([name, text]);
    left -= name.length + text.length;
  }
  return fields;
}

class Line {
  constructor(room) {
    this.room = room;
    this.text = '';
  }

  get full() {
    return this.text.length >= this.room;
  }

  add(text) {
    if (this.full) return;
    const left = this.room - this.text.length;
    this.text += text.length > left ? `${text.slice(0, left - 1)}…` : text;
  }

  value(value, quoted) {
    if (typeof value === 'string') this.string(value, quoted);
    else if (value === null || typeof value !== 'object') this.add(scalar(value));
    else if (Array.isArray(value)) this.list(value);
    else this.fields(value);
  }

  string(value, quoted) {
    const cut = value.slice(0, this.room);
    this.add(quoted ? JSON.stringify(cut) : cut.replace(/[^\S\ufeff\u2028\u2029]+/g, ' '));
  }

  list(values) {
    this.add('[');
    for (let i = 0; i < values.length && !this.full; i += 1) {
      if (i > 0) this.add(', ');
      this.value(values[i], true);
    }
    this.add(']');
  }

  fields(object) {
    this.add('{');
    let first = true;
    for (const name in object) {
      if (this.full) break;
      this.add(`${first ? '' : ', '}${name}: `);
      this.value(object[name], true);
      first = false;
    }
    this.add('}');
  }
}

/** A number, a boolean or null. Integers of 64 bits that this browser rounds say so. */
export function scalar(value) {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) return `≈${value}`;
  return String(value);
}
