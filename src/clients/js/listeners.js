// Functions that want to hear of something.

import { invalid } from './errors.js';

/**
 * Calls all of them. One that throws stops neither the others nor the client; the runtime reports it as uncaught.
 * @template {any[]} A
 * @param {Iterable<(...args: A) => void>} listeners
 * @param {A} args
 */
export function tell(listeners, ...args) {
  for (const listener of [...listeners]) {
    try {
      listener(...args);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/**
 * @template {Function} T
 * @param {Set<T>} set
 * @param {T} member
 * @returns {() => void} takes it out again
 */
export function enter(set, member) {
  if (typeof member !== 'function') throw invalid('listener', 'a listener is a function');
  set.add(member);
  return () => void set.delete(member);
}
