// Lines of a text file, one after the other, none of them held beyond a limit.
import { createReadStream } from 'node:fs';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its line break. */
  readonly text: string;
  /** It is longer than the limit, and `text` is only how it begins. */
  readonly isCut: boolean;
}

/** @param maxLength in UTF-16 code units. @throws the system's error */
export async function* readLines(file: string, maxLength: number): AsyncIterable<Line> {
  let number = 0;
  let begun = '';
  let isCut = false;
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const [first = '', ...others] = String(chunk).split('\n');
    append(first);
    for (const other of others) {
      yield end();
      append(other);
    }
  }
  if (begun !== '') yield end();

  function append(text: string): void {
    if (!isCut) begun += text;
    if (begun.length <= maxLength) return;
    isCut = true;
    begun = begun.slice(0, maxLength);
  }

  function end(): Line {
    number += 1;
    const text = number === 1 ? begun.replace(/^\uFEFF/, '') : begun;
    const line = { number, text: text.replace(/\r$/, ''), isCut };
    begun = '';
    isCut = false;
    return line;
  }
}
