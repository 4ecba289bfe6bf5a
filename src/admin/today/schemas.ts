// /schemas/{certificates, snis, ca_certificates}: what an entity is made of, and whether a body would pass. Checks fields and certificates, not
// what is stored.
import { Type, type TObject } from 'typebox';
import { newId } from '../../lib/new-id.ts';
import { decodeFields } from '../bodies/decode-fields.ts';
import { todayPhrases } from '../bodies/phrases.ts';
import type { AdminDeps, Answer, Call, Route } from '../contract.ts';
import { caCertificateBody } from './ca-certificate-fields.ts';
import { composeCaCertificate } from './compose-ca-certificate.ts';
import { certificateBody } from './certificate-fields.ts';
import { composeCertificate } from './compose-certificate.ts';
import { composeSni } from './compose-sni.ts';
import { sniBody } from './sni-fields.ts';

const successful: Answer = { status: 200, body: { message: 'schema validation successful' } };

export function schemaRoutes(deps: AdminDeps): readonly Route[] {
  return [
    ...routesOf('certificates', certificateBody, async (call) => {
      const decoded = decodeFields(certificateBody, call.body, todayPhrases);
      const place = { id: newId(), names: [], unsent: 'default' } as const;
      await deps.store.rehearse(call.actor, (tx) => composeCertificate(deps, tx, call, decoded, place));
      return successful;
    }),
    ...routesOf('snis', sniBody, async (call) => {
      composeSni(call, { now: deps.now() });
      return successful;
    }),
    ...routesOf('ca_certificates', caCertificateBody, async (call) => {
      const decoded = decodeFields(caCertificateBody, call.body, todayPhrases);
      const place = { id: newId(), unsent: 'default', now: deps.now(), force: call.force } as const;
      composeCaCertificate(deps.config, decoded, place);
      return successful;
    }),
  ];
}

function routesOf(entity: string, body: TObject, validate: (call: Call) => Promise<Answer>): readonly Route[] {
  const dialect = 'today' as const;
  const path = `/schemas/${entity}`;
  return [
    {
      method: 'GET',
      path,
      dialect,
      summary: `The fields of ${entity}`,
      answers: { 200: Type.Object({ fields: Type.Array(Type.Object({}, { additionalProperties: true })) }) },
      handle: async () => ({ status: 200, body: { fields: describeFields(body) } }),
    },
    {
      method: 'POST',
      path: `${path}/validate`,
      dialect,
      summary: `Check fields as they would be sent to /${entity}`,
      body,
      answers: { 200: Type.Object({ message: Type.String() }) },
      handle: validate,
    },
  ];
}

interface Shape {
  readonly type?: string;
  readonly format?: string;
  readonly anyOf?: readonly Shape[];
  readonly items?: Shape;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
}

function describeFields({ properties = {}, required = [] }: Shape): readonly object[] {
  return Object.entries(properties).map(([name, property]) => ({
    [name]: { ...describe(property), ...(required.includes(name) && { required: true }) },
  }));
}

function describe(property: Shape): object {
  const shape = property.anyOf?.find(({ type }) => type !== 'null') ?? property;
  if (shape.type === 'array') return { type: 'array', elements: describe(shape.items ?? {}) };
  if (shape.type === 'object') return { type: 'record', fields: describeFields(shape) };
  return { type: shape.type ?? 'integer', ...(shape.format === 'uuid' && { uuid: true }) };
}
