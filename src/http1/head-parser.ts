// Bytes → the head of a request or a response, or a trailer section, in one pass and across any split of the bytes. Checks
// form only (RFC 9112 sections 2 to 5); what the fields mean is in request-head.ts and response-head.ts.
import { type HttpCode, progress } from './codes.ts';
import { FieldLines } from './field-lines.ts';
import { field, hashStep, identify } from './field-names.ts';
import { fieldValue, foldedToken, requestTarget } from './octets.ts';

export interface HeadLimits {
  /** Of the whole head, start line included. */
  readonly maxBytes: number;
  readonly maxFields: number;
  readonly maxTargetBytes: number;
}

export type HeadKind = 'request' | 'response' | 'trailers';

/** Longer method names than this are refused; the longest registered one has 17. */
const methodMaxLength = 32;
/** Empty lines before a request line that are passed over (RFC 9112 section 2.2). */
const leadingEmptyLinesMax = 2;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;
const DEL = 0x7f;

const versionOctets = Buffer.from('HTTP/1.1');

const state = {
  start: 0,
  startLf: 1,
  method: 2,
  target: 3,
  version: 4,
  status: 5,
  reason: 6,
  lineLf: 7,
  fieldStart: 8,
  name: 9,
  valueStart: 10,
  value: 11,
  endLf: 12,
  done: 13,
} as const;

/** One parser for one stream: after a message was read, `reset` makes it ready for the next. */
export class HeadParser {
  readonly fields = new FieldLines();
  /** Why the bytes were refused. */
  code: HttpCode = 'HTTP_REQUEST_LINE_INVALID';

  methodStart = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  /** 10 or 11; a higher minor version is read as 11 (RFC 9110 section 2.5). */
  version = 11;
  status = 0;
  /** The status line from its code on: `200 OK`. */
  statusStart = 0;
  statusEnd = 0;

  readonly #kind: HeadKind;
  readonly #limits: HeadLimits;
  #state: number;
  #emptyLines = 0;
  /** Bytes of an unfinished head, from its first. */
  #kept: Buffer | undefined;
  #position = 0;
  #mark = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #hash = 0;
  #id: number = field.other;

  constructor(kind: HeadKind, limits: HeadLimits) {
    this.#kind = kind;
    this.#limits = limits;
    this.#state = firstState(kind);
  }

  /** Has any byte of the next message been seen? */
  get begun(): boolean {
    return this.#position > 0;
  }

  /** The whole head, latin1, valid until `reset`. */
  get text(): string {
    return this.fields.text;
  }

