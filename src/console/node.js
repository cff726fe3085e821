/** How the node is: what it does each second, how long that takes, and whether it and its store are well. */
import { BUDGET_BYTES, LIVE_WINDOW_BYTES_DEFAULT } from './bounds.js';
import { fill, h, say } from './dom.js';
import { bytes, count, lasting, rounded } from './format.js';
import { pointOf, readMetrics, total } from './metrics.js';
import { headers } from './session.js';
import { Sparkline } from './sparkline.js';

const POLL_MS = 2000;
/** Points of a curve: five minutes; one minute until there are more. */
const POINTS = 150;
const POINTS_LEAST = 30;

const perSecond = (label, read, write = rounded) => ({ label, read, write });
const latency = (half, most) => [
  { label: 'p50', read: (point) => point[half], write: lasting, faint: true },
  { label: 'p99', read: (point) => point[most], write: lasting },
];

const CURVES = [
  {
    title: 'Commands/s',
    help: 'writes that were carried out',
    curves: [perSecond('a second', ({ commands }) => commands)],
  },
  {
    title: 'Deliveries/s',
    help: 'frames that sockets have taken',
    curves: [perSecond('a second', ({ deliveries }) => deliveries)],
  },
  {
    title: 'Sessions',
    help: 'open sockets and streams',
    curves: [perSecond('open', ({ sessions }) => sessions, count)],
  },
  { title: 'Commit latency', help: 'until a batch is durable', curves: latency('commitHalf', 'commitMost') },
  { title: 'Delivery latency', help: 'until a socket has a change', curves: latency('deliveryHalf', 'deliveryMost') },
  {
    title: 'Lag',
    help: 'changes that sessions have not heard',
    curves: [perSecond('changes', ({ lag }) => lag, count)],
  },
];

/** Readings outlive the view, so that coming back to it shows the last minutes. */
const points = [];
let last;

export class NodeView {
  title = 'Node';
  #db;
  /** Whom the server has told that its figures are not for them, and how. */
  #denied;

  constructor({ db, scope }) {
    this.#db = db;
    this.tiles = CURVES.map((curve) => new Sparkline(curve));
    this.health = h('ul', { class: 'health' });
    this.levels = h('dl', { class: 'levels' });
    this.requests = h('tbody');
    this.note = h('p', { class: 'view-note', 'aria-live': 'polite' });
    this.denial = h('p', { class: 'card faint', role: 'status', hidden: true });
    this.figures = this.#figures();
    this.element = h(
      'div',
      { class: 'view scrolls' },
      h('header', { class: 'view-head' }, h('h1', { tabindex: '-1' }, 'Node'), this.note),
      this.health,
      this.denial,
      this.figures,
    );
    scope.every(POLL_MS, () => this.#poll());
    scope.listen(document, 'visibilitychange', () => this.#poll());
    // Rates need two readings: the second comes early.
    scope.calm(POLL_MS / 2, () => this.#poll())();
    this.#draw();
    this.#poll();
  }

  show() {}

  #figures() {
    return h(
      'div',
      { class: 'figures' },
      h(
        'div',
        { class: 'tiles' },
        this.tiles.map(({ element }) => element),
      ),
      h(
        'div',
        { class: 'two' },
        h('section', { class: 'card' }, h('h2', null, 'Held and counted'), this.levels),
        h('section', { class: 'card' }, h('h2', null, 'Requests answered'), this.#table()),
      ),
    );
  }

  #table() {
    const head = ['Request', 'Outcome', 'Count'].map((name) => h('th', { scope: 'col' }, name));
    return h('table', { class: 'plain-table' }, h('thead', null, h('tr', null, head)), this.requests);
  }

  /** A page that nobody sees asks nothing. */
  async #poll() {
    if (document.visibilityState !== 'visible' || this.busy) return;
    this.busy = true;
    try {
      const [, ...states] = await Promise.all([this.#readMetrics(), state('/healthz'), state('/readyz')]);
      this.#drawHealth(states);
      say(this.note, '');
    } catch {
      say(this.note, 'the node does not answer');
    }
    this.busy = false;
    this.#draw();
  }

  /** Who was denied them is not let in by asking again: every denial is counted and logged. */
  async #readMetrics() {
    const { identity } = this.#db;
    if (this.#denied && this.#denied.identity === identity) return;
    const response = await fetch('/metrics', { headers: headers() });
    const isDenied = response.status === 401 || response.status === 403;
    if (!response.ok && !isDenied) throw new Error(`/metrics answered ${response.status}`);
    this.#denied = isDenied ? { identity } : undefined;
    if (isDenied) this.#drop();
    else this.#take(readMetrics(await response.text()));
    this.denial.hidden = !isDenied;
    this.figures.hidden = isDenied;
    say(this.denial, isDenied ? denial(identity) : '');
  }

  #take(metrics) {
    const now = { at: Date.now(), metrics };
    const seconds = last && (now.at - last.at) / 1000;
    if (seconds > 0.5) points.push({ at: now.at, point: pointOf(last.metrics, metrics, seconds) });
    if (points.length > POINTS) points.shift();
    if (!last || seconds > 0.5) last = now;
  }

  /** They are for somebody else. */
  #drop() {
    points.length = 0;
    last = undefined;
    fill(this.levels);
    fill(this.requests);
  }

  #draw() {
    for (const tile of this.tiles) tile.draw(points, Math.max(POINTS_LEAST, points.length));
    if (!last) return;
    this.#drawLevels(last.metrics);
    this.#drawRequests(last.metrics);
  }

