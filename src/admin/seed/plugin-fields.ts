// The ssl plugin as the seed dialect spells it.
import { Type, type Static } from 'typebox';
import type { Certificate, Plugin } from '../../model/entities.ts';
import { shownKey, type PairDeps } from '../certificate-input.ts';
import { certificateBytes, ignored, keyBytes, nullable, passphrase, uuid } from '../schemas.ts';

export const pluginBody = Type.Object(
  {
    id: Type.Optional(uuid),
    name: Type.String({ description: 'ssl' }),
    api_id: Type.Optional(nullable(uuid)),
    consumer_id: Type.Optional(nullable(Type.String({ description: 'Refused: no consumer can be configured.' }))),
    enabled: Type.Optional(nullable(Type.Boolean({ default: true }))),
    config: Type.Optional(
      Type.Object(
        {
          cert: Type.Optional(certificateBytes),
          key: Type.Optional(keyBytes),
          passphrase: Type.Optional(passphrase),
          only_https: Type.Optional(nullable(Type.Boolean({ default: false }))),
          accept_http_if_already_terminated: Type.Optional(nullable(Type.Boolean({ default: false }))),
          _cert_der_cache: Type.Optional(ignored),
          _key_der_cache: Type.Optional(ignored),
        },
        { additionalProperties: false },
      ),
    ),
    created_at: Type.Optional(ignored),
  },
  { additionalProperties: false },
);
export const pluginPatch = Type.Partial(pluginBody, { additionalProperties: false });
export const pluginAnswer = Type.Partial(pluginBody);
export type PluginFields = Partial<Static<typeof pluginBody>>;

export function showPlugin(deps: PairDeps, plugin: Plugin, certificate: Certificate): object {
  return {
    id: plugin.id,
    name: plugin.name,
    ...(plugin.apiId !== null && { api_id: plugin.apiId }),
    enabled: plugin.enabled,
    config: {
      cert: certificate.primary.chain,
      key: shownKey(deps, certificate.primary),
      only_https: plugin.config.onlyHttps,
      accept_http_if_already_terminated: plugin.config.acceptHttpIfAlreadyTerminated,
    },
    created_at: plugin.createdAt,
  };
}
