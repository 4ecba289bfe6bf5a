// What the rest of Portunus may say about itself.

/** Structured log; fields never hold key material. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
