// Documents of the store → entities. A row may hold anything: what a disk, a hand or another program has made of it costs that
// row what is wrong in it, and nothing else.
import type {
  Api,
  CaCertificate,
  ClientCertificateRule,
  HostPolicy,
  Plugin,
  StrictTransportSecurity,
  Token,
} from './entities.ts';

export interface ReadDoc<E> {
  readonly entity: E;
  /** False: something in it was not what it must be, and is as in `standIn`. */
  readonly isIntact: boolean;
}

/** What is not in the document is as in `standIn`: an older program may have written it. */
export function readDoc<E extends object>(doc: string, standIn: E): ReadDoc<E> {
  const { value, isIntact } = fill(parsed(doc) ?? null, standIn);
  return { entity: value as E, isIntact };
}

export function readApi(doc: string, columns: Pick<Api, 'id' | 'name'>): ReadDoc<Api> {
  const read = readRow(doc, emptyApi, columns);
  const { clientCertificate, hsts } = read.entity;
  if (isRule(clientCertificate) && isHsts(hsts)) return read;
  return {
    entity: {
      ...read.entity,
      clientCertificate: isRule(clientCertificate) ? clientCertificate : nobody,
      hsts: isHsts(hsts) ? hsts : null,
    },
    isIntact: false,
  };
}

export function readHostPolicy(doc: string, columns: Pick<HostPolicy, 'id' | 'name'>): ReadDoc<HostPolicy> {
  const { id, name } = columns;
  const { entity, isIntact } = readRow(doc, emptyPolicy, { id, name });
  if (isIntact && isRule(entity.clientCertificate)) return { entity, isIntact };
  return { entity: { ...emptyPolicy, id, name, clientCertificate: nobody }, isIntact: false };
}

export function readCaCertificate(
  doc: string,
  columns: Pick<CaCertificate, 'id' | 'fingerprint'>,
): ReadDoc<CaCertificate> {
  const { entity, isIntact } = readRow(doc, emptyAuthority, columns);
  // Without what it has revoked it would vouch for more than it does.
  const hasList = entity.crl === null || typeof entity.crl === 'string';
  return hasList ? { entity, isIntact } : { entity: { ...entity, crl: null }, isIntact: false };
}

export function readPlugin(
  doc: string,
  columns: Pick<Plugin, 'id' | 'apiId' | 'enabled' | 'certificateId'>,
): ReadDoc<Plugin> {
  return readRow(doc, emptyPlugin, columns);
}

/** One that is not intact lets nobody in. */
export function readToken(doc: string, columns: Pick<Token, 'id' | 'name' | 'prefix'>): Token {
  const { entity, isIntact } = readRow(doc, emptyToken, columns);
  return isIntact && roles.includes(entity.role) ? entity : { ...emptyToken, ...columns };
}

/** A JSON array of texts; of anything else, nothing. */
export function readTexts(json: string): readonly string[] {
  return readDoc(`{"texts":${json}}`, { texts: [] as readonly string[] }).entity.texts;
}

/** @param columns what the row has in columns of its own, which stand whatever the document says */
function readRow<E extends { readonly id: string }>(doc: string, standIn: E, columns: Partial<E>): ReadDoc<E> {
  const { entity, isIntact } = readDoc<E>(doc, standIn);
  const isSame = Object.entries(columns).every(([key, value]) => entity[key as keyof E] === value);
  return { entity: isSame ? entity : { ...entity, ...columns }, isIntact: isIntact && entity.id === columns.id };
}

const emptyApi: Api = {
  id: '',
  name: '',
  dialect: '0.12',
  hosts: [],
  uris: [],
  methods: [],
  upstreamUrl: '',
  stripUri: true,
  preserveHost: false,
  httpsOnly: false,
  httpIfTerminated: false,
  retries: 5,
  upstreamConnectTimeoutMs: 60_000,
  upstreamSendTimeoutMs: 60_000,
  upstreamReadTimeoutMs: 60_000,
  createdAt: 0,
  clientCertificate: null,
  hsts: null,
};

/** The rule in the place of one that cannot be read: nobody gets in where it may have kept somebody out. */
const nobody: ClientCertificateRule = { mode: 'required', authorities: [], depth: 0 };

const emptyPolicy: HostPolicy = {
  id: '',
  name: '',
  clientCertificate: null,
  minVersion: null,
  ciphers: null,
  createdAt: 0,
  updatedAt: 0,
};

const emptyAuthority: CaCertificate = {
  id: '',
  certificate: '',
  fingerprint: '',
  subject: '',
  notBefore: 0,
  notAfter: 0,
  crl: null,
  crlNextUpdate: null,
  tags: [],
  createdAt: 0,
  updatedAt: 0,
};

/** Nobody may be served in the clear whom the plugin that is meant would keep from it. */
const emptyPlugin: Plugin = {
  id: '',
  name: 'ssl',
  apiId: null,
  enabled: true,
  config: { onlyHttps: true, acceptHttpIfAlreadyTerminated: false },
  certificateId: '',
  createdAt: 0,
};

const roles: readonly unknown[] = ['admin', 'certificates', 'read'] satisfies Token['role'][];
const emptyToken: Token = { id: '', name: '', role: 'read', prefix: '', hash: '', createdAt: 0, expiresAt: null };

function isRule(value: unknown): value is ClientCertificateRule | null {
  if (value === null) return true;
  return isWhole(value, nobody) && ['optional', 'required'].includes((value as ClientCertificateRule).mode);
}

function isHsts(value: unknown): value is StrictTransportSecurity | null {
  return value === null || isWhole(value, { maxAge: 0, includeSubdomains: false, preload: false });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** The sample where the value is of another kind. */
function fill(value: unknown, sample: unknown): { readonly value: unknown; readonly isIntact: boolean } {
  if (value === undefined) return { value: sample, isIntact: true };
  if (isWhole(value, sample)) return { value, isIntact: true };
  if (!isRecord(value) || !isRecord(sample)) return { value: sample, isIntact: false };
  const filled = Object.keys(sample).map((key) => [key, fill(value[key], sample[key])] as const);
  return {
    value: { ...value, ...Object.fromEntries(filled.map(([key, each]) => [key, each.value])) },
    isIntact: filled.every(([, each]) => each.isIntact),
  };
}

/** As nearly every row is: nothing is missing and nothing of another kind. Null, as a sample, stands for what may be anything. */
function isWhole(value: unknown, sample: unknown): boolean {
  if (sample === null) return value !== undefined;
  if (Array.isArray(sample)) return Array.isArray(value) && value.every((each) => typeof each === 'string');
  if (!isRecord(sample)) return typeof value === typeof sample;
  if (!isRecord(value)) return false;
  for (const key in sample) if (!isWhole(value[key], sample[key])) return false;
  return true;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
