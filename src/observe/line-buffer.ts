// Lines on their way to a file, as few large pieces of UTF-8. Kept as strings until they are written they would outlive
// collections, and putting many together at once is slow; so they are encoded a few at a time, into memory used again.

/** Of one piece. Writing one wakes a thread, which costs more than what it writes. */
const pieceBytes = 256 * 1024;
const gatheredMax = 4096;
/** UTF-8 takes no more for one character of a string. */
const bytesPerCharacter = 3;

export interface LineBuffer {
  add(line: string): void;
  /** The oldest lines; undefined when there are none. They are the caller's until `giveBack`. */
  take(): Piece | undefined;
  giveBack(piece: Piece): void;
  /** Characters added and not given back. */
  readonly characters: number;
  /** There are lines for a whole piece. */
  readonly full: boolean;
}

export interface Piece {
  readonly memory: Buffer;
  /** Bytes, from the first of `memory` on. */
  used: number;
  characters: number;
}

export function createLineBuffer(): LineBuffer {
  let gathered = '';
  let filling: Piece | undefined;
  const filled: Piece[] = [];
  let spare: Piece | undefined;
  let characters = 0;

  return {
    add(line) {
      characters += line.length;
      gathered += line;
      if (gathered.length >= gatheredMax) encode();
    },
    take() {
      if (filled.length === 0) {
        if (gathered !== '') encode();
        if (filled.length === 0 && filling !== undefined) {
          filled.push(filling);
          filling = undefined;
        }
      }
      return filled.shift();
    },
    giveBack(piece) {
      characters -= piece.characters;
      spare = piece;
    },
    get characters() {
      return characters;
    },
    get full() {
      return filled.length > 0;
    },
  };

  function encode(): void {
    const most = gathered.length * bytesPerCharacter;
    if (filling !== undefined && filling.memory.length - filling.used < most) {
      filled.push(filling);
      filling = undefined;
    }
    filling ??= emptyPiece(most);
    filling.used += filling.memory.write(gathered, filling.used);
    filling.characters += gathered.length;
    gathered = '';
  }

  function emptyPiece(most: number): Piece {
    const memory =
      spare !== undefined && spare.memory.length >= most
        ? spare.memory
        : Buffer.allocUnsafeSlow(Math.max(pieceBytes, most));
    spare = undefined;
    return { memory, used: 0, characters: 0 };
  }
}
