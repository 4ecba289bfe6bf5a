// The six routes of an entity in today's dialect: its list, and one of them.
import type { TObject } from 'typebox';
import type { Route } from '../contract.ts';
import { listOf } from './lists.ts';

type Operation = 'list' | 'create' | 'read' | 'put' | 'patch' | 'remove';

export interface EntityRoutes {
  /** Of the list: `/snis` */
  readonly path: string;
  /** The parameter that names one of them: `sni` */
  readonly key: string;
  readonly query: TObject;
  readonly body: TObject;
  /** Where not every field of `body` may be changed. */
  readonly patchBody?: TObject;
  readonly answer: TObject;
  readonly summaries: Readonly<Record<Operation, string>>;
  readonly handlers: Readonly<Record<Operation, Route['handle']>>;
}

export function entityRoutes(entity: EntityRoutes): readonly Route[] {
  const { path, key, query, body, patchBody = body, answer, summaries, handlers } = entity;
  const one = `${path}/:${key}`;
  const shown = { 200: answer };
  return [
    route('GET', path, 'list', { query, answers: { 200: listOf(answer) } }),
    route('POST', path, 'create', { body, answers: { 201: answer } }),
    route('GET', one, 'read', { answers: shown }),
    route('PUT', one, 'put', { body, answers: shown }),
    route('PATCH', one, 'patch', { body: patchBody, answers: shown }),
    route('DELETE', one, 'remove', { answers: { 204: null } }),
  ];

  function route(
    method: Route['method'],
    at: string,
    operation: Operation,
    rest: Pick<Route, 'query' | 'body' | 'answers'>,
  ): Route {
    return { method, path: at, dialect: 'today', summary: summaries[operation], ...rest, handle: handlers[operation] };
  }
}
