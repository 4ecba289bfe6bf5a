// Many who ask for the same at once share one answer, which is never older than their question.

/**
 * At most one `read` is under way and one waits for it. Each call gets what a `read` answers, or throws, that began after
 * the call.
 */
export function coalesce<T>(read: () => Promise<T>): () => Promise<T> {
  let current: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  return () => {
    if (next !== undefined) return next;
    if (current === undefined) return begin();
    next = current.then(follow, follow);
    return next;
  };

  function begin(): Promise<T> {
    const reading = read().finally(() => {
      if (current === reading) current = undefined;
    });
    current = reading;
    return reading;
  }

  function follow(): Promise<T> {
    next = undefined;
    return begin();
  }
}
