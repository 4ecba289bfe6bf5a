// `/portunus/audit`: who changed what, the latest first.
import { Type } from 'typebox';
import { PortunusError } from '../../lib/errors.ts';
import { pageSizeMax } from '../../store/contract.ts';
import type { AdminDeps, Route } from '../contract.ts';
import { nullable } from '../schemas.ts';
import { readSize } from '../today/lists.ts';

const path = '/portunus/audit';

const entry = Type.Object({
  sequence: Type.Integer(),
  revision: Type.Integer(),
  at: Type.Integer({ description: 'Milliseconds since the epoch.' }),
  actor: Type.String({
    description: '`token:<name>`, `certificate:<subject> sha256:<fingerprint>`, `admin:<address>`, or a command.',
  }),
  entity: Type.Enum(['api', 'plugin', 'certificate', 'sni', 'token', 'ca_certificate', 'host_policy']),
  id: Type.String(),
  operation: Type.Enum(['create', 'update', 'delete']),
  before: nullable(
    Type.String({ description: 'SHA-256, hex: of the leaf of a certificate, of anything else as a whole.' }),
  ),
  after: nullable(Type.String()),
});

export function auditRoutes({ store }: AdminDeps): readonly Route[] {
  return [
    {
      method: 'GET',
      path,
      dialect: 'own',
      summary: 'Who changed what, the latest first',
      query: Type.Object({
        size: Type.Optional(Type.Integer({ minimum: 1, maximum: pageSizeMax, default: 100 })),
        offset: Type.Optional(Type.String()),
      }),
      answers: { 200: Type.Object({ data: Type.Array(entry), next: nullable(Type.String()) }) },
      async handle({ query }) {
        const size = readSize(query.get('size'));
        const data = await store.audit(readOffset(query.get('offset')), size);
        const offset = data.length < size ? undefined : data.at(-1)?.sequence;
        const next = offset === undefined ? null : `${path}?offset=${offset}&size=${size}`;
        return { status: 200, body: { data, next } };
      },
    },
  ];
}

/** @throws CURSOR_INVALID */
function readOffset(text: string | null): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new PortunusError('CURSOR_INVALID', 'offset is not one that a list gave out');
}