  /** Memory that the message takes. */
  get heldBytes(): number {
    return (this.#kept?.length ?? 0) + this.fields.text.length;
  }

  reset(): void {
    this.#state = firstState(this.#kind);
    this.#emptyLines = 0;
    this.#kept = undefined;
    this.#position = 0;
    this.#mark = 0;
    this.fields.clear();
  }

  /**
   * Reads `bytes` from `from` to `to`.
   *
   * @returns the offset behind the head, `progress.more`, or `progress.refused` with `code` set
   */
  feed(bytes: Buffer, from: number, to: number): number {
    const before = this.#position;
    let source = bytes;
    let base = from;
    let length = to - from;
    if (this.#kept !== undefined) {
      source = this.#keep(this.#kept, bytes, from, to);
      base = 0;
      length += before;
    }
    const end = Math.min(length, this.#limits.maxBytes);
    const code = this.#scan(source, base, end);
    if (code !== undefined) {
      this.code = code;
      return progress.refused;
    }
    if (this.#state === state.done) {
      this.fields.text = source.toString('latin1', base, base + this.#position);
      this.#kept = undefined;
      return from + this.#position - before;
    }
    if (end === this.#limits.maxBytes) {
      this.code = this.#state === state.target ? 'HTTP_TARGET_TOO_LONG' : 'HTTP_HEAD_TOO_LARGE';
      return progress.refused;
    }
    if (this.#kept === undefined && length > 0) this.#kept = this.#keep(Buffer.allocUnsafe(1024), bytes, from, to);
    return progress.more;
  }

  /** Puts the new bytes behind those already kept; grows by doubling, to the limit of a head. */
  #keep(kept: Buffer, bytes: Buffer, from: number, to: number): Buffer {
    const before = kept === this.#kept ? this.#position : 0;
    const needed = Math.min(before + to - from, this.#limits.maxBytes);
    let room = kept;
    if (needed > kept.length) {
      room = Buffer.allocUnsafe(Math.max(needed, kept.length * 2));
      kept.copy(room, 0, 0, before);
    }
    bytes.copy(room, before, from, from + needed - before);
    this.#kept = room;
    return room;
  }

  /** Advances over `bytes`, whose offset `base` is the head's first octet, up to `end` octets of the head. */
  // oxlint-disable-next-line complexity -- one state machine, one loop: this is where the time of a request goes
  #scan(bytes: Buffer, base: number, end: number): HttpCode | undefined {
    let at = this.#state;
    let position = this.#position;
    let mark = this.#mark;
    let hash = this.#hash;
    while (position < end) {
      const octet = bytes[base + position] as number;
      switch (at) {
        case state.value: {
          let stop = octet;
          while ((stop >= SP && stop !== DEL) || stop === HTAB) {
            position += 1;
            if (position === end) break;
            stop = bytes[base + position] as number;
          }
          if (position === end) break;
          let last = position;
          if (stop === LF) return 'HTTP_LINE_ENDING_INVALID';
          if (stop !== CR) return 'HTTP_FIELD_VALUE_INVALID';
          while (last > mark && isBlank(bytes[base + last - 1])) last -= 1;
          const canonical = last === position && mark === this.#nameEnd + 2 && bytes[base + this.#nameEnd + 1] === SP;
          this.fields.add(this.#nameStart, this.#nameEnd, mark, last, this.#id, canonical);
          position += 1;
          at = state.lineLf;
          if (position < end && bytes[base + position] === LF) {
            position += 1;
            at = state.fieldStart;
          }
          break;
        }
        case state.name: {
          let folded = foldedToken[octet] as number;
          while (folded !== 0) {
            hash = hashStep(hash, folded);
            position += 1;
            if (position === end) break;
            folded = foldedToken[bytes[base + position] as number] as number;
          }
          if (position === end) break;
          if (bytes[base + position] !== 0x3a) return 'HTTP_FIELD_NAME_INVALID';
          this.#nameEnd = position;
          this.#id = identify(hash, bytes, base + this.#nameStart, base + position);
          position += 1;
          at = state.valueStart;
          // As nearly every line goes on: one space, and the value.
          if (position + 1 < end && bytes[base + position] === SP && (bytes[base + position + 1] as number) > SP) {
            position += 1;
            mark = position;
            at = state.value;
          }
          break;
        }
        case state.valueStart:
          if (isBlank(octet)) {
            position += 1;
          } else {
            mark = position;
            at = state.value;
          }
          break;
        case state.lineLf:
          if (octet !== LF) return 'HTTP_LINE_ENDING_INVALID';
          position += 1;
          at = state.fieldStart;
          break;
        case state.fieldStart:
          if (octet === CR) {
            position += 1;
            at = state.endLf;
            break;
          }
          if (isBlank(octet)) return 'HTTP_FIELD_FOLDED';
          if (octet === LF) return 'HTTP_LINE_ENDING_INVALID';
          if (foldedToken[octet] === 0) return 'HTTP_FIELD_NAME_INVALID';
          if (this.fields.count === this.#limits.maxFields) return 'HTTP_FIELDS_TOO_MANY';
          this.#nameStart = position;
          hash = 0;
          at = state.name;
          break;
        case state.endLf:
          if (octet !== LF) return 'HTTP_LINE_ENDING_INVALID';
          position += 1;
          this.#position = position;
          this.#state = state.done;
          return undefined;
        case state.start:
          if (octet === CR && this.#emptyLines < leadingEmptyLinesMax) {
            position += 1;
            at = state.startLf;
          } else {
            mark = position;
            at = state.method;
          }
          break;
        case state.startLf:
          if (octet !== LF) return 'HTTP_LINE_ENDING_INVALID';
          position += 1;
          this.#emptyLines += 1;
          at = state.start;
          break;
        case state.method: {
          const longest = mark + methodMaxLength;
          while (position < end && position <= longest && foldedToken[bytes[base + position] as number] !== 0)
            position += 1;
          if (position > longest) return 'HTTP_METHOD_INVALID';
          if (position === end) break;
          const stop = bytes[base + position];
          if (stop === CR || stop === LF) return 'HTTP_REQUEST_LINE_INVALID';
          if (stop !== SP || position === mark) return 'HTTP_METHOD_INVALID';
          this.methodStart = mark;
          this.methodEnd = position;
          position += 1;
          mark = position;
          at = state.target;
          break;
        }
        case state.target: {
          const longest = mark + this.#limits.maxTargetBytes;
          while (position < end && position <= longest && requestTarget[bytes[base + position] as number] === 1) {
            position += 1;
          }
          if (position > longest) return 'HTTP_TARGET_TOO_LONG';
          if (position === end) break;
          const stop = bytes[base + position];
          if (stop === CR || stop === LF) return 'HTTP_REQUEST_LINE_INVALID';
          if (stop !== SP || position === mark) return 'HTTP_TARGET_INVALID';
          this.targetStart = mark;
          this.targetEnd = position;
          position += 1;
          mark = position;
          at = state.version;
          break;
        }
        case state.version: {
          if (position === mark && this.#versionAtOnce(bytes, base + position, base + end)) {
            position += 9;
            mark = position;
            at = this.#kind === 'request' ? state.lineLf : state.status;
            break;
          }
          const offset = position - mark;
          const code = offset < 8 ? this.#versionOctet(offset, octet) : this.#versionStop(bytes, base + mark, octet);
          if (code !== undefined) return code;
          position += 1;
          if (offset === 8) {
            at = this.#kind === 'request' ? state.lineLf : state.status;
            mark = position;
          }
          break;
        }
        case state.status: {
          const offset = position - mark;
          if (offset < 3) {
            if (octet < 0x30 || octet > 0x39) return 'HTTP_STATUS_LINE_INVALID';
            this.status = offset === 0 ? octet - 0x30 : this.status * 10 + octet - 0x30;
          } else {
            if (this.status < 100 || this.status > 599) return 'HTTP_STATUS_LINE_INVALID';
            if (octet !== SP && octet !== CR) return 'HTTP_STATUS_LINE_INVALID';
            this.statusStart = mark;
            this.statusEnd = position;
            at = octet === SP ? state.reason : state.lineLf;
          }
          position += 1;
          break;
        }
        case state.reason:
          if (octet === CR) {
            this.statusEnd = position;
            at = state.lineLf;
          } else if (octet === LF) {
            return 'HTTP_LINE_ENDING_INVALID';
          } else if (fieldValue[octet] === 0) {
            return 'HTTP_STATUS_LINE_INVALID';
          }
          position += 1;
          break;
        default:
          return undefined;
      }
    }
    this.#state = at;
    this.#position = position;
    this.#mark = mark;
    this.#hash = hash;
    return undefined;
  }

  /** The whole version, if it is there and as it nearly always is; else it is read octet by octet. */
  #versionAtOnce(bytes: Buffer, from: number, to: number): boolean {
    if (to - from < 9) return false;
    for (let index = 0; index < 7; index += 1) if (bytes[from + index] !== versionOctets[index]) return false;
    const minor = bytes[from + 7];
    if ((minor !== 0x31 && minor !== 0x30) || bytes[from + 8] !== (this.#kind === 'request' ? CR : SP)) return false;
    this.version = minor === 0x31 ? 11 : 10;
    return true;
  }

  /** `HTTP/` digit `.` digit, octet by octet. */
  #versionOctet(offset: number, octet: number): HttpCode | undefined {
    const right = offset === 5 || offset === 7 ? octet >= 0x30 && octet <= 0x39 : octet === versionOctets[offset];
    if (right) return undefined;
    if (this.#kind === 'response') return 'HTTP_STATUS_LINE_INVALID';
    return octet === LF ? 'HTTP_LINE_ENDING_INVALID' : 'HTTP_VERSION_INVALID';
  }

  #versionStop(bytes: Buffer, start: number, octet: number): HttpCode | undefined {
    if (octet !== (this.#kind === 'request' ? CR : SP)) {
      if (this.#kind === 'response') return 'HTTP_STATUS_LINE_INVALID';
      return octet === LF ? 'HTTP_LINE_ENDING_INVALID' : 'HTTP_VERSION_INVALID';
    }
    const major = bytes[start + 5];
    if (major !== 0x31) {
      if (this.#kind === 'response') return 'HTTP_STATUS_LINE_INVALID';
      return major === 0x30 ? 'HTTP_VERSION_INVALID' : 'HTTP_VERSION_UNSUPPORTED';
    }
    this.version = bytes[start + 7] === 0x30 ? 10 : 11;
    return undefined;
  }
}

function firstState(kind: HeadKind): number {
  if (kind === 'request') return state.start;
  return kind === 'response' ? state.version : state.fieldStart;
}

function isBlank(octet: number | undefined): boolean {
  return octet === SP || octet === HTAB;
}
