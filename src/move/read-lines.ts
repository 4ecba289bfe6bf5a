// Lines of a text file, one after the other, none of them held beyond a limit.
import { createReadStream } from 'node:fs';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its line break; undefined when it is longer than the limit. */
  readonly text: string | undefined;
}

/** @param maxLength in UTF-16 code units. @throws the system's error */
export async function* readLines(file: string, maxLength: number): AsyncIterable<Line> {
  let number = 0;
  let rest = '';
  let tooLong = false;
  const end = (text: string): Line => {
    number += 1;
    const whole = tooLong || text.length > maxLength ? undefined : text.replace(/\r$/, '');
    tooLong = false;
    return { number, text: number === 1 ? whole?.replace(/^\uFEFF/, '') : whole };
  };
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const parts = (rest + String(chunk)).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) yield end(part);
    if (rest.length > maxLength) {
      tooLong = true;
      rest = '';
    }
  }
  if (rest !== '' || tooLong) yield end(rest);
}
