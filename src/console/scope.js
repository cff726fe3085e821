/**
 * What a view holds while it is shown: subscriptions, timers, listeners. Closing the scope ends all of them, so a view
 * that is left costs the server and the page nothing.
 */
export class Scope {
  #stops = [];
  closed = false;

  /** Calls `stop` when the scope is closed; at once if it is. */
  add(stop) {
    if (this.closed) stop();
    else this.#stops.push(stop);
    return stop;
  }

  /** A scope that ends with this one, or before. */
  inner() {
    const inner = new Scope();
    this.add(() => inner.close());
    return inner;
  }

  listen(target, type, hear, options) {
    target.addEventListener(type, hear, options);
    this.add(() => target.removeEventListener(type, hear, options));
  }

  every(milliseconds, act) {
    const timer = setInterval(act, milliseconds);
    this.add(() => clearInterval(timer));
  }

  /** A function that makes `draw` happen once in the next frame, however often it is called. */
  frame(draw) {
    let asked = 0;
    this.add(() => cancelAnimationFrame(asked));
    return () => {
      asked ||= requestAnimationFrame(() => {
        asked = 0;
        if (!this.closed) draw();
      });
    };
  }

  /** The same, but at most once in this time: what nobody can read faster need not be drawn faster. */
  paced(milliseconds, draw) {
    let drawn = -Infinity;
    let timer = 0;
    const frame = this.frame(() => {
      drawn = performance.now();
      draw();
    });
    this.add(() => clearTimeout(timer));
    return () => {
      const early = drawn + milliseconds - performance.now();
      if (early <= 0) return frame();
      timer ||= setTimeout(() => {
        timer = 0;
        frame();
      }, early);
      return undefined;
    };
  }

  /** A function that makes `act` happen, with what it was called with last, once it was not called for a while. */
  calm(milliseconds, act) {
    let timer = 0;
    this.add(() => clearTimeout(timer));
    return (...values) => {
      clearTimeout(timer);
      timer = setTimeout(() => act(...values), milliseconds);
    };
  }

  close() {
    this.closed = true;
    for (const stop of this.#stops.splice(0).reverse()) stop();
  }
}

/**
 * Runs `task(value)` for the newest value it was given, one at a time: values that come while one is at work replace
 * each other. So a slider that is dragged never queues a hundred reads.
 */
export function newest(task) {
  let waiting;
  let busy = false;
  return async (value) => {
    waiting = { value };
    if (busy) return;
    busy = true;
    while (waiting) {
      const { value } = waiting;
      waiting = undefined;
      await task(value, () => waiting !== undefined);
    }
    busy = false;
  };
}
