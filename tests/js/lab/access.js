/** Access files, and tokens of the issuer that they trust. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const SECRET = 'known-to-everybody-who-reads-these-tests';
const ISSUER = { iss: 'tests', aud: 'livelog', algorithms: ['HS256'], secretFile: 'secret.txt' };

/** Writes an access file into a folder, and returns its path. `file`: all of it but the issuer of `tokenOf`. */
export async function writeAccess(folder, file) {
  const path = join(folder, 'access.json');
  await writeFile(join(folder, 'secret.txt'), SECRET);
  await writeFile(path, JSON.stringify({ issuers: [ISSUER], ...file }));
  return path;
}

/** A new API key of this role, with what the access file says of it. */
export function keyOf(role) {
  const id = randomBytes(8).toString('hex');
  const key = `lk_${id}_${randomBytes(32).toString('hex')}`;
  return { key, entry: { id, sha256: createHash('sha256').update(key).digest('hex'), role } };
}

/** A token of this subject, good for an hour unless the claims say otherwise. */
export function tokenOf(sub, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: 'HS256' })}.${part({ iss: 'tests', aud: 'livelog', sub, exp, ...claims })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}
