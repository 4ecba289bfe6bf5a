// The store's questions in SQL. Each is one statement, so that each answer is of one revision.
import type { Change } from '../../model/entities.ts';
import { readAudit } from '../audit-sql.ts';
import type { Collection, Expiry, Intermediate, StoreReader } from '../contract.ts';
import { pageBounds, toPaged } from '../cursor.ts';
import type { Connection, SqlRow } from './connection.ts';
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
import { keyUse } from './key-use.ts';
import { intermediateKey } from '../intermediate-key.ts';
import { leafColumns, toLeaves } from '../leaf-rows.ts';
import { countAnew, rememberCounts } from './remembered-counts.ts';
import {
  apiQuery,
  caCertificateQuery,
  certificateQuery,
  countSql,
  hostPolicyQuery,
  listSql,
  pluginQuery,
  sniQuery,
  tokenQuery,
  type Query,
} from './filters.ts';

/** Intermediates of one key that are given out at once. */
const intermediatesMax = 32;

export function createReader(connection: Connection): StoreReader {
  const counts = connection.readOnly ? rememberCounts(connection) : countAnew(connection);
  return {
    apis: {
      ...collection('apis', toApi, apiQuery),
      async findByName(name) {
        const row = connection.get('SELECT * FROM apis WHERE name = ?', name);
        return row && toApi(row);
      },
    },
    plugins: collection('plugins', toPlugin, pluginQuery),
    certificates: collection('certificates', toCertificate, certificateQuery),
    snis: {
      ...collection('snis', toSni, sniQuery),
      async findByName(name) {
        const row = connection.get('SELECT * FROM snis WHERE name = ?', name);
        return row && toSni(row);
      },
      async ofCertificate(certificateId) {
        return connection.all('SELECT * FROM snis WHERE certificate_id = ? ORDER BY name', certificateId).map(toSni);
      },
    },
    tokens: {
      ...collection('tokens', toToken, tokenQuery),
      async findByName(name) {
        const row = connection.get('SELECT * FROM tokens WHERE name = ?', name);
        return row && toToken(row);
      },
      async findByPrefix(prefix) {
        const row = connection.get('SELECT * FROM tokens WHERE prefix = ?', prefix);
        return row && toToken(row);
      },
    },
    caCertificates: {
      ...collection('ca_certificates', toCaCertificate, caCertificateQuery),
      async findByFingerprint(fingerprint) {
        const row = connection.get('SELECT * FROM ca_certificates WHERE fingerprint = ?', fingerprint);
        return row && toCaCertificate(row);
      },
    },
    hostPolicies: {
      ...collection('host_policies', toHostPolicy, hostPolicyQuery),
      async findByName(name) {
        const row = connection.get('SELECT * FROM host_policies WHERE name = ?', name);
        return row && toHostPolicy(row);
      },
    },
    async binding(name) {
      const row = connection.get('SELECT * FROM bindings WHERE name = ?', name);
      return row && toBinding(row);
    },
    async leaves({ names, certificateIds }) {
      const bound = connection.all(
        `SELECT b.name AS key, ${leafColumns} FROM bindings b JOIN certificates c ON c.id = b.certificate_id
         WHERE b.name IN (SELECT value FROM json_each(?))`,
        JSON.stringify(names),
      );
      const there = connection.all(
        `SELECT c.id AS key, ${leafColumns} FROM certificates c WHERE c.id IN (SELECT value FROM json_each(?))`,
        JSON.stringify(certificateIds),
      );
      return { byName: toLeaves(bound), byId: toLeaves(there) };
    },
    async intermediates(subjectKey) {
      return connection
        .all(
          'SELECT pem FROM intermediates WHERE subject_key = ? ORDER BY sha256 LIMIT ?',
          subjectKey,
          intermediatesMax,
        )
        .map((row) => row['pem'] as string);
    },
    async rememberedIntermediates(after, limit) {
      return connection
        .all(
          `SELECT subject_key AS subjectKey, pem FROM intermediates WHERE (subject_key, sha256) > (?, ?)
           ORDER BY subject_key, sha256 LIMIT ?`,
          ...intermediateKey(after),
          limit,
        )
        .map((row) => ({ ...(row as unknown as Intermediate) }));
    },
    async soonestToExpire(limit) {
      return connection
        .all(
          `SELECT id, not_after AS notAfter, facts,
             (SELECT name FROM bindings WHERE certificate_id = id AND name <> '' ORDER BY name LIMIT 1) AS name
           FROM certificates ORDER BY not_after LIMIT ?`,
          limit,
        )
        .map(toExpiry);
    },
    async authoritiesSoonestToExpire(limit) {
      return connection
        .all('SELECT id, not_after AS notAfter, subject AS name FROM ca_certificates ORDER BY not_after LIMIT ?', limit)
        .map((row) => ({ ...(row as unknown as Expiry) }));
    },
    ...keyUse(connection),
    async sealedSecret(name) {
      const row = connection.get('SELECT value FROM meta WHERE key = ?', `secret_${name}`);
      return row && String(row['value']);
    },
    audit: (before, limit, filter = {}) =>
      readAudit(async ({ sql, values }) => connection.all(sql, ...values), before, limit, filter),
    async revision() {
      return readRevision(connection);
    },
    async changesSince(revision, limit) {
      return connection
        .all(
          `SELECT revision, entity, id, operation, actor, at FROM changes
         WHERE revision > ?1 AND revision <= coalesce(
           (SELECT revision FROM changes WHERE revision > ?1 ORDER BY revision, position LIMIT 1 OFFSET ?2),
           9223372036854775807)
         ORDER BY revision, position`,
          revision,
          Math.max(limit, 1) - 1,
        )
        .map((row) => ({ ...(row as unknown as Change) }));
    },
  };

  function collection<E, F>(
    table: string,
    toEntity: (row: SqlRow) => E,
    toQuery: (filter: F | undefined) => Query,
  ): Collection<E, F> {
    return {
      async get(id) {
        const row = connection.get(`SELECT * FROM ${table} WHERE id = ?`, id);
        return row && toEntity(row);
      },
      async list(page, filter) {
        const query = toQuery(filter);
        const { after, limit } = pageBounds(page, query.order);
        const rows = connection.all(listSql(query), ...query.values, ...after, limit);
        return toPaged(page, query.order, rows, toEntity);
      },
      async count(filter) {
        const query = toQuery(filter);
        return counts(countSql(query), query.values);
      },
    };
  }
}

export function readRevision(connection: Connection): number {
  return Number(connection.get('SELECT revision FROM revision')?.['revision'] ?? 0);
}
