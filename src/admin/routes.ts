// Every route of the Admin API: what the server answers and what /openapi.json describes.
import type { AdminDeps, Route } from './contract.ts';
import { apiRoutes } from './seed/apis.ts';
import { pluginRoutes } from './seed/plugins.ts';
import { pluginSchemaRoutes } from './seed/plugin-schemas.ts';
import { hostRoutes } from './policies/hosts.ts';
import { caCertificateRoutes } from './today/ca-certificates.ts';
import { certificateRoutes } from './today/certificates.ts';
import { sniRoutes } from './today/snis.ts';
import { schemaRoutes } from './today/schemas.ts';
import { withOpenApi } from './node/openapi.ts';
import { nodeRoutes } from './node/node.ts';
import { auditRoutes } from './node/audit.ts';
import { clusterRoutes } from './node/nodes.ts';

export function adminRoutes(deps: AdminDeps): readonly Route[] {
  const routes = [
    ...nodeRoutes(deps),
    ...clusterRoutes(deps),
    ...auditRoutes(deps),
    ...apiRoutes(deps),
    ...pluginSchemaRoutes(),
    ...pluginRoutes(deps),
    ...certificateRoutes(deps),
    ...sniRoutes(deps),
    ...caCertificateRoutes(deps),
    ...hostRoutes(deps),
    ...schemaRoutes(deps),
  ];
  return withOpenApi(routes, deps.version);
}
