// Errors that look the same in every dialect: `{"message": …}`, with a `hint` where one helps.
import { errorCodes, type PortunusError } from '../lib/errors.ts';
import type { Answer } from './contract.ts';

export const unexpectedError: Answer = { status: 500, body: { message: 'An unexpected error occurred' } };

/** An error that is not the client's says nothing about the inside. */
export function httpError(error: PortunusError): Answer {
  const { blame, retry } = errorCodes[error.code];
  if (error.code === 'ENTITY_NOT_FOUND') return { status: 404, body: { message: error.message } };
  if (blame === 'client') {
    return {
      status: error.status,
      body: { message: error.message, ...(error.hint !== undefined && { hint: error.hint }) },
    };
  }
  if (!retry || error.status < 500) return unexpectedError;
  return { status: error.status, body: { message: 'The datastore is unavailable' }, headers: { 'retry-after': '1' } };
}
