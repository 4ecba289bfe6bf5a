// A map with a bound: the entry used longest ago makes room. No time, no weights.

export interface Lru<Key, Value> {
  readonly size: number;
  /** Counts as a use. */
  get(key: Key): Value | undefined;
  /** Does not count as a use. */
  peek(key: Key): Value | undefined;
  /** Counts as a use; replacing a value is no eviction. */
  set(key: Key, value: Value): void;
  /** @returns whether there was one; deleting is no eviction */
  delete(key: Key): boolean;
  clear(): void;
  /** Used longest ago first. */
  entries(): IterableIterator<[Key, Value]>;
}

/**
 * @param max entries at most, 1 or more
 * @param onEvict called with what made room, after it has left the map
 * @throws TypeError when `max` is no positive integer
 */
export function createLru<Key, Value>(max: number, onEvict?: (key: Key, value: Value) => void): Lru<Key, Value> {
  if (!Number.isSafeInteger(max) || max < 1) throw new TypeError(`an LRU needs room for 1 or more, got ${max}`);
  // A Map iterates in order of insertion, so an entry that is used moves to the end by being inserted again.
  const map = new Map<Key, Value>();

  return {
    get size() {
      return map.size;
    },
    get(key) {
      const value = map.get(key);
      if (value === undefined && !map.has(key)) return undefined;
      map.delete(key);
      map.set(key, value as Value);
      return value;
    },
    peek: (key) => map.get(key),
    set(key, value) {
      map.delete(key);
      map.set(key, value);
      if (map.size > max) evictOldest();
    },
    delete: (key) => map.delete(key),
    clear: () => map.clear(),
    entries: () => map.entries(),
  };

  function evictOldest(): void {
    for (const [key, value] of map) {
      map.delete(key);
      onEvict?.(key, value);
      return;
    }
  }
}
