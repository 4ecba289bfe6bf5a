// Entities for tests of the store, which keeps them without looking into certificates: the key pairs here are fakes.
import type {
  Api,
  CaCertificate,
  Certificate,
  HostPolicy,
  KeyPair,
  Plugin,
  Sni,
  Token,
} from '../../src/model/entities.ts';

export function fakeApi(id: string, fields: Partial<Api> = {}): Api {
  return {
    id,
    name: `name-${id}`,
    dialect: '0.12',
    hosts: [`${id}.test`],
    uris: [],
    methods: [],
    upstreamUrl: 'http://127.0.0.1:9000',
    stripUri: true,
    preserveHost: false,
    httpsOnly: false,
    httpIfTerminated: false,
    retries: 5,
    upstreamConnectTimeoutMs: 60_000,
    upstreamSendTimeoutMs: 60_000,
    upstreamReadTimeoutMs: 60_000,
    createdAt: 1_700_000_000_000,
    clientCertificate: null,
    hsts: null,
    ...fields,
  };
}

/** Its certificate is `certificateOf(id)`. */
export function fakePlugin(id: string, apiId: string | null, fields: Partial<Plugin> = {}): Plugin {
  return {
    id,
    name: 'ssl',
    apiId,
    enabled: true,
    config: { onlyHttps: false, acceptHttpIfAlreadyTerminated: false },
    certificateId: certificateIdOf(id),
    createdAt: 1_700_000_000_000,
    ...fields,
  };
}

export function certificateIdOf(pluginId: string): string {
  return `certificate-of-${pluginId}`;
}

export function fakeCertificate(id: string, fields: Partial<Certificate> = {}): Certificate {
  return {
    id,
    owner: { kind: 'admin' },
    primary: fakeKeyPair(id),
    alternative: null,
    tags: [],
    createdAt: 1_700_000_000_000,
    updatedAt: 1_700_000_000_000,
    ...fields,
  };
}

export function fakePluginCertificate(pluginId: string, fields: Partial<Certificate> = {}): Certificate {
  return fakeCertificate(certificateIdOf(pluginId), { owner: { kind: 'plugin', pluginId }, ...fields });
}

export function fakeSni(id: string, name: string, certificateId: string, fields: Partial<Sni> = {}): Sni {
  return {
    id,
    name,
    certificateId,
    tags: [],
    createdAt: 1_700_000_000_000,
    updatedAt: 1_700_000_000_000,
    ...fields,
  };
}

export function fakeToken(id: string, fields: Partial<Token> = {}): Token {
  return {
    id,
    name: `name-${id}`,
    role: 'read',
    prefix: `prefix-${id}`,
    hash: `hash of ${id}`,
    createdAt: 1_700_000_000_000,
    expiresAt: null,
    ...fields,
  };
}

export function fakeCaCertificate(id: string, fields: Partial<CaCertificate> = {}): CaCertificate {
  return {
    id,
    certificate: `-----BEGIN CERTIFICATE-----\n${Buffer.from(id).toString('base64')}\n-----END CERTIFICATE-----\n`,
    fingerprint: `fingerprint of ${id}`,
    subject: `CN=${id}`,
    notBefore: 1_600_000_000_000,
    notAfter: 1_900_000_000_000,
    crl: null,
    crlNextUpdate: null,
    tags: [],
    createdAt: 1_700_000_000_000,
    updatedAt: 1_700_000_000_000,
    ...fields,
  };
}

export function fakeHostPolicy(id: string, name: string, fields: Partial<HostPolicy> = {}): HostPolicy {
  return {
    id,
    name,
    clientCertificate: null,
    minVersion: null,
    ciphers: null,
    createdAt: 1_700_000_000_000,
    updatedAt: 1_700_000_000_000,
    ...fields,
  };
}

export function fakeKeyPair(seed: string, fields: Partial<KeyPair> = {}): KeyPair {
  return {
    chain: `-----BEGIN CERTIFICATE-----\n${Buffer.from(seed).toString('base64')}\n-----END CERTIFICATE-----\n`,
    sealedKey: `sealed ${seed}`,
    publicKeySha256: `public key of ${seed}`,
    fingerprint: `fingerprint of ${seed}`,
    keyType: 'ec',
    keyBits: 256,
    subject: `CN=${seed}`,
    issuer: 'CN=authority',
    serialNumber: '01',
    dnsNames: [`${seed}.test`],
    notBefore: 1_600_000_000_000,
    notAfter: 1_900_000_000_000,
    ...fields,
  };
}