  #drawHealth([well, ready]) {
    const version = last?.metrics.get('livelog_build_info')?.[0]?.labels.version;
    fill(
      this.health,
      light('The node can go on', well),
      light('Its store can be reached', ready),
      version && h('li', { class: 'faint' }, `livelog ${version}`),
    );
  }

  #drawLevels(metrics) {
    const sum = (name) => total(metrics, `livelog_${name}`);
    const rows = [
      ['Head of the log', count(sum('head_seq'))],
      ['Subscriptions', `${count(sum('subscriptions'))} with ${count(sum('filters'))} filters`],
      ['Recent changes held', held(sum('window_bytes'), LIVE_WINDOW_BYTES_DEFAULT)],
      ['Held for clients', held(sum('budget_used_bytes'), BUDGET_BYTES), sum('budget_used_bytes') > 0.9 * BUDGET_BYTES],
      ['Sent', bytes(sum('sent_bytes_total'))],
      ['Pages of the log read', count(sum('log_reads_total'))],
      ['Times that a session fell behind', count(sum('falls_behind_total')), sum('falls_behind_total') > 0],
      ['Sessions closed as too slow', count(sum('slow_closes_total')), sum('slow_closes_total') > 0],
      ['Refusals of the store', count(sum('store_errors_total')), sum('store_errors_total') > 0],
    ];
    fill(
      this.levels,
      rows.map(([name, value, worry]) =>
        h('div', { class: worry ? 'worry' : undefined }, h('dt', null, name), h('dd', { class: 'tabular' }, value)),
      ),
    );
  }

  #drawRequests(metrics) {
    const samples = [...(metrics.get('livelog_requests_total') ?? [])].sort((one, other) => other.value - one.value);
    fill(
      this.requests,
      samples.map(({ labels, value }) =>
        h(
          'tr',
          { class: ['done', 'repeated'].includes(labels.outcome) ? undefined : 'worry' },
          h('td', null, labels.verb),
          h('td', null, labels.outcome),
          h('td', { class: 'tabular number' }, count(value)),
        ),
      ),
    );
  }
}

/** A bar and numbers; more than the default bound is one that the operator has set. */
function held(used, bound) {
  const meter = h('meter', { min: '0', max: String(Math.max(used, bound)), 'aria-hidden': 'true' });
  meter.value = used;
  return [meter, used > bound ? bytes(used) : `${bytes(used)} of ${bytes(bound)}`];
}

function denial(identity) {
  const why = identity?.role ? `, which the role ${identity.role} does not make you` : ': sign in as one to see it';
  return `What this node counts is for operators${why}.`;
}

/** `undefined` if it is well, else what it says. */
async function state(path) {
  const response = await fetch(path);
  if (response.ok) return undefined;
  const body = await response.json().catch(() => undefined);
  return body?.error?.message ?? `it answers ${response.status}`;
}

function light(what, wrong) {
  return h(
    'li',
    { class: wrong ? 'light wrong' : 'light well' },
    h('span', { class: 'light-mark', 'aria-hidden': 'true' }, wrong ? '!' : '✓'),
    wrong ? `${what}: no. ${wrong}` : what,
  );
}
