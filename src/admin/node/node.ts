// `/` and `/status`: what this node is and how it does.
import { hostname } from 'node:os';
import { Type } from 'typebox';
import type { AdminDeps, Route } from '../contract.ts';

const anything = Type.Object({}, { additionalProperties: true });

export function nodeRoutes(deps: AdminDeps): readonly Route[] {
  const { store } = deps;
  const dialect = 'own' as const;
  return [
    {
      method: 'GET',
      path: '/',
      dialect,
      summary: 'What this node is',
      answers: { 200: anything },
      handle: async () => ({
        status: 200,
        body: {
          tagline: 'Welcome to portunus',
          version: deps.version,
          hostname: hostname(),
          plugins: {
            available_on_server: { ssl: true },
            enabled_in_cluster: (await store.plugins.count()) > 0 ? ['ssl'] : [],
          },
          configuration: deps.settings ?? {},
        },
      }),
    },
    {
      method: 'GET',
      path: '/status',
      dialect,
      summary: 'How this node does',
      answers: { 200: anything },
      async handle() {
        const status = await deps.status();
        const trouble = deps.storeTrouble();
        return {
          status: 200,
          body: {
            ...status,
            database: {
              reachable: trouble === undefined,
              ...(trouble !== undefined && { reason: trouble }),
              revision: await store.revision(),
              apis: await store.apis.count(),
              plugins: await store.plugins.count(),
              certificates: await store.certificates.count({ owner: 'any' }),
              snis: await store.snis.count(),
              ca_certificates: await store.caCertificates.count(),
              hosts: await store.hostPolicies.count(),
            },
          },
        };
      },
    },
  ];
}
