// Ids of new entities: UUIDs that begin with the time (RFC 9562 section 5.7). In the indexes of a store new ones come side by
// side, where random ones would touch a page each: of a million certificates each is in six such places.
import { randomBytes } from 'node:crypto';

const timeBytes = 6;

export function newId(now = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, timeBytes);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
