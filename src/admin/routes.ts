// Every route of the Admin API: what the server answers and what /openapi.json describes.
import type { AdminDeps, Route } from './contract.ts';
import { apiRoutes } from './seed/apis.ts';
import { pluginRoutes } from './seed/plugins.ts';
import { pluginSchemaRoutes } from './seed/plugin-schemas.ts';
import { nodeRoutes } from './node/node.ts';

export function adminRoutes(deps: AdminDeps): readonly Route[] {
  return [...nodeRoutes(deps), ...apiRoutes(deps), ...pluginSchemaRoutes(), ...pluginRoutes(deps)];
}
