// What a load is told and what it reports.
export interface LoadOptions {
  readonly core: number;
  readonly seconds: number;
  /** For files of its own. */
  readonly folder: string;
}

/** Units done, each checked. `not served`: the product does not do this work. */
export type Load = { readonly kind: 'done'; readonly units: number } | { readonly kind: 'not served' };
