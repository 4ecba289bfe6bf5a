// How many downstream connections a process may have at once, over all its listeners. When it has as many, those that do
// nothing make room, as nginx has it: whoever only holds connections open keeps nobody else out.

export interface ConnectionLimit {
  readonly open: number;
  /** @returns false when there is no room; otherwise `leave` must follow once */
  enter(): boolean;
  leave(): void;
}

/** What makes room at once, as a part of all: looking for it takes a look at every connection. */
const roomPart = 1 / 16;

/** @param makeRoom ends up to so many connections that do nothing, and tells how many; each leaves in a moment */
export function createConnectionLimit(max: number, makeRoom: (most: number) => number = () => 0): ConnectionLimit {
  const most = Math.max(1, Math.floor(max * roomPart));
  let open = 0;
  /** Connections that were ended and have not left, less those that took their place. */
  let promised = 0;
  return {
    get open() {
      return open;
    },
    enter() {
      if (open < max) {
        promised = 0;
      } else {
        if (promised === 0) promised = makeRoom(most);
        if (promised === 0) return false;
        promised -= 1;
      }
      open += 1;
      return true;
    },
    leave() {
      open -= 1;
    },
  };
}
