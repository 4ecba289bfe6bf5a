// `/portunus/nodes`: who is in the cluster, and what each has applied.
import { Type } from 'typebox';
import type { AdminDeps, Route } from '../contract.ts';

const node = Type.Object({
  id: Type.String(),
  name: Type.String(),
  address: Type.String(),
  version: Type.String(),
  state: Type.Enum(['filling', 'serving', 'stopping']),
  live: Type.Boolean(),
  this_node: Type.Boolean(),
  applied_revision: Type.Union([Type.Integer(), Type.Null()]),
  last_seen_ms_ago: Type.Integer(),
  started_at: Type.Integer(),
  key_ids: Type.Array(Type.String()),
});

export function clusterRoutes(deps: AdminDeps): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/portunus/nodes',
      dialect: 'own',
      summary: 'The nodes of the cluster, and the revision each has applied',
      answers: { 200: Type.Object({ data: Type.Array(node), next: Type.Null() }) },
      handle: async () => ({
        status: 200,
        body: {
          data: (await deps.nodes()).map((each) => ({
            id: each.id,
            name: each.name,
            address: each.address,
            version: each.version,
            state: each.state,
            live: each.live,
            this_node: each.thisNode,
            applied_revision: each.applied ?? null,
            last_seen_ms_ago: each.silentMs,
            started_at: each.startedAt,
            key_ids: each.keyIds,
          })),
          next: null,
        },
      }),
    },
  ];
}
