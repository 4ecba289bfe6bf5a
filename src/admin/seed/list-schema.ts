// What a list of the seed dialect looks like in the OpenAPI document, and which query arguments it takes.
import { Type, type TObject, type TSchema } from 'typebox';

export function seedListOf(item: TSchema): TObject {
  return Type.Object({
    data: Type.Array(item),
    total: Type.Integer({ minimum: 0 }),
    next: Type.Optional(Type.String({ description: 'URL of the next page; absent on the last.' })),
    offset: Type.Optional(Type.String()),
  });
}

export function seedListQuery(filters: readonly string[]): TObject {
  return Type.Object({
    size: Type.Optional(Type.Integer({ minimum: 1, default: 100 })),
    offset: Type.Optional(Type.String()),
    ...Object.fromEntries(filters.map((name) => [name, Type.Optional(Type.String())])),
  });
}
