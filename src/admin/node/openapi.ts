// /openapi.json: the routes as an OpenAPI 3.1 document, made of the schemas that bodies are decoded with.
import { Type, type TObject } from 'typebox';
import { mediaTypes } from '../bodies/request-body.ts';
import type { Route } from '../contract.ts';
import { writeQuery } from '../read-call.ts';

/** @returns `routes` and the route that describes them and itself */
export function withOpenApi(routes: readonly Route[], version: string): readonly Route[] {
  const all: Route[] = [...routes];
  let document: object | undefined;
  all.push({
    method: 'GET',
    path: '/openapi.json',
    dialect: 'own',
    summary: 'This document',
    answers: { 200: Type.Object({}, { additionalProperties: true }) },
    handle: async () => ({ status: 200, body: (document ??= describeRoutes(all, version)) }),
  });
  return all;
}

function describeRoutes(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = (paths[documentPath(route.path)] ??= {});
    path[route.method.toLowerCase()] = describeRoute(route);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Portunus Admin API', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    // A listener may demand none.
    security: [{}, { token: [] }, { kongAdminToken: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        kongAdminToken: { type: 'apiKey', in: 'header', name: 'Kong-Admin-Token' },
      },
    },
  };
}

/** `/apis/:api` → `/apis/{api}` */
export function documentPath(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}');
}

function describeRoute(route: Route): object {
  const parameters = [
    ...[...route.path.matchAll(/:(\w+)/g)].map(([, name]) => parameter('path', name ?? '', true, { type: 'string' })),
    ...queryParameters(route),
  ];
  return {
    operationId: `${route.method.toLowerCase()}${route.path.replaceAll(/[/:.]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: route.summary,
    tags: [tags[route.dialect]],
    ...(parameters.length > 0 && { parameters }),
    ...(route.body !== undefined && {
      requestBody: { content: Object.fromEntries(mediaTypes.map((type) => [type, { schema: route.body }])) },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, schema]) => [
          status,
          schema === null
            ? { description: 'Done' }
            : { description: 'Done', content: { 'application/json': { schema } } },
        ]),
      ),
      default: errorResponse[route.dialect],
    },
  };
}

const tags = { seed: 'Kong 0.9 to 0.12', today: 'Kong 3', own: 'Portunus' } as const;

function queryParameters({ method, query, body }: Route): readonly object[] {
  const own = query === undefined ? [] : entriesOf(query);
  const flags =
    method === 'GET' ? [] : entriesOf(writeQuery).filter(([name]) => name !== 'force' || body !== undefined);
  return [...own, ...flags].map(([name, schema]) => parameter('query', name, false, schema));
}

function entriesOf(schema: TObject): readonly (readonly [string, object])[] {
  return Object.entries(schema.properties);
}

function parameter(place: 'path' | 'query', name: string, required: boolean, schema: object): object {
  return { name, in: place, required, schema };
}

const flatError = Type.Object(
  { message: Type.Optional(Type.String()), code: Type.Optional(Type.String()), hint: Type.Optional(Type.String()) },
  { additionalProperties: Type.String(), description: 'Messages by field, dotted.' },
);

const errorObject = Type.Object({
  message: Type.String(),
  code: Type.Optional(Type.Integer({ description: 'As Kong 3 numbers them.' })),
  name: Type.Optional(Type.String()),
  fields: Type.Optional(Type.Object({}, { additionalProperties: true })),
  reason: Type.Optional(Type.String({ description: 'A code of docs/errors.md.' })),
  hint: Type.Optional(Type.String()),
});

const errorResponse = {
  seed: { description: 'Refused', content: { 'application/json': { schema: flatError } } },
  today: { description: 'Refused', content: { 'application/json': { schema: errorObject } } },
  own: { description: 'Refused', content: { 'application/json': { schema: flatError } } },
} as const;
