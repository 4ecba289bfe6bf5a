// The field lines of one message as offsets into its text, so that a name or value becomes a string only when it is read.
// Forwarding writes from here, line by line, never from the wire.
import { field } from './field-names.ts';

const width = 5;
const notCanonical = 0x100;

/** Reused from message to message: what it says holds until the next one is parsed. */
export class FieldLines {
  /** The whole head, latin1. */
  text = '';
  count = 0;
  #marks = new Int32Array(width * 16);

  clear(): void {
    this.text = '';
    this.count = 0;
  }

  /** Offsets are into `text`. @param canonical the line reads `name: value` CR LF, nothing more */
  add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, id: number, canonical: boolean): void {
    const at = this.count * width;
    if (at === this.#marks.length) this.#grow();
    const marks = this.#marks;
    marks[at] = nameStart;
    marks[at + 1] = nameEnd;
    marks[at + 2] = valueStart;
    marks[at + 3] = valueEnd;
    marks[at + 4] = canonical ? id : id | notCanonical;
    this.count += 1;
  }

  #grow(): void {
    const marks = new Int32Array(this.#marks.length * 2);
    marks.set(this.#marks);
    this.#marks = marks;
  }

  /** One of `field`. */
  id(index: number): number {
    return (this.#marks[index * width + 4] ?? 0) & 0xff;
  }

  name(index: number): string {
    return this.text.slice(this.#marks[index * width], this.#marks[index * width + 1]);
  }

  value(index: number): string {
    return this.text.slice(this.#marks[index * width + 2], this.#marks[index * width + 3]);
  }

  /** The value of the first field with this number. */
  find(id: number): string | undefined {
    for (let index = 0; index < this.count; index += 1) {
      if (this.id(index) === id) return this.value(index);
    }
    return undefined;
  }

  /** The values of every field with this number, joined as one list (RFC 9110 section 5.3). */
  findAll(id: number): string | undefined {
    let found: string | undefined;
    for (let index = 0; index < this.count; index += 1) {
      if (this.id(index) === id) found = found === undefined ? this.value(index) : `${found}, ${this.value(index)}`;
    }
    return found;
  }

  countOf(id: number): number {
    let count = 0;
    for (let index = 0; index < this.count; index += 1) count += Number(this.id(index) === id);
    return count;
  }

  /**
   * `name: value` CR LF for every field but those whose number has a 1 in `dropped` and, among the fields without a
   * number, those named in `droppedNames` (lower case).
   *
   * Neighbouring lines that arrived in exactly that form are taken together: the text is the same.
   */
  serialize(dropped: Uint8Array, droppedNames: readonly string[] | undefined): string {
    const marks = this.#marks;
    const text = this.text;
    let out = '';
    let runStart = -1;
    let runEnd = 0;
    for (let index = 0; index < this.count; index += 1) {
      const at = index * width;
      const mark = marks[at + 4] ?? 0;
      const nameStart = marks[at] ?? 0;
      const kept =
        dropped[mark & 0xff] === 0 &&
        (droppedNames === undefined ||
          (mark & 0xff) !== field.other ||
          !droppedNames.includes(this.name(index).toLowerCase()));
      if (kept && mark < notCanonical) {
        if (runStart === -1) runStart = nameStart;
        runEnd = (marks[at + 3] ?? 0) + 2;
        continue;
      }
      if (runStart !== -1) {
        out += text.slice(runStart, runEnd);
        runStart = -1;
      }
      if (kept) out += `${this.name(index)}: ${this.value(index)}\r\n`;
    }
    return runStart === -1 ? out : out + text.slice(runStart, runEnd);
  }
}
