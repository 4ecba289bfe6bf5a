// The refusal of a target that does not hold what the source holds.
import { PortunusError } from '../lib/errors.ts';

export function migrationConflict(message: string): PortunusError {
  return new PortunusError('MIGRATION_CONFLICT', message, {
    hint: 'Migrate into a database that holds no certificates and APIs, or that an interrupted migration of this store began.',
  });
}
