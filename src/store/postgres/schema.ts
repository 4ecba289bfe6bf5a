// The tables of the shared store: those of sqlite/schema.ts, by the same names and columns, so that a replica copies rows
// as they are; and what only a store of many nodes has.

export interface Migration {
  readonly sql: string;
  /** The oldest schema version whose programs can still read the tables after it. They never write them. */
  readonly readableFrom: number;
}

/** The master key's id in a sealed text, null in any other text. Part of the schema: indexes hold it. */
export function keyIdSql(column: string): string {
  return `substring(${column} from '^v1[.]([^.]+)[.]') COLLATE "C"`;
}

/** One entry a schema version, applied in order, each in a transaction. Never edit one that has been released. */
export const migrations: readonly Migration[] = [
  {
    readableFrom: 1,
    sql: `
  CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);

  -- One row, which every write locks first.
  CREATE TABLE revision (
    one integer PRIMARY KEY CHECK (one = 1),
    revision bigint NOT NULL,
    schema_version integer NOT NULL,
    readable_from integer NOT NULL
  ) WITH (fillfactor = 10);
  INSERT INTO revision VALUES (1, 0, 0, 0);

  CREATE TABLE changes (
    revision bigint NOT NULL, position integer NOT NULL,
    entity text NOT NULL, id text NOT NULL, operation text NOT NULL, actor text NOT NULL, at bigint NOT NULL,
    PRIMARY KEY (revision, position)
  );

  CREATE TABLE apis (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, name text COLLATE "C" NOT NULL UNIQUE,
    doc text NOT NULL,                       -- the Api as JSON
    revision bigint NOT NULL
  );
  -- Hash indexes have no limit to the length of a value.
  CREATE INDEX apis_upstream_url ON apis USING hash ((doc::json ->> 'upstreamUrl'));
  CREATE TABLE api_hosts (host text COLLATE "C" NOT NULL, api_id text COLLATE "C" NOT NULL);
  CREATE INDEX api_hosts_host ON api_hosts USING hash (host);
  CREATE INDEX api_hosts_api ON api_hosts (api_id);
  CREATE TABLE api_uris (uri text COLLATE "C" NOT NULL, api_id text COLLATE "C" NOT NULL);
  CREATE INDEX api_uris_uri ON api_uris USING hash (uri);
  CREATE INDEX api_uris_api ON api_uris (api_id);

  CREATE TABLE certificates (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    owner text NOT NULL CHECK (owner IN ('admin', 'plugin', 'default')), plugin_id text COLLATE "C",
    chain text NOT NULL, sealed_key text NOT NULL, public_key_sha256 text NOT NULL, fingerprint text NOT NULL,
    chain_alt text, sealed_key_alt text, public_key_sha256_alt text, fingerprint_alt text,
    not_after bigint NOT NULL,               -- the sooner of the two pairs', milliseconds
    facts text NOT NULL, facts_alt text,     -- the rest of each KeyPair as JSON
    tags text NOT NULL,                      -- JSON array
    created_at bigint NOT NULL, updated_at bigint NOT NULL,
    revision bigint NOT NULL
  );
  CREATE INDEX certificates_not_after ON certificates (not_after);
  CREATE INDEX certificates_owner ON certificates (owner, sequence);
  CREATE UNIQUE INDEX certificates_plugin ON certificates (plugin_id) WHERE plugin_id IS NOT NULL;
  CREATE INDEX certificates_key ON certificates ((${keyIdSql('sealed_key')}));
  CREATE INDEX certificates_key_alt ON certificates ((${keyIdSql('sealed_key_alt')})) WHERE sealed_key_alt IS NOT NULL;
  CREATE TABLE certificate_tags (tag text COLLATE "C" NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (tag, sequence));
  CREATE INDEX certificate_tags_sequence ON certificate_tags (sequence);

  CREATE TABLE plugins (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, name text COLLATE "C" NOT NULL,
    api_id text COLLATE "C" REFERENCES apis (id), certificate_id text COLLATE "C" NOT NULL,
    enabled integer NOT NULL,
    doc text NOT NULL,                       -- the Plugin as JSON
    revision bigint NOT NULL
  );
  CREATE UNIQUE INDEX plugins_one_per_api ON plugins (name, coalesce(api_id, ''));
  CREATE INDEX plugins_api ON plugins (api_id);
  CREATE INDEX plugins_certificate ON plugins (certificate_id);

  CREATE TABLE snis (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, name text COLLATE "C" NOT NULL UNIQUE,
    certificate_id text COLLATE "C" NOT NULL REFERENCES certificates (id),
    tags text NOT NULL,
    created_at bigint NOT NULL, updated_at bigint NOT NULL,
    revision bigint NOT NULL
  );
  CREATE INDEX snis_certificate ON snis (certificate_id);
  CREATE TABLE sni_tags (tag text COLLATE "C" NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (tag, sequence));
  CREATE INDEX sni_tags_sequence ON sni_tags (sequence);

  CREATE TABLE bindings (
    name text COLLATE "C" PRIMARY KEY,       -- normal form; '' stands in for the default certificate
    certificate_id text COLLATE "C" NOT NULL REFERENCES certificates (id),
    holder text NOT NULL CHECK (holder IN ('sni', 'plugin')), holder_id text COLLATE "C" NOT NULL
  );
  CREATE INDEX bindings_certificate ON bindings (certificate_id, name);
  CREATE INDEX bindings_holder ON bindings (holder_id);

  CREATE TABLE intermediates (subject_key text COLLATE "C" NOT NULL, sha256 text COLLATE "C" NOT NULL, pem text NOT NULL,
    PRIMARY KEY (subject_key, sha256));

  CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY, instance text NOT NULL, name text COLLATE "C" NOT NULL,
    address text NOT NULL, version text NOT NULL,
    applied bigint, state text NOT NULL, key_ids text NOT NULL,
    started_at timestamptz NOT NULL, seen_at timestamptz NOT NULL
  ) WITH (fillfactor = 50);
  `,
  },
  {
    readableFrom: 1,
    sql: `
  -- Lists by expiry.
  CREATE INDEX certificates_expiry ON certificates (owner, not_after, sequence);
  `,
  },
  {
    readableFrom: 1,
    sql: `
  -- Who may call the Admin API.
  CREATE TABLE tokens (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, name text COLLATE "C" NOT NULL UNIQUE, prefix text COLLATE "C" NOT NULL UNIQUE,
    doc text NOT NULL,                       -- the Token as JSON
    revision bigint NOT NULL
  );
  `,
  },
  {
    readableFrom: 1,
    sql: `
  -- Who changed what.
  CREATE TABLE audit (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision bigint NOT NULL, entity text NOT NULL, id text NOT NULL, operation text NOT NULL,
    actor text NOT NULL, at bigint NOT NULL,
    before text, after text                  -- fingerprints
  );
  `,
  },
  {
    // As long as no rule is written an older program ignores nothing: see `demandNewerReaders`.
    readableFrom: 1,
    sql: `
  -- Authorities that clients' certificates may stand on, and which names and APIs demand such certificates.
  CREATE TABLE ca_certificates (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, fingerprint text COLLATE "C" NOT NULL UNIQUE, subject text NOT NULL,
    doc text NOT NULL,                       -- the CaCertificate as JSON
    not_after bigint NOT NULL,               -- of it or of its list, the sooner, milliseconds
    tags text NOT NULL,                      -- JSON array
    revision bigint NOT NULL
  );
  CREATE INDEX ca_certificates_not_after ON ca_certificates (not_after);
  CREATE TABLE ca_certificate_tags (tag text COLLATE "C" NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (tag, sequence));
  CREATE INDEX ca_certificate_tags_sequence ON ca_certificate_tags (sequence);
  CREATE TABLE host_policies (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, name text COLLATE "C" NOT NULL UNIQUE,
    doc text NOT NULL,                       -- the HostPolicy as JSON
    revision bigint NOT NULL
  );
  -- Whose rule names which authority: APIs and host policies.
  CREATE TABLE rule_authorities (
    authority_id text COLLATE "C" NOT NULL REFERENCES ca_certificates (id), holder_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, holder_id)
  );
  CREATE INDEX rule_authorities_holder ON rule_authorities (holder_id);
  `,
  },
];

/** What this program reads and writes. */
export const schemaVersion = migrations.length;

/** The first one whose programs know rules about client certificates. */
export const rulesKnownFrom = 5;
