// A Fastify request to the call that a route handles: body to fields, flags, who calls.
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { emptyBody } from './bodies/fields.ts';
import { parseRequestBody } from './bodies/request-body.ts';
import type { Call } from './contract.ts';
import { inputInvalid, invalid } from './problems.ts';
import { readWait } from './wait.ts';

/** The query parameters of writes. Others are refused: who misspelt `dry_run` did not want to write. */
export const writeQuery = Type.Object({
  dry_run: Type.Optional(
    Type.Boolean({ description: 'Answer what would be stored, warnings and repairs; store nothing.' }),
  ),
  force: Type.Optional(Type.Boolean({ description: 'Take a certificate or a revocation list that is out of date.' })),
  wait: Type.Optional(
    Type.String({
      description: 'Answer when every node has applied it: `cluster`, or for how long, `500ms`, `5s`, up to `10m`.',
    }),
  ),
});

/** @throws BODY_UNPARSABLE, MEDIA_TYPE_UNSUPPORTED, INPUT_INVALID */
export function readCall(request: FastifyRequest, actor: string): Call {
  const query = new URLSearchParams(request.url.split('?').slice(1).join('?'));
  const { headers, body } = request;
  if (request.method !== 'GET' && request.method !== 'HEAD') refuseUnknown(query);
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

function refuseUnknown(query: URLSearchParams): void {
  const unknown = [...new Set(query.keys())].filter((name) => !Object.hasOwn(writeQuery.properties, name));
  if (unknown.length === 0) return;
  const hint = `After the question mark writes take ${Object.keys(writeQuery.properties).join(', ')}; fields belong into the body.`;
  throw inputInvalid(unknown.map((name) => invalid(name, 'unknown query parameter', hint)));
}

function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === 'false' || value === '0') return false;
  if (value === 'true' || value === '1' || value === '') return true;
  throw inputInvalid([invalid(name, 'must be true or false')]);
}
