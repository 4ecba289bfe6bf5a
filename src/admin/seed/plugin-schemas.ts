// /plugins/enabled and /plugins/schema/{name}: what the seed's clients ask before they show a form.
import { Type } from 'typebox';
import type { Route } from '../contract.ts';
import { notFound } from '../not-found.ts';

const sslSchema = {
  no_consumer: true,
  fields: {
    cert: { type: 'string', required: true, func: 'function' },
    key: { type: 'string', required: true, func: 'function' },
    passphrase: { type: 'string', required: false },
    only_https: { type: 'boolean', required: false, default: false },
    accept_http_if_already_terminated: { type: 'boolean', required: false, default: false },
  },
};

export function pluginSchemaRoutes(): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/plugins/enabled',
      dialect: 'seed',
      summary: 'The plugins this node has',
      answers: { 200: Type.Object({ enabled_plugins: Type.Array(Type.String()) }) },
      handle: async () => ({ status: 200, body: { enabled_plugins: ['ssl'] } }),
    },
    {
      method: 'GET',
      path: '/plugins/schema/:name',
      dialect: 'seed',
      summary: 'The configuration of a plugin',
      answers: {
        200: Type.Object({ fields: Type.Object({}, { additionalProperties: true }) }, { additionalProperties: true }),
      },
      handle: async ({ params }) => {
        const name = params['name'] ?? '';
        if (name !== 'ssl') throw notFound(`No plugin named '${name.slice(0, 100)}'`);
        return { status: 200, body: sslSchema };
      },
    },
  ];
}
