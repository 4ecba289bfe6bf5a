// The catalog over the local SQLite file, read-only: certificates are looked up there one by one and never preloaded;
// routes are compiled into memory and follow the changes they are told.
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { Change, SslPluginConfig } from '../model/entities.ts';
import { readApi, readPlugin } from '../model/stored-doc.ts';
import { createRouteCompiler, governRoute } from './compile-route.ts';
import type { CertificateCatalog, CertificateRecord, PolicyCatalog, RouteCatalog, SealedPair } from './contract.ts';
import { createPolicies, type Policies } from './policies.ts';
import { createRouter, type Entry } from './router.ts';
import { createRuleIndex } from './rule-index.ts';

export interface Catalog extends CertificateCatalog, RouteCatalog, PolicyCatalog, Disposable {
  /** The revision of the last `apply`, or the one found when the catalog was opened. */
  readonly revision: number;
  readonly routes: number;
  /** Ids of APIs whose rows cannot be read as one: they have no route, and the others are served. */
  readonly unusableApis: readonly string[];
  /** Ids of plugins whose rows cannot be read as one: what they govern is served over HTTPS alone. */
  readonly unusablePlugins: readonly string[];
  /** Names of hosts and ids of authorities that were asked for and cannot be read: nobody is let in by them. */
  readonly unusablePolicies: Policies['unusable'];
  /** Follows changes up to `revision`. Repeating changes that are known does no harm. */
  apply(revision: number, changes: readonly Pick<Change, 'entity' | 'id'>[]): void;
  /** Reads everything anew. */
  reload(): void;
}

const certificateColumns = `c.id, c.revision, c.chain, c.sealed_key, c.public_key_sha256, c.fingerprint,
  c.chain_alt, c.sealed_key_alt, c.public_key_sha256_alt, c.fingerprint_alt`;

const apiSelection = 'SELECT id, name, doc, sequence FROM apis';
const pluginSelection = 'SELECT id, api_id, enabled, certificate_id, doc FROM plugins';

/** What replica/copier.ts keeps in the file about its first fill. */
const fillKey = 'replica_filled_to';
const fillComplete = 'complete';

/** A statement that reads at most one row, or undefined. */
type One<Row> = (...values: SQLInputValue[]) => Row | undefined;

