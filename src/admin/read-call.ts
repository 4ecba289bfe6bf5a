// A Fastify request to the call that a route handles: body to fields, flags, who calls.
import type { FastifyRequest } from 'fastify';
import { emptyBody } from './bodies/fields.ts';
import { parseRequestBody } from './bodies/request-body.ts';
import type { Call } from './contract.ts';
import { inputInvalid, invalid } from './problems.ts';
import { readWait } from './wait.ts';

/** @throws BODY_UNPARSABLE, MEDIA_TYPE_UNSUPPORTED, INPUT_INVALID */
export function readCall(request: FastifyRequest, actor: string): Call {
  const query = new URLSearchParams(request.url.split('?').slice(1).join('?'));
  const { headers, body } = request;
  return {
    params: request.params as Readonly<Record<string, string>>,
    query,
    // DELETE and GET take no body: one that is sent is not looked at.
    body:
      body instanceof Buffer && request.method !== 'DELETE'
        ? parseRequestBody(headers['content-type'], headers['content-encoding'], body)
        : emptyBody,
    actor,
    origin: `${request.protocol}://${headers.host ?? 'localhost'}`,
    dryRun: flag(query, 'dry_run'),
    force: flag(query, 'force'),
    wait: readWait(query),
  };
}

function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === 'false' || value === '0') return false;
  if (value === 'true' || value === '1' || value === '') return true;
  throw inputInvalid([invalid(name, 'must be true or false')]);
}
