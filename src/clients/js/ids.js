// Identifiers: of events, of commands, and of pages that keep writes.

let lastTime = 0;

/** A UUIDv7. Those of one page rise; pages without TLS have no `crypto.randomUUID`. */
export function uuid() {
  lastTime = Math.max(Date.now(), lastTime + 1);
  let digits = lastTime.toString(16).padStart(12, '0');
  for (const byte of crypto.getRandomValues(new Uint8Array(18))) digits += (byte % 16).toString(16);
  return shaped(digits, 7);
}

/**
 * @param {string} digits 30 or more
 * @param {number} version
 */
function shaped(digits, version) {
  let at = 0;
  return `........-....-${version}...-a...-............`.replace(/\./g, () => digits[at++]);
}

/**
 * A UUIDv8 that is always the same for a text: its FNV-1a of 128 bits. The text itself may be no id, or tell a secret.
 * @param {string} text
 */
export function uuidOf(text) {
  let hash = 0x6c62272e07bb014262b821756295c58dn;
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * 0x1000000000000000000013bn) % 2n ** 128n;
  }
  return shaped(hash.toString(16).padStart(32, '0').slice(2), 8);
}