/** @param damaged called whenever something of the file cannot be read; what was asked for then throws, or is named unusable */
export function openSqliteCatalog(path: string, damaged: () => void = () => undefined): Catalog {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  // One statement, so that all the names are looked up in one revision.
  const findBound = one<CertificateRow>(
    `SELECT ${certificateColumns} FROM certificates c WHERE c.id = (
       SELECT certificate_id FROM bindings WHERE name IN (?1, ?2, ?3, ?4, ?5)
       ORDER BY CASE name WHEN ?1 THEN 1 WHEN ?2 THEN 2 WHEN ?3 THEN 3 WHEN ?4 THEN 4 ELSE 5 END LIMIT 1)`,
  );
  const findBinding = one<{ id: string }>(
    `SELECT certificate_id AS id FROM bindings WHERE name IN (?1, ?2, ?3, ?4, ?5)
       ORDER BY CASE name WHEN ?1 THEN 1 WHEN ?2 THEN 2 WHEN ?3 THEN 3 WHEN ?4 THEN 4 ELSE 5 END LIMIT 1`,
  );
  const findFill = one<{ value: string }>(`SELECT value FROM meta WHERE key = '${fillKey}'`);
  const findDefault = one<CertificateRow>(
    `SELECT ${certificateColumns} FROM certificates c WHERE c.owner = 'default' ORDER BY c.sequence LIMIT 1`,
  );
  const findApi = one<ApiRow>(`${apiSelection} WHERE id = ?`);
  const findPlugin = one<PluginRow>(`${pluginSelection} WHERE id = ?`);
  const findRevision = one<{ revision: number }>('SELECT revision FROM revision');

  const findPolicy = one<{ id: string; name: string; doc: string }>(
    `SELECT host_policies.id, name, doc FROM json_each(?) AS asked CROSS JOIN host_policies ON name = asked.value
       ORDER BY asked.key LIMIT 1`,
  );
  const findAuthorityIds = one<{ ids: string }>(
    'SELECT json_group_array(id) AS ids FROM ca_certificates WHERE lower(subject) = lower(?)',
  );
  const findAnyPolicy = one<object>('SELECT 1 FROM host_policies LIMIT 1');

  const policies = createPolicies({
    policy: (names) => findPolicy(JSON.stringify(names)),
    anyPolicy: () => findAnyPolicy() !== undefined,
    authorityIds: (subject) => JSON.parse(findAuthorityIds(subject)?.ids ?? '[]') as readonly string[],
    authority: one('SELECT fingerprint, doc, revision FROM ca_certificates WHERE id = ?'),
  });
  const rules = createRuleIndex();
  const router = createRouter();
  const compileRoute = createRouteCompiler();
  /** Enabled ssl plugins, by API; the global one under ''. */
  const plugins = new Map<string, SslPluginConfig & { readonly id: string }>();
  const apiOfPlugin = new Map<string, string>();
  const unusableApis = new Set<string>();
  const unusablePlugins = new Set<string>();
  const loadedApis = new Set<string>();
  let certificateEpoch = 0;
  let policyEpoch = 0;
  let filling = isFilling();
  let revision = loadAll();

  return {
    get revision() {
      return revision;
    },
    get routes() {
      return router.size;
    },
    get unusableApis() {
      return [...unusableApis];
    },
    get unusablePolicies() {
      return policies.unusable;
    },
    get unusablePlugins() {
      return [...unusablePlugins];
    },
    get certificateEpoch() {
      return certificateEpoch;
    },
    findCertificate(names) {
      const [first = null, second = null, third = null, fourth = null, fifth = null] = names;
      const row = findBound(first, second, third, fourth, fifth);
      return row === undefined ? undefined : toRecord(row);
    },
    absentCertificate(names) {
      if (!filling) return undefined;
      const [first = null, second = null, third = null, fourth = null, fifth = null] = names;
      const absent = findBinding(first, second, third, fourth, fifth)?.id;
      if (absent === undefined) filling = isFilling();
      return absent;
    },
    storedDefault() {
      const row = findDefault();
      return row === undefined ? undefined : toRecord(row);
    },
    matchRoute: router.match,
    findHostPolicy: policies.findHostPolicy,
    findAuthority: policies.findAuthority,
    findAuthoritiesBySubject: policies.findAuthoritiesBySubject,
    findRevocationList: policies.findRevocationList,
    clientCertificateRules: rules.find,
    get policyEpoch() {
      return policyEpoch;
    },
    get hasPolicies() {
      return policies.any || rules.size > 0;
    },
    apply(upTo, changes) {
      const apis = new Set<string>();
      let everyApi = false;
      let anyPolicy = false;
      for (const change of changes) {
        if (change.entity === 'api') apis.add(change.id);
        if (change.entity === 'host_policy' || change.entity === 'ca_certificate') anyPolicy = true;
        if (change.entity !== 'plugin') continue;
        for (const apiId of loadPlugin(change.id)) {
          if (apiId === '') everyApi = true;
          else apis.add(apiId);
        }
      }
      for (const id of apis) loadRoute(id);
      if (everyApi) governAll();
      if (anyPolicy) forgetPolicies();
      if (changes.length > 0) certificateEpoch += 1;
      revision = Math.max(revision, upTo);
    },
    reload() {
      filling = isFilling();
      revision = loadAll();
      certificateEpoch += 1;
      forgetPolicies('another');
    },
    [Symbol.dispose]() {
      database.close();
    },
  };

  function loadAll(): number {
    database.exec('BEGIN');
    try {
      plugins.clear();
      apiOfPlugin.clear();
      unusableApis.clear();
      unusablePlugins.clear();
      const gone = new Set(loadedApis);
      try {
        for (const row of many<PluginRow>(pluginSelection)) setPlugin(row);
        for (const row of many<ApiRow>(apiSelection)) {
          gone.delete(row.id);
          setRoute(row);
        }
      } catch (error) {
        if (!isDamage(error)) throw error;
        damaged();
        for (const id of idsOf('plugins')) loadPlugin(id);
        for (const id of idsOf('apis')) {
          gone.delete(id);
          loadRoute(id);
        }
      }
      for (const id of gone) loadRoute(id);
      return findRevision()?.revision ?? 0;
    } finally {
      // Nothing was written, and a damaged page would fail a COMMIT.
      database.exec('ROLLBACK');
    }
  }

  function isFilling(): boolean {
    const fill = findFill()?.value;
    return fill !== undefined && fill !== fillComplete;
  }

  /** Another global plugin: nothing is read for that, nor looked up. */
  function governAll(): void {
    for (const [apiId, entries] of router.entries()) {
      if (plugins.has(apiId)) continue;
      for (const entry of entries) governRoute(entry, plugins.get(''));
    }
  }

  /** From their index, which is in other pages than they are. */
  function idsOf(table: 'apis' | 'plugins'): readonly string[] {
    return [...many<{ id: string }>(`SELECT id FROM ${table} ORDER BY id`)].map(({ id }) => id);
  }

  function loadRoute(id: string): void {
    const row = readable(() => findApi(id));
    if (row === 'damaged') {
      unusableApis.add(id);
      return;
    }
    unusableApis.delete(id);
    if (row === undefined) {
      loadedApis.delete(id);
      setEntries(id, []);
    } else setRoute(row);
  }

  function setEntries(id: string, entries: readonly Entry[]): void {
    router.set(id, entries);
    if (rules.set(id, entries)) policyEpoch += 1;
  }

  function forgetPolicies(file?: 'another'): void {
    policies.forget(file);
    policyEpoch += 1;
  }

  /** A row that cannot be read leaves its own API without a route, and no other. */
  function setRoute({ id, name, doc, sequence }: ApiRow): void {
    loadedApis.add(id);
    try {
      const { entity, isIntact } = readApi(doc, { id, name });
      if (!isIntact) throw new TypeError('the row is no API');
      setEntries(id, compileRoute(entity, sequence, plugins.get(id) ?? plugins.get('')));
      unusableApis.delete(id);
    } catch {
      setEntries(id, []);
      unusableApis.add(id);
    }
  }

  /** @returns the APIs whose routes it may have changed, the one it left included; '' for all */
  function loadPlugin(id: string): ReadonlySet<string> {
    const left = apiOfPlugin.get(id);
    const row = readable(() => findPlugin(id));
    if (row === 'damaged') {
      unusablePlugins.add(id);
      return left === undefined ? setUnreadPlugin(id) : new Set();
    }
    if (left !== undefined && plugins.get(left)?.id === id) plugins.delete(left);
    apiOfPlugin.delete(id);
    unusablePlugins.delete(id);
    const touched = new Set(left === undefined ? [] : [left]);
    return row === undefined ? touched : touched.add(setPlugin(row));
  }

  /** As if it demanded HTTPS. Which API it is on stands in an index too. */
  function setUnreadPlugin(id: string): ReadonlySet<string> {
    const found = readable(() => {
      const { sequence } = one<{ sequence: number }>('SELECT sequence FROM plugins WHERE id = ?')(id) ?? {};
      const all = many<{ sequence: number; api_id: string | null }>(
        'SELECT sequence, api_id FROM plugins INDEXED BY plugins_api',
      );
      return [...all].find((each) => each.sequence === sequence);
    });
    if (found === undefined || found === 'damaged') return new Set();
    const row = { id, api_id: found.api_id, enabled: 1, certificate_id: '', doc: '' };
    return new Set([setPlugin(row)]);
  }

  /** @returns its API, '' when it is global */
  function setPlugin({ id, api_id, enabled, certificate_id, doc }: PluginRow): string {
    const apiId = api_id ?? '';
    apiOfPlugin.set(id, apiId);
    if (enabled === 0) return apiId;
    const columns = { id, apiId: api_id, enabled: true, certificateId: certificate_id };
    const { entity, isIntact } = readPlugin(doc, columns);
    if (!isIntact) unusablePlugins.add(id);
    plugins.set(apiId, { ...entity.config, id });
    return apiId;
  }

  function one<Row>(sql: string): One<Row> {
    const statement = database.prepare(sql);
    return (...values) => {
      try {
        return statement.get(...values) as Row | undefined;
      } catch (error) {
        if (isDamage(error)) damaged();
        throw error;
      }
    };
  }

  function many<Row>(sql: string): Iterable<Row> {
    return database.prepare(sql).iterate() as unknown as Iterable<Row>;
  }
}

