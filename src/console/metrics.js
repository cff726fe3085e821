/** Prometheus' text, read; and what two readings of it say about the time between. It knows nothing of the page. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:\\.|[^"\\])*)"/g;

/** @typedef {{ labels: Record<string, string>, value: number }} Sample */

/** @returns {Map<string, Sample[]>} by the name of the metric */
export function readMetrics(text) {
  const metrics = new Map();
  for (const line of text.split('\n')) {
    const found = LINE.exec(line);
    if (!found) continue;
    const [, name, labels = '', value] = found;
    const sample = {
      labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])),
      value: Number(value),
    };
    if (metrics.has(name)) metrics.get(name).push(sample);
    else metrics.set(name, [sample]);
  }
  return metrics;
}

/** The sum over all labels that `where` accepts; 0 if there is none yet. */
export function total(metrics, name, where = () => true) {
  return (metrics.get(name) ?? []).filter(({ labels }) => where(labels)).reduce((sum, { value }) => sum + value, 0);
}

/** What lies below which part of the observations between two readings, in between the bounds of a histogram. */
export function quantile(before, now, name, part) {
  const counts = buckets(before, now, `${name}_bucket`);
  const all = counts.at(-1)?.count ?? 0;
  if (all === 0) return undefined;
  const wanted = part * all;
  const index = counts.findIndex(({ count }) => count >= wanted);
  const below = counts[index - 1] ?? { bound: 0, count: 0 };
  const { bound, count } = counts[index];
  if (!Number.isFinite(bound)) return below.bound;
  return below.bound + (bound - below.bound) * ((wanted - below.count) / (count - below.count));
}

/** Observations of the time between, up to each bound. */
function buckets(before, now, name) {
  const old = new Map((before.get(name) ?? []).map(({ labels, value }) => [labels.le, value]));
  return (now.get(name) ?? [])
    .map(({ labels, value }) => ({
      bound: labels.le === '+Inf' ? Infinity : Number(labels.le),
      count: value - (old.get(labels.le) ?? 0),
    }))
    .sort((one, other) => one.bound - other.bound);
}

const COMMANDS = new Set(['CREATE', 'UPDATE', 'DELETE', 'RESTORE', 'BATCH']);

/** One point of each curve: what the node did between two readings, and how it is now. */
export function pointOf(before, now, seconds) {
  const rate = (name, where) => Math.max(0, total(now, name, where) - total(before, name, where)) / seconds;
  return {
    commands: rate('livelog_requests_total', ({ verb, outcome }) => COMMANDS.has(verb) && outcome === 'done'),
    changes: rate('livelog_commit_changes_sum'),
    deliveries: rate('livelog_frames_sent_total'),
    sessions: total(now, 'livelog_sessions'),
    lag: Math.max(0, total(now, 'livelog_head_seq') - total(now, 'livelog_node_seq')),
    commitHalf: quantile(before, now, 'livelog_commit_duration_seconds', 0.5),
    commitMost: quantile(before, now, 'livelog_commit_duration_seconds', 0.99),
    deliveryHalf: quantile(before, now, 'livelog_delivery_duration_seconds', 0.5),
    deliveryMost: quantile(before, now, 'livelog_delivery_duration_seconds', 0.99),
  };
}
