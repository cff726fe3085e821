/** A WebSocket that can hold back what it hears, and then says it all in one task. */
export class HeldSocket extends EventTarget {
  static held = [];
  static isHolding = false;

  static hold() {
    this.isHolding = true;
  }

  static release() {
    this.isHolding = false;
    for (const { socket, data } of this.held.splice(0)) socket.emit(new MessageEvent('message', { data }));
  }

  constructor(...args) {
    super();
    this.inner = new WebSocket(...args);
    this.inner.onmessage = ({ data }) => {
      if (HeldSocket.isHolding) HeldSocket.held.push({ socket: this, data });
      else this.emit(new MessageEvent('message', { data }));
    };
    for (const type of ['open', 'error']) this.inner.addEventListener(type, () => this.emit(new Event(type)));
    this.inner.addEventListener('close', ({ code, reason }) =>
      this.emit(Object.assign(new Event('close'), { code, reason })),
    );
  }

  emit(event) {
    this[`on${event.type}`]?.(event);
    this.dispatchEvent(event);
  }

  send(text) {
    this.inner.send(text);
  }

  close(...args) {
    this.inner.close(...args);
  }

  get readyState() {
    return this.inner.readyState;
  }

  get bufferedAmount() {
    return this.inner.bufferedAmount;
  }
}
