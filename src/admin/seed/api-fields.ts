// An API as the seed dialect spells it, in two generations: `request_host`, `request_path` (Kong 0.9) and `hosts`, `uris`,
// `methods` (0.10 to 0.12). An API remembers its generation and is answered in it.
import { Type, type Static } from 'typebox';
import type { Api, ApiDialect } from '../../model/entities.ts';
import { showRule, ruleFields } from '../policies/rule-fields.ts';
import { ignored, nullable, uuid } from '../schemas.ts';
import { hstsFields, showHsts } from './hsts-fields.ts';

const timeoutMs = Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'Milliseconds.' });

const oldFields = {
  request_host: Type.Optional(nullable(Type.String({ description: 'Kong 0.9: one host name or wildcard, unique.' }))),
  request_path: Type.Optional(nullable(Type.String({ description: 'Kong 0.9: one path prefix, unique.' }))),
  strip_request_path: Type.Optional(nullable(Type.Boolean({ default: false }))),
};

const newFields = {
  hosts: Type.Optional(nullable(Type.Array(Type.String(), { description: 'Kong 0.10 to 0.12.' }))),
  uris: Type.Optional(nullable(Type.Array(Type.String()))),
  methods: Type.Optional(nullable(Type.Array(Type.String()))),
  strip_uri: Type.Optional(nullable(Type.Boolean({ default: true }))),
  https_only: Type.Optional(nullable(Type.Boolean({ default: false }))),
  http_if_terminated: Type.Optional(nullable(Type.Boolean({ default: false }))),
  retries: Type.Optional(nullable(Type.Integer({ minimum: 0, maximum: 32_767, default: 5 }))),
  upstream_connect_timeout: Type.Optional(nullable(timeoutMs)),
  upstream_send_timeout: Type.Optional(nullable(timeoutMs)),
  upstream_read_timeout: Type.Optional(nullable(timeoutMs)),
};

export const apiBody = Type.Object(
  {
    id: Type.Optional(uuid),
    name: Type.Optional(
      nullable(Type.String({ description: 'Unique. Kong 0.9: made of the host or path by default.' })),
    ),
    upstream_url: Type.String(),
    preserve_host: Type.Optional(nullable(Type.Boolean({ default: false }))),
    ...ruleFields,
    ...hstsFields,
    ...oldFields,
    ...newFields,
    created_at: Type.Optional(ignored),
  },
  { additionalProperties: false },
);
export const apiPatch = Type.Partial(apiBody, { additionalProperties: false });
export type ApiFields = Partial<Static<typeof apiBody>>;

/** The fields of one generation that a body has. */
export function fieldsOf(dialect: ApiDialect, names: readonly string[]): readonly string[] {
  const own = dialect === '0.9' ? oldFields : newFields;
  return names.filter((name) => Object.hasOwn(own, name));
}

/** Absent values are left out; times are milliseconds. */
export function showApi(api: Api): object {
  const [host] = api.hosts;
  const [uri] = api.uris;
  const common = {
    id: api.id,
    name: api.name,
    upstream_url: api.upstreamUrl,
    preserve_host: api.preserveHost,
    // Kong's clients see what they know where these are not used.
    ...(api.clientCertificate !== null && showRule(api.clientCertificate)),
    ...(api.hsts !== null && showHsts(api.hsts)),
  };
  if (api.dialect === '0.9') {
    return {
      ...common,
      ...(host !== undefined && { request_host: host }),
      ...(uri !== undefined && { request_path: uri }),
      strip_request_path: api.stripUri,
      created_at: api.createdAt,
    };
  }
  return {
    ...common,
    ...(api.hosts.length > 0 && { hosts: api.hosts }),
    ...(api.uris.length > 0 && { uris: api.uris }),
    ...(api.methods.length > 0 && { methods: api.methods }),
    strip_uri: api.stripUri,
    https_only: api.httpsOnly,
    http_if_terminated: api.httpIfTerminated,
    retries: api.retries,
    upstream_connect_timeout: api.upstreamConnectTimeoutMs,
    upstream_send_timeout: api.upstreamSendTimeoutMs,
    upstream_read_timeout: api.upstreamReadTimeoutMs,
    created_at: api.createdAt,
  };
}
