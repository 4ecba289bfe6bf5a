// The refusal of a second entity where there may be one.
import { PortunusError } from '../lib/errors.ts';
import type { EntityKind } from '../model/entities.ts';

export function violation(entity: EntityKind, field: string, value: string): PortunusError {
  return new PortunusError('UNIQUE_VIOLATION', `Another ${entity} has this ${field} already: ${value}.`, {
    facts: { entity, field, value },
  });
}
