/**
 * WebSocket frames, as far as the proxy must understand them: to find whole messages in a stream of bytes, and to make
 * messages of its own. Only text is understood, uncompressed; every other frame is passed on as it is.
 */

const CONTINUED = 0;
const TEXT = 1;
const CLOSE = 8;
const FINAL = 0x80;

/** Collects chunks until there is the end of an HTTP head. */
export class HeadReader {
  #bytes = Buffer.alloc(0);

  /** The head with its empty line and what follows it; nothing while it is not whole. */
  push(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const end = this.#bytes.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    return { head: this.#bytes.subarray(0, end + 4), rest: this.#bytes.subarray(end + 4) };
  }
}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  #chunks = [];
  #length = 0;
  #fragments = [];

  /**
   * What is whole now, each `{ bytes, text }`: a text message with all of its frames, or another frame without `text`.
   */
  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const whole = [];
    for (;;) {
      const needed = this.#needed();
      if (needed === undefined || needed > this.#length) return whole;
      const found = this.#join(this.#take(needed));
      if (found) whole.push(found);
    }
  }

  /** Large messages come in several frames, and frames that are no text may stand between them. */
  #join(frame) {
    const opcode = frame[0] & 0x0f;
    const belongs = opcode === TEXT || (opcode === CONTINUED && this.#fragments.length > 0);
    if (!belongs) return { bytes: frame };
    this.#fragments.push(frame);
    if (!(frame[0] & FINAL)) return undefined;
    const frames = this.#fragments;
    this.#fragments = [];
    return { bytes: Buffer.concat(frames), text: Buffer.concat(frames.map(payload)).toString() };
  }

  #needed() {
    if (this.#length < 2) return undefined;
    const start = this.#peek(Math.min(this.#length, 14));
    return frameLength(start);
  }

  #peek(length) {
    if (this.#chunks[0].length < length) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  #take(length) {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = all.length > length ? [all.subarray(length)] : [];
    this.#length -= length;
    return all.subarray(0, length);
  }
}

/** How long the frame is that begins so, if that can be told. */
function frameLength(start) {
  const short = start[1] & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (start.length < 2 + lengthBytes) return undefined;
  const payload =
    lengthBytes === 2 ? start.readUInt16BE(2) : lengthBytes === 8 ? Number(start.readBigUInt64BE(2)) : short;
  const mask = start[1] & 0x80 ? 4 : 0;
  return 2 + lengthBytes + mask + payload;
}

function payload(bytes) {
  const short = bytes[1] & 0x7f;
  const start = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  if (!(bytes[1] & 0x80)) return bytes.subarray(start);
  const mask = bytes.subarray(start, start + 4);
  const plain = Buffer.from(bytes.subarray(start + 4));
  for (let at = 0; at < plain.length; at++) plain[at] ^= mask[at & 3];
  return plain;
}

/** A text message from server to client. */
export function textFrame(text) {
  return unmasked(TEXT, Buffer.from(text));
}

/** A server's close. */
export function closeFrame(code, reason) {
  const body = Buffer.alloc(2 + Buffer.byteLength(reason));
  body.writeUInt16BE(code);
  body.write(reason, 2);
  return unmasked(CLOSE, body);
}

function unmasked(opcode, body) {
  return Buffer.concat([Buffer.of(FINAL | opcode, ...lengthOf(body.length)), body]);
}

/** In as few bytes as it can be said: Chromium takes no more. */
function lengthOf(length) {
  if (length <= 125) return [length];
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return length <= 0xffff ? [126, ...bytes.subarray(6)] : [127, ...bytes];
}
