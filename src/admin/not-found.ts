// The answer for an entity that is not there, and for a path that is not there.
import { PortunusError } from '../lib/errors.ts';

/** ENTITY_NOT_FOUND. @param primaryKey makes today's dialect answer with its object of code 6 */
export function notFound(message = 'Not found', primaryKey?: Readonly<Record<string, string>>): PortunusError {
  return new PortunusError('ENTITY_NOT_FOUND', message, primaryKey === undefined ? {} : { facts: { primaryKey } });
}