/** SQLITE_CORRUPT and SQLITE_NOTADB (sqlite.org/rescode.html). */
function isDamage(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  return code === 11 || code === 26;
}

function readable<Row>(read: () => Row): Row | 'damaged' {
  try {
    return read();
  } catch (error) {
    if (isDamage(error)) return 'damaged';
    throw error;
  }
}

interface ApiRow {
  readonly id: string;
  readonly name: string;
  readonly doc: string;
  readonly sequence: number;
}

interface PluginRow {
  readonly id: string;
  readonly api_id: string | null;
  readonly enabled: number;
  readonly certificate_id: string;
  readonly doc: string;
}

interface CertificateRow {
  readonly id: string;
  readonly revision: number;
  readonly chain: string;
  readonly sealed_key: string;
  readonly public_key_sha256: string;
  readonly fingerprint: string;
  readonly chain_alt: string | null;
  readonly sealed_key_alt: string | null;
  readonly public_key_sha256_alt: string | null;
  readonly fingerprint_alt: string | null;
}

function toRecord(row: CertificateRow): CertificateRecord {
  const pairs: SealedPair[] = [
    {
      chain: row.chain,
      sealedKey: row.sealed_key,
      publicKeySha256: row.public_key_sha256,
      fingerprint: row.fingerprint,
    },
  ];
  if (row.chain_alt !== null && row.sealed_key_alt !== null) {
    pairs.push({
      chain: row.chain_alt,
      sealedKey: row.sealed_key_alt,
      publicKeySha256: row.public_key_sha256_alt ?? '',
      fingerprint: row.fingerprint_alt ?? '',
    });
  }
  return { id: row.id, revision: row.revision, pairs };
}
