// `/portunus/audit`: who changed what, the latest first.
import { Type } from 'typebox';
import { PortunusError } from '../../lib/errors.ts';
import type { EntityKind } from '../../model/entities.ts';
import { type AuditFilter, pageSizeMax } from '../../store/contract.ts';
import type { AdminDeps, Route } from '../contract.ts';
import { nullable } from '../schemas.ts';
import { filterInvalid, readSize, readTime } from '../today/lists.ts';

const path = '/portunus/audit';

const kinds = [
  'api',
  'plugin',
  'certificate',
  'sni',
  'token',
  'ca_certificate',
  'host_policy',
] as const satisfies readonly EntityKind[];
const kind = Type.Enum([...kinds]);

const entry = Type.Object({
  sequence: Type.Integer(),
  revision: Type.Integer(),
  at: Type.Integer({ description: 'Milliseconds since the epoch.' }),
  actor: Type.String({
    description: '`token:<name>`, `certificate:<subject> sha256:<fingerprint>`, `admin:<address>`, or a command.',
  }),
  entity: kind,
  id: Type.String(),
  operation: Type.Enum(['create', 'update', 'delete']),
  before: nullable(
    Type.String({ description: 'SHA-256, hex: of the leaf of a certificate, of anything else as a whole.' }),
  ),
  after: nullable(Type.String()),
});

const auditQuery = Type.Object({
  entity: Type.Optional(kind),
  id: Type.Optional(Type.String()),
  actor: Type.Optional(Type.String()),
  revision: Type.Optional(Type.Integer({ minimum: 1 })),
  since: Type.Optional(Type.String({ description: 'Then or later: `2027-01-31`, RFC 3339, seconds, or an `at`.' })),
  before: Type.Optional(Type.String({ description: 'Earlier than then.' })),
  size: Type.Optional(Type.Integer({ minimum: 1, maximum: pageSizeMax, default: 100 })),
  offset: Type.Optional(Type.String()),
});

export function auditRoutes({ store }: AdminDeps): readonly Route[] {
  return [
    {
      method: 'GET',
      path,
      dialect: 'own',
      summary: 'Who changed what, the latest first',
      query: auditQuery,
      answers: { 200: Type.Object({ data: Type.Array(entry), next: nullable(Type.String()) }) },
      async handle({ query }) {
        const size = readSize(query.get('size'));
        const { entries, next } = await store.audit(readOffset(query.get('offset')), size, readFilter(query));
        if (next === undefined) return { status: 200, body: { data: entries, next: null } };
        const onwards = new URLSearchParams([...query].filter(([name]) => name !== 'offset'));
        onwards.set('offset', String(next));
        return { status: 200, body: { data: entries, next: `${path}?${onwards.toString()}` } };
      },
    },
  ];
}

/** @throws LIST_FILTER_INVALID */
function readFilter(query: URLSearchParams): AuditFilter {
  // One that is not obeyed would answer with everything.
  for (const name of query.keys()) {
    if (!Object.hasOwn(auditQuery.properties, name)) throw filterInvalid(name, 'unknown filter');
  }
  const entity = query.get('entity');
  const revision = query.get('revision');
  if (entity !== null && !isKind(entity)) {
    throw filterInvalid('entity', `must be one of ${kinds.join(', ')}`);
  }
  if (revision !== null && !/^\d{1,15}$/.test(revision)) {
    throw filterInvalid('revision', 'must be a number');
  }
  return {
    entity: entity ?? undefined,
    id: query.get('id') ?? undefined,
    actor: query.get('actor') ?? undefined,
    revision: revision === null ? undefined : Number(revision),
    since: readTime('since', query.get('since')),
    until: readTime('before', query.get('before')),
  };
}

function isKind(text: string): text is EntityKind {
  return kinds.some((each) => each === text);
}

/** @throws CURSOR_INVALID */
function readOffset(text: string | null): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new PortunusError('CURSOR_INVALID', 'offset is not one that a list gave out');
}
