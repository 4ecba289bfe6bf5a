// The refusals of a second entity where there may be one, of a reference to none, and of leaving a reference to none.
import { PortunusError } from '../lib/errors.ts';
import type { EntityKind } from '../model/entities.ts';

export function violation(entity: EntityKind, field: string, value: string): PortunusError {
  return new PortunusError('UNIQUE_VIOLATION', `Another ${entity} has this ${field} already: ${value}.`, {
    facts: { entity, field, value },
  });
}

export function missing(entity: EntityKind, field: string, value: string): PortunusError {
  return new PortunusError('REFERENCE_MISSING', `The ${entity}'s ${field} refers to nothing: ${value}.`, {
    facts: { entity, field, value },
  });
}

export function referenced(entity: EntityKind, id: string, by: EntityKind, holderId: string): PortunusError {
  return new PortunusError('STILL_REFERENCED', `The ${entity} is named by the ${by} ${holderId}.`, {
    facts: { entity, id, by, holderId },
    hint: 'Take it out of that one first.',
  });
}
