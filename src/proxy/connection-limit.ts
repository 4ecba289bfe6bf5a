// How many downstream connections a process may have at once, over all its listeners.

export interface ConnectionLimit {
  readonly open: number;
  /** @returns false when there is no room; otherwise `leave` must follow once */
  enter(): boolean;
  leave(): void;
}

export function createConnectionLimit(max: number): ConnectionLimit {
  let open = 0;
  return {
    get open() {
      return open;
    },
    enter() {
      if (open >= max) return false;
      open += 1;
      return true;
    },
    leave() {
      open -= 1;
    },
  };
}
