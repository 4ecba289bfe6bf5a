// The store's questions in SQL. Each is one statement, so that each answer is of one revision.
import type { Change } from '../../model/entities.ts';
import { readAudit } from '../audit-sql.ts';
import type { Collection, Expiry, StoreReader } from '../contract.ts';
import { pageBounds, toPaged } from '../cursor.ts';
import type { PgRow, PgStatements } from './client.ts';
import {
  toApi,
  toBinding,
  toCaCertificate,
  toCertificate,
  toExpiry,
  toHostPolicy,
  toPlugin,
  toSni,
  toToken,
} from './encoding.ts';
import {
  apiQuery,
  caCertificateQuery,
  certificateQuery,
  countSql,
  hostPolicyQuery,
  listSql,
  numbered,
  pluginQuery,
  type Query,
  sniQuery,
  tokenQuery,
} from './filters.ts';
import { keyUse } from './key-use.ts';
import { intermediateKey } from '../intermediate-key.ts';
import { leafColumns, toLeaves } from '../leaf-rows.ts';

/** Intermediates of one key that are given out at once. */
const intermediatesMax = 32;

export function createReader(statements: PgStatements): StoreReader {
  return {
    apis: {
      ...collection('apis', toApi, apiQuery),
      findByName: (name) => one(toApi, 'SELECT * FROM apis WHERE name = $1', name),
    },
    plugins: collection('plugins', toPlugin, pluginQuery),
    certificates: collection('certificates', toCertificate, certificateQuery),
    snis: {
      ...collection('snis', toSni, sniQuery),
      findByName: (name) => one(toSni, 'SELECT * FROM snis WHERE name = $1', name),
      async ofCertificate(certificateId) {
        const rows = await statements.query(
          'SELECT * FROM snis WHERE certificate_id = $1 ORDER BY name',
          certificateId,
        );
        return rows.map(toSni);
      },
    },
    tokens: {
      ...collection('tokens', toToken, tokenQuery),
      findByName: (name) => one(toToken, 'SELECT * FROM tokens WHERE name = $1', name),
      findByPrefix: (prefix) => one(toToken, 'SELECT * FROM tokens WHERE prefix = $1', prefix),
    },
    caCertificates: {
      ...collection('ca_certificates', toCaCertificate, caCertificateQuery),
      findByFingerprint: (fingerprint) =>
        one(toCaCertificate, 'SELECT * FROM ca_certificates WHERE fingerprint = $1', fingerprint),
    },
    hostPolicies: {
      ...collection('host_policies', toHostPolicy, hostPolicyQuery),
      findByName: (name) => one(toHostPolicy, 'SELECT * FROM host_policies WHERE name = $1', name),
    },
    binding: (name) => one(toBinding, 'SELECT * FROM bindings WHERE name = $1', name),
    async leaves({ names, certificateIds }) {
      const [bound, there] = await Promise.all([
        statements.query(
          `SELECT b.name AS key, ${leafColumns} FROM bindings b JOIN certificates c ON c.id = b.certificate_id
           WHERE b.name = ANY($1)`,
          names,
        ),
        statements.query(`SELECT c.id AS key, ${leafColumns} FROM certificates c WHERE c.id = ANY($1)`, certificateIds),
      ]);
      return { byName: toLeaves(bound), byId: toLeaves(there) };
    },
    async intermediates(subjectKey) {
      const rows = await statements.query(
        'SELECT pem FROM intermediates WHERE subject_key = $1 ORDER BY sha256 LIMIT $2',
        subjectKey,
        intermediatesMax,
      );
      return rows.map((row) => String(row['pem']));
    },
    async rememberedIntermediates(after, limit) {
      const rows = await statements.query(
        `SELECT subject_key, pem FROM intermediates WHERE (subject_key, sha256) > ($1, $2)
         ORDER BY subject_key, sha256 LIMIT $3`,
        ...intermediateKey(after),
        limit,
      );
      return rows.map((row) => ({ subjectKey: String(row['subject_key']), pem: String(row['pem']) }));
    },
    async soonestToExpire(limit) {
      const rows = await statements.query(
        `SELECT id, not_after AS "notAfter", facts,
           (SELECT name FROM bindings b WHERE b.certificate_id = c.id AND name <> '' ORDER BY name LIMIT 1) AS name
         FROM certificates c ORDER BY not_after LIMIT $1`,
        limit,
      );
      return rows.map(toExpiry);
    },
    async authoritiesSoonestToExpire(limit) {
      const rows = await statements.query(
        'SELECT id, not_after AS "notAfter", subject AS name FROM ca_certificates ORDER BY not_after LIMIT $1',
        limit,
      );
      return rows as unknown as readonly Expiry[];
    },
    ...keyUse(statements),
    async sealedSecret(name) {
      const [row] = await statements.query('SELECT value FROM meta WHERE key = $1', `secret_${name}`);
      return row && String(row['value']);
    },
    audit: (before, limit, filter = {}) =>
      readAudit(({ sql, values }) => statements.query(numbered(sql), ...values), before, limit, filter),
    revision: () => readRevision(statements),
    async changesSince(revision, limit) {
      const rows = await statements.query(
        `SELECT revision, entity, id, operation, actor, at FROM changes
         WHERE revision > $1 AND revision <= coalesce(
           (SELECT revision FROM changes WHERE revision > $1 ORDER BY revision, position LIMIT 1 OFFSET $2),
           9223372036854775807)
         ORDER BY revision, position`,
        revision,
        Math.max(limit, 1) - 1,
      );
      return rows as unknown as readonly Change[];
    },
  };

  async function one<E>(toEntity: (row: PgRow) => E, sql: string, value: string): Promise<E | undefined> {
    const [row] = await statements.query(sql, value);
    return row && toEntity(row);
  }

  function collection<E, F>(
    table: string,
    toEntity: (row: PgRow) => E,
    toQuery: (filter: F | undefined) => Query,
  ): Collection<E, F> {
    return {
      get: (id) => one(toEntity, `SELECT * FROM ${table} WHERE id = $1`, id),
      async list(page, filter) {
        const query = toQuery(filter);
        const { after, limit } = pageBounds(page, query.order);
        const rows = await statements.query(listSql(query), ...query.values, ...after, limit);
        return toPaged(page, query.order, rows, toEntity);
      },
      async count(filter) {
        const query = toQuery(filter);
        const [row] = await statements.query(countSql(query), ...query.values);
        return Number(row?.['count'] ?? 0);
      },
    };
  }
}

export async function readRevision(statements: PgStatements): Promise<number> {
  const [row] = await statements.query('SELECT revision FROM revision');
  return Number(row?.['revision'] ?? 0);
}
