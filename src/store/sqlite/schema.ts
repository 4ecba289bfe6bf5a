// The tables of the embedded store, which are those of every node's replica too. catalog/ reads them, read-only.

import { keyIdSql } from './key-use.ts';

/** One entry a schema version, applied in order, each in a transaction. Never edit one that has been released. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE revision (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL) STRICT;
  INSERT INTO revision VALUES (1, 0);

  CREATE TABLE changes (
    revision INTEGER NOT NULL, position INTEGER NOT NULL,
    entity TEXT NOT NULL, id TEXT NOT NULL, operation TEXT NOT NULL, actor TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (revision, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE apis (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    doc TEXT NOT NULL,                       -- the Api as JSON
    revision INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX apis_upstream_url ON apis (json_extract(doc, '$.upstreamUrl'));
  CREATE TABLE api_hosts (host TEXT NOT NULL, api_id TEXT NOT NULL, PRIMARY KEY (host, api_id)) STRICT, WITHOUT ROWID;
  CREATE TABLE api_uris (uri TEXT NOT NULL, api_id TEXT NOT NULL, PRIMARY KEY (uri, api_id)) STRICT, WITHOUT ROWID;

  CREATE TABLE certificates (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL CHECK (owner IN ('admin', 'plugin', 'default')), plugin_id TEXT,
    chain TEXT NOT NULL, sealed_key TEXT NOT NULL, public_key_sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL,
    chain_alt TEXT, sealed_key_alt TEXT, public_key_sha256_alt TEXT, fingerprint_alt TEXT,
    not_after INTEGER NOT NULL,              -- the sooner of the two pairs', milliseconds
    facts TEXT NOT NULL, facts_alt TEXT,     -- the rest of each KeyPair as JSON
    tags TEXT NOT NULL,                      -- JSON array
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX certificates_not_after ON certificates (not_after);
  CREATE INDEX certificates_owner ON certificates (owner);
  CREATE TABLE certificate_tags (tag TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (tag, sequence))
    STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX certificates_plugin ON certificates (plugin_id) WHERE plugin_id IS NOT NULL;

  CREATE TABLE plugins (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    api_id TEXT REFERENCES apis (id), certificate_id TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    doc TEXT NOT NULL,                       -- the Plugin as JSON
    revision INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX plugins_one_per_api ON plugins (name, coalesce(api_id, ''));
  CREATE INDEX plugins_api ON plugins (api_id);
  CREATE INDEX plugins_certificate ON plugins (certificate_id);

  CREATE TABLE snis (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    certificate_id TEXT NOT NULL REFERENCES certificates (id),
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE sni_tags (tag TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (tag, sequence))
    STRICT, WITHOUT ROWID;
  CREATE INDEX snis_certificate ON snis (certificate_id);

  CREATE TABLE bindings (
    name TEXT PRIMARY KEY,                   -- normal form; '' stands in for the default certificate
    certificate_id TEXT NOT NULL REFERENCES certificates (id),
    holder TEXT NOT NULL CHECK (holder IN ('sni', 'plugin')), holder_id TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX bindings_certificate ON bindings (certificate_id);
  CREATE INDEX bindings_holder ON bindings (holder_id);

  CREATE TABLE intermediates (subject_key TEXT NOT NULL, sha256 TEXT NOT NULL, pem TEXT NOT NULL,
    PRIMARY KEY (subject_key, sha256)) STRICT, WITHOUT ROWID;
  `,
  // The second one answers for certificates with two pairs: under which keys each of them is.
  `
  CREATE INDEX certificates_sealed_under ON certificates (${keyIdSql('sealed_key')});
  CREATE INDEX certificates_sealed_under_alt ON certificates (${keyIdSql('sealed_key_alt')}, ${keyIdSql('sealed_key')})
    WHERE sealed_key_alt IS NOT NULL;
  `,
  // Lists by expiry.
  `
  CREATE INDEX certificates_expiry ON certificates (owner, not_after);
  `,
  // Who may call the Admin API.
  `
  CREATE TABLE tokens (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, prefix TEXT NOT NULL UNIQUE,
    doc TEXT NOT NULL,                       -- the Token as JSON
    revision INTEGER NOT NULL
  ) STRICT;
  `,
  // Who changed what. Empty in replicas.
  `
  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    revision INTEGER NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL, operation TEXT NOT NULL,
    actor TEXT NOT NULL, at INTEGER NOT NULL,
    before TEXT, after TEXT                  -- fingerprints
  ) STRICT;
  `,
  // Authorities that clients' certificates may stand on, and which names and APIs demand such certificates.
  `
  CREATE TABLE ca_certificates (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
    doc TEXT NOT NULL,                       -- the CaCertificate as JSON
    not_after INTEGER NOT NULL,              -- of it or of its list, the sooner, milliseconds
    tags TEXT NOT NULL,                      -- JSON array
    revision INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX ca_certificates_not_after ON ca_certificates (not_after);
  CREATE TABLE ca_certificate_tags (tag TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (tag, sequence))
    STRICT, WITHOUT ROWID;
  CREATE TABLE host_policies (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    doc TEXT NOT NULL,                       -- the HostPolicy as JSON
    revision INTEGER NOT NULL
  ) STRICT;
  -- Whose rule names which authority: APIs and host policies.
  CREATE TABLE rule_authorities (
    authority_id TEXT NOT NULL REFERENCES ca_certificates (id), holder_id TEXT NOT NULL,
    PRIMARY KEY (authority_id, holder_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX rule_authorities_holder ON rule_authorities (holder_id);
  `,
];
