// What a response's head means once its form is checked: body framing and persistence (RFC 9112 sections 6.3 and 9.3).
import { type BodyKind, checkTransferEncoding, parseContentLength } from './body-framing.ts';
import type { HttpCode } from './codes.ts';
import { option, parseConnectionOptions } from './connection-options.ts';
import { field } from './field-names.ts';
import type { FieldLines } from './field-lines.ts';
import type { HeadParser } from './head-parser.ts';
import type { Response } from './message.ts';

/** One for each upstream connection, filled again by each response; valid until the next. */
export class ResponseHead implements Response {
  readonly fields: FieldLines;
  version: 10 | 11 = 11;
  status = 0;
  /** Code and reason as they came: `200 OK`. */
  statusText = '';
  bodyKind: BodyKind = 'none';
  /** For `length`; also what Content-Length says of a body that is not sent. -1: it says nothing. */
  contentLength = -1;
  keepAlive = true;
  hasDate = false;
  /** The protocols of a 101. */
  upgrade: string | undefined;
  connectionNames: readonly string[] | undefined;

  readonly #parser: HeadParser;

  constructor(parser: HeadParser) {
    this.#parser = parser;
    this.fields = parser.fields;
  }

  /** Reads what the parser has just completed. @param method of the request that it answers */
  read(method: string): HttpCode | undefined {
    const { fields, text, status, version } = this.#parser;
    this.version = version === 10 ? 10 : 11;
    this.status = status;
    this.statusText = text.slice(this.#parser.statusStart, this.#parser.statusEnd);
    this.hasDate = false;
    this.upgrade = undefined;
    let length: string | undefined;
    let codings: string | undefined;
    let connection: string | undefined;
    for (let index = 0; index < fields.count; index += 1) {
      switch (fields.id(index)) {
        case field.contentLength:
          if (length !== undefined) return 'HTTP_CONTENT_LENGTH_INVALID';
          length = fields.value(index);
          break;
        case field.transferEncoding:
          codings = codings === undefined ? fields.value(index) : `${codings}, ${fields.value(index)}`;
          break;
        case field.connection:
          connection = connection === undefined ? fields.value(index) : `${connection}, ${fields.value(index)}`;
          break;
        case field.date:
          this.hasDate = true;
          break;
        case field.upgrade:
          this.upgrade = this.upgrade === undefined ? fields.value(index) : `${this.upgrade}, ${fields.value(index)}`;
          break;
        default:
          break;
      }
    }
    const options = parseConnectionOptions(connection);
    this.connectionNames = options.names;
    this.keepAlive = (options.bits & option.close) === 0 && (version === 11 || (options.bits & option.keepAlive) !== 0);
    return this.#readFraming(method, version, length, codings);
  }

  #readFraming(
    method: string,
    version: number,
    length: string | undefined,
    codings: string | undefined,
  ): HttpCode | undefined {
    this.contentLength = -1;
    if (codings !== undefined) {
      if (length !== undefined || version === 10) return 'HTTP_FRAMING_AMBIGUOUS';
      const code = checkTransferEncoding(codings);
      if (code !== undefined) return code;
    }
    if (length !== undefined) {
      this.contentLength = parseContentLength(length);
      if (this.contentLength === -1) return 'HTTP_CONTENT_LENGTH_INVALID';
    }
    if (method === 'HEAD' || this.status < 200 || this.status === 204 || this.status === 304) this.bodyKind = 'none';
    else if (codings !== undefined) this.bodyKind = 'chunked';
    else if (this.contentLength === -1) this.bodyKind = 'until-close';
    else this.bodyKind = this.contentLength === 0 ? 'none' : 'length';
    return undefined;
  }
}
